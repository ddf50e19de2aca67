package health

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/federation"
)

// states are those that an object of a kind can be in. Each needs its file under
// testdata/judge/<kind>/, named after the state: a live object and, in a second
// document, what Judge should read out of it.
var states = map[string][]federation.Health{
	"ingress":                  {federation.Healthy, federation.Progressing, federation.Unknown},
	"service":                  {federation.Healthy, federation.Progressing},
	"replicaset":               {federation.Healthy, federation.Progressing},
	"deployment":               {federation.Healthy, federation.Progressing, federation.Degraded},
	"statefulset":              {federation.Healthy, federation.Progressing},
	"daemonset":                {federation.Healthy, federation.Progressing},
	"job":                      {federation.Healthy, federation.Progressing, federation.Degraded},
	"pod":                      {federation.Healthy, federation.Progressing, federation.Degraded, federation.Unknown},
	"persistentvolumeclaim":    {federation.Healthy, federation.Progressing},
	"customresourcedefinition": {federation.Healthy, federation.Progressing, federation.Degraded},
	"namespace":                {federation.Healthy, federation.Progressing},
	"gateway":                  {federation.Healthy, federation.Progressing, federation.Degraded},
	"httproute":                {federation.Healthy, federation.Progressing, federation.Degraded},
	"grpcroute":                {federation.Healthy, federation.Progressing, federation.Degraded},
	"tlsroute":                 {federation.Healthy, federation.Progressing, federation.Degraded},
	"tcproute":                 {federation.Healthy, federation.Progressing, federation.Degraded},
	"udproute":                 {federation.Healthy, federation.Progressing, federation.Degraded},
	"configmap":                {federation.Healthy},
	"secret":                   {federation.Healthy},
	"custom":                   {federation.Healthy, federation.Progressing, federation.Degraded},
}

func TestJudgeEachKindInEachState(t *testing.T) {
	cases := os.DirFS("testdata/judge")
	for kind, list := range states {
		for _, state := range list {
			if _, err := fs.Stat(cases, path.Join(kind, strings.ToLower(string(state))+".yaml")); err != nil {
				t.Errorf("%s has no case for the state %s: %v", kind, state, err)
			}
		}
	}
	files, err := fs.Glob(cases, "*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			data, err := fs.ReadFile(cases, file)
			if err != nil {
				t.Fatal(err)
			}
			live, expected, _ := bytes.Cut(data, []byte("\n---\n"))
			u := membertest.LiveObject(t, live)

			want := federation.Observation{Cluster: "c1", App: "shop", Object: federation.RefOf(u)}
			if err := yaml.UnmarshalStrict(expected, &want); err != nil {
				t.Fatalf("read what is expected: %v", err)
			}
			want.Health = healthOf(t, file)
			if diff := cmp.Diff(want, Judge("c1", "shop", u)); diff != "" {
				t.Errorf("Judge (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudgeLeavesTheObjectAlone(t *testing.T) {
	data, err := os.ReadFile("testdata/judge/ingress/healthy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	live, _, _ := bytes.Cut(data, []byte("\n---\n"))
	u := membertest.LiveObject(t, live)
	before := u.DeepCopy()
	o := Judge("c1", "shop", u)
	o.Annotations["ingress.kubernetes.io/url-map"] = "changed"
	o.Hosts[0] = "changed"
	if diff := cmp.Diff(before.Object, u.Object); diff != "" {
		t.Errorf("the object has changed (-before +after):\n%s", diff)
	}
}

func TestJudgeShortensWhatAClusterSays(t *testing.T) {
	u := membertest.LiveObject(t, []byte(`{"apiVersion":"example.com/v1","kind":"Shop","metadata":{"name":"shop"}}`))
	long := strings.Repeat("é\n", 20_000)
	err := unstructured.SetNestedSlice(u.Object, []any{map[string]any{
		"type": "Ready", "status": "False", "message": long,
	}}, "status", "conditions")
	if err != nil {
		t.Fatal(err)
	}
	got := Judge("c1", "shop", u).Message.String()
	if len(got) > 1024 || strings.Contains(got, "\n") || !strings.HasPrefix(got, "é é") {
		t.Errorf("message has %d bytes, %q …; want one line of at most 1024", len(got), got[:20])
	}
}

func TestJudgeKeepsTheFirstRulesOfAnIngress(t *testing.T) {
	var paths []string
	for i := range 60 {
		paths = append(paths, fmt.Sprintf("{path: /%d, backend: {service: {name: s, port: {number: 80}}}}", i))
	}
	u := membertest.LiveObject(t, fmt.Appendf(nil, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: nginx},
		spec: {rules: [{http: {paths: [%s]}}]}}`, strings.Join(paths, ", ")))
	got := Judge("c1", "shop", u).Rules
	if len(got) != 50 || got[49].Path != "/49" {
		t.Errorf("%d rules are kept, want the first 50: %v", len(got), got)
	}
}

// healthOf reads the state out of "kind/state-remark.yaml".
func healthOf(t *testing.T, file string) federation.Health {
	t.Helper()
	name, _, _ := strings.Cut(strings.TrimSuffix(path.Base(file), ".yaml"), "-")
	for _, health := range states[path.Dir(file)] {
		if strings.EqualFold(string(health), name) {
			return health
		}
	}
	t.Fatalf("%s: %q is no state that states lists for %s", file, name, path.Dir(file))
	return ""
}
