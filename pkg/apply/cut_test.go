package apply

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/federation"
)

// cut is how an adoption is interrupted.
type cut struct {
	request int  // at this request, the first being 0
	arrives bool // it reaches the API server, and its answer is lost
	dies    bool // no request is made after it
}

func (c cut) String() string {
	return fmt.Sprintf("request %d, arrives %v, dies %v", c.request, c.arrives, c.dies)
}

// lose makes one request, or all from one on, fail as the cut describes.
func (c cut) lose(f *fixture) {
	var n atomic.Int64
	f.counter.between(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		at := int(n.Add(1)) - 1
		if at < c.request || at > c.request && !c.dies {
			return next.RoundTrip(r)
		}
		if at == c.request && c.arrives {
			if answer, err := next.RoundTrip(r); err == nil {
				_ = answer.Body.Close()
			}
		}
		return nil, errCut
	})
}

// adoptable is an object that existed before, and its counterpart in Git. NAME is its
// name.
type adoptable struct {
	name     string
	resource schema.GroupVersionResource
	make     func(f *fixture, name string)
	git      string
}

const (
	oldConfigMap = `
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: NAMESPACE, labels: {tier: gold}}
IMMUTABLE
data: {a: one, b: two}`
	newConfigMap = `
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: NAMESPACE}
IMMUTABLE
data: {a: one}`
	newService = `
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NAMESPACE, labels: {app: nginx}}
spec:
  selector: {app: nginx}
  ports:
  - {name: http, port: 80, targetPort: 8080}`
)

func adoptables() []adoptable {
	mutable := strings.NewReplacer("IMMUTABLE", "")
	immutable := strings.NewReplacer("IMMUTABLE", "immutable: true")
	oldService := func(name string) string { return strings.Replace(earlier, "name: nginx\n", "name: "+name+"\n", 1) }
	named := func(text, name string) string { return strings.ReplaceAll(text, "NAME,", name+",") }
	return []adoptable{
		{"a ConfigMap", object.ConfigMaps, func(f *fixture, name string) {
			f.create("kubectl-client-side-apply", named(mutable.Replace(oldConfigMap), name))
		}, mutable.Replace(newConfigMap)},
		{"an immutable ConfigMap with more data", object.ConfigMaps, func(f *fixture, name string) {
			f.create("kubectl-create", named(immutable.Replace(oldConfigMap), name))
		}, immutable.Replace(newConfigMap)},
		{"a Service with more ports", object.Services, func(f *fixture, name string) {
			f.create("kubectl-client-side-apply", oldService(name))
			f.patchAs("kubectl-edit", object.Services, name, `{"spec":{"ports":[{"name":"more","port":91}]}}`)
		}, newService},
		{"a Service that another applies", object.Services, func(f *fixture, name string) {
			f.applyAs("kubectl", oldService(name))
			f.patchAs("glbc", object.Services, name, `{"metadata":{"labels":{"from-controller":"yes"}}}`)
		}, newService},
		{"an immutable ConfigMap that another applies", object.ConfigMaps, func(f *fixture, name string) {
			f.applyAs("kubectl", named(immutable.Replace(oldConfigMap), name))
		}, immutable.Replace(newConfigMap)},
		{"a Service that nobody owns", object.Services, func(f *fixture, name string) {
			f.create("kubectl", oldService(name))
			f.clearManagedFields(name)
		}, newService},
		{"an immutable ConfigMap that nobody owns", object.ConfigMaps, func(f *fixture, name string) {
			f.create("kubectl", named(immutable.Replace(oldConfigMap), name))
			_, err := f.admin.Resource(object.ConfigMaps).Namespace(f.namespace).Patch(f.Context(), name, types.MergePatchType,
				[]byte(`{"metadata":{"managedFields":[{}]}}`), metav1.PatchOptions{FieldManager: "kubectl"})
			if err != nil {
				f.Fatal(err)
			}
		}, immutable.Replace(newConfigMap)},
	}
}

// remains is everything that an adoption leaves behind, without what differs between
// two adoptions.
type remains struct {
	Object   map[string]any
	Kept     []map[string]any
	Findings []string
}

// stripped returns an object without its identity, its times, and what the cluster
// chose for it.
func stripped(u *unstructured.Unstructured) map[string]any {
	u = u.DeepCopy()
	for _, name := range []string{"uid", "resourceVersion", "creationTimestamp", "name", "generation"} {
		unstructured.RemoveNestedField(u.Object, "metadata", name)
	}
	unstructured.RemoveNestedField(u.Object, "metadata", "labels", inventory.LabelPartOf)
	unstructured.RemoveNestedField(u.Object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration") // contains the name
	for _, name := range []string{"clusterIP", "clusterIPs"} {
		unstructured.RemoveNestedField(u.Object, "spec", name)
	}
	ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	for _, p := range ports {
		delete(p.(map[string]any), "nodePort")
	}
	if len(ports) > 0 {
		_ = unstructured.SetNestedSlice(u.Object, ports, "spec", "ports")
	}
	entries := map[string]any{}
	for _, e := range u.GetManagedFields() {
		entries[fmt.Sprintf("%s %s %s %s", e.Manager, e.Operation, e.APIVersion, e.Subresource)] = normalJSON(e.FieldsV1.GetRawString())
	}
	unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
	return map[string]any{"object": u.Object, "managed fields": entries}
}

func normalJSON(text string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}

var secretName = regexp.MustCompile(`kept-[0-9a-f]+`)

// remains returns what is left of an object.
func (f *fixture) remains(of adoptable, name string, findings []federation.Finding) remains {
	f.Helper()
	out := remains{Object: stripped(f.get(of.resource, name))}
	kept, err := f.Backups().List(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	for _, k := range kept {
		if k.Object.Name != name {
			continue
		}
		if k.State != backup.Proved {
			f.Errorf("%s is kept as %s, want it proved", name, k.State)
			continue
		}
		out.Kept = append(out.Kept, stripped(k.Content))
	}
	for _, x := range findings {
		if x.Object.Name == name && x.ID != "adopted" {
			text := fmt.Sprintf("%s %s: %s. %s", x.Severity, x.ID, x.Message, x.Remedy)
			out.Findings = append(out.Findings, secretName.ReplaceAllString(strings.ReplaceAll(text, name, "NAME"), "SECRET"))
		}
	}
	return out
}

func saysAdopted(findings []federation.Finding, name string) bool {
	for _, x := range findings {
		if x.ID == "adopted" && x.Object.Name == name {
			return true
		}
	}
	return false
}

// Whichever requests of an adoption fail, and whenever the process ends, the next
// adoption leads to the same result as an uninterrupted one.
func TestAnInterruptedAdoptionIsResumed(t *testing.T) {
	for _, c := range adoptables() {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			// Each object has an app of its own.
			app := func(name string) federation.AppPlan {
				return f.app(name, strings.ReplaceAll(c.git, "NAME,", name+","))
			}
			c.make(f, "whole")
			r := f.mustSync(app("whole"))
			if !saysAdopted(r.Findings, "whole") {
				t.Fatalf("findings = %v, want the adoption", r.Findings)
			}
			requests := f.counter.requests()
			f.start("one")
			want := f.remains(c, "whole", f.mustSync(app("whole")).Findings)
			if len(want.Kept) != 1 {
				t.Fatalf("kept %d times, want once", len(want.Kept))
			}
			for i := range requests {
				// Ending before a request is the same as ending after the one before
				// it.
				for _, how := range []cut{{i, false, false}, {i, true, false}, {i, true, true}} {
					name := fmt.Sprintf("cut-%d-%v-%v", i, how.arrives, how.dies)
					c.make(f, name)
					f.start("one")
					f.plan = federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{app(name)}}
					f.learnKinds()
					f.watch()
					how.lose(f)
					said := saysAdopted(f.Apply(f.plan).Findings, name)
					done := f.get(c.resource, name).GetLabels()[inventory.LabelPartOf] != ""
					f.start("one")
					r := f.sync(app(name))
					if !r.Complete {
						t.Errorf("%s of %q: not complete: %v", how, requests, r.Findings)
						continue
					}
					if again := saysAdopted(r.Findings, name); again == done || said && !done {
						t.Errorf("%s of %q: adopted before the restart %v and said so %v, said after it %v", how, requests, done, said, again)
					}
					if diff := cmp.Diff(want, f.remains(c, name, r.Findings)); diff != "" {
						t.Errorf("%s of %q: what remains (-uncut +cut):\n%s", how, requests, diff)
					}
					f.counter.reset()
					f.mustSync(app(name))
					f.wantRequests()
				}
			}
		})
	}
}

// What a user changes during an interrupted adoption is kept before it is overwritten.
func TestChangesDuringAnInterruptedAdoptionAreKept(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl-client-side-apply", earlier)
	patches := 0
	f.counter.failWith(func(r *http.Request) error {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/services/nginx") {
			if patches++; patches > 1 {
				return errCut
			}
		}
		return nil
	})
	f.sync(f.app("web", nginx))
	f.patchAs("kubectl-edit", object.Services, "nginx", `{"metadata":{"labels":{"late":"yes"}},"spec":{"selector":{"late":"yes"}}}`)
	f.start("one")
	r := f.mustSync(f.app("web", nginx))
	f.wantFinding(r.Findings, "adopted", "30 days")
	u := f.get(object.Services, "nginx")
	if _, late, _ := unstructured.NestedString(u.Object, "spec", "selector", "late"); late || u.GetLabels()["late"] != "" {
		t.Errorf("labels %v, spec %v, want what the user added gone", u.GetLabels(), u.Object["spec"])
	}
	kept, err := f.Backups().List(t.Context())
	if err != nil || len(kept) != 2 || kept[1].Content.GetLabels()["late"] != "yes" {
		t.Errorf("kept %v, %v, want both states, the later one last", kept, err)
	}
}

// If an answer was lost, the adoption is still reported by the same process.
func TestAnAdoptionWhoseAnswerWasLostIsReported(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl-client-side-apply", earlier)
	var patches atomic.Int64
	f.counter.between(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		answer, err := next.RoundTrip(r)
		if err == nil && r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/services/nginx") && patches.Add(1) == 2 {
			_ = answer.Body.Close()
			return nil, errCut
		}
		return answer, err
	})
	f.sync(f.app("web", nginx))
	f.complete(patience)
	s := f.now()
	if !saysAdopted(s.Notes, "nginx") || !strings.Contains(fmt.Sprint(describeChanges(s.Changes)), "adopted Service/nginx") {
		t.Errorf("notes %v, changes %v, want the adoption", s.Notes, describeChanges(s.Changes))
	}
}
