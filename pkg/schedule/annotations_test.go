package schedule

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Whatever an object's annotations are, its reading is an error that names the
// annotation, or a decision; and the same words give the same one.
func FuzzAnnotationsAreReadOrRefused(f *testing.F) {
	f.Add(`[{"key": "location", "operator": "in", "values": ["europe"]}]`, `{"clusters": {"*": {"weight": 1}}}`, "PerCluster", `{"replicas": 3}`)
	f.Add(`[{"key": "", "operator": "Exists", "values": []}, {"key": "a/b/c", "operator": "gt", "values": ["x"]}]`, `[]`, "", `{"replicas": -1}`)
	f.Add(`null`, `{"rebalance": true, "clusters": {"a": {"minReplicas": 9223372036854775807}}}`, "\x1b", `{"replicas": 9223372036854775807, "type": "NodePort", "ports": [{"nodePort": -1}]}`)
	f.Fuzz(func(t *testing.T, selector, preferences, replicas, spec string) {
		for _, kind := range []string{"ReplicaSet", "Deployment", "Service", "Ingress", "HorizontalPodAutoscaler", "ConfigMap"} {
			o := annotated(kind, selector, preferences, replicas, spec)
			if o == nil {
				return
			}
			r, again := newReading(o), newReading(o)
			if r.content != again.content {
				t.Errorf("it is read as %s, and again as %s", r.content, again.content)
			}
			if r.err != nil && (r.field == "" || r.err.Error() == "") {
				t.Errorf("error %q in field %q", r.err, r.field)
			}
			if r.workload != nil && r.workload.total < 0 {
				t.Errorf("a total of %d", r.workload.total)
			}
		}
	})
}

// annotated is an object with these annotations and spec; nil where they are no
// text and no JSON.
func annotated(kind, selector, preferences, replicas, spec string) *federation.Object {
	annotations := map[string]string{}
	for name, value := range map[string]string{
		annotationSelector: selector, annotationReplicaSet: preferences, annotationDeployment: preferences, annotationReplicas: replicas,
	} {
		if value != "" {
			annotations[name] = value
		}
	}
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}, "spec": json.RawMessage(spec)})
	if err != nil {
		return nil
	}
	group := ""
	switch kind {
	case "ReplicaSet", "Deployment":
		group = "apps"
	case "Ingress":
		group = "networking.k8s.io"
	case "HorizontalPodAutoscaler":
		group = "autoscaling"
	}
	return &federation.Object{Ref: federation.ObjectRef{Group: group, Kind: kind, Namespace: "default", Name: "x"}, JSON: data}
}

// A selector that is accepted chooses the same clusters however its requirements
// are ordered.
func FuzzSelectorsDoNotDependOnOrder(f *testing.F) {
	f.Add(`[{"key": "a", "operator": "in", "values": ["1", "2"]}, {"key": "b", "operator": "notin", "values": ["1"]}]`)
	f.Add(`[{"key": "a", "operator": "DoesNotExist"}, {"key": "a", "operator": "="}]`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSelector(text)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without words")
			}
			return
		}
		var requirements []json.RawMessage
		if err := json.Unmarshal([]byte(text), &requirements); err != nil {
			t.Fatalf("parseSelector(%q) accepts what is no list: %v", text, err)
		}
		slices.Reverse(requirements)
		reversed, _ := json.Marshal(requirements) // of what was JSON
		other, err := parseSelector(string(reversed))
		if err != nil || other.String() != s.String() {
			t.Errorf("parseSelector(%q) = %v, reversed %v, %v", text, s, other, err)
		}
	})
}
