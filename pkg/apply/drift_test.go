package apply

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestDriftIsRepairedAtOnceByOneRequest(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *fixture)
		want   string // of the change
	}{
		{"a changed field", func(f *fixture) {
			f.patchAs("kubectl-edit", object.Services, "nginx", `{"spec":{"ports":[{"port":80,"targetPort":9999}]}}`)
		}, `configured Service/nginx (spec.ports[port=80,protocol="TCP"].targetPort by kubectl-edit)`},
		{"a changed label of ours", func(f *fixture) {
			f.patchAs("kubectl-label", object.Services, "nginx", `{"metadata":{"labels":{"app":"other"}}}`)
		}, `configured Service/nginx (metadata.labels.app by kubectl-label)`},
		{"an annotation removed", func(f *fixture) {
			f.patchAs("kubectl-annotate", ingresses, "nginx", `{"metadata":{"annotations":{"team":null}}}`)
		}, `configured Ingress/nginx (metadata.annotations.team by somebody)`},
		{"a list's item removed", func(f *fixture) {
			f.patchAs("kubectl-edit", replicaSets, "nginx", `{"spec":{"template":{"spec":{"containers":[{"name":"nginx","env":[{"name":"MODE","$patch":"delete"}]}]}}}}`)
		}, `configured ReplicaSet/nginx (spec.template.spec.containers[name="nginx"].env[name="MODE"] by somebody)`},
		{"a scale", func(f *fixture) {
			f.patchAs("kubectl-scale", replicaSets, "nginx", `{"spec":{"replicas":5}}`, "scale")
		}, `configured ReplicaSet/nginx (spec.replicas by kubectl-scale (through scale))`},
		{"an apply by a second client under our name", func(f *fixture) {
			second := f.get(ingresses, "nginx")
			data := `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"nginx","annotations":{"team":"other"},"labels":{"` +
				inventory.LabelPartOf + `":"` + second.GetLabels()[inventory.LabelPartOf] + `"}},"spec":{"defaultBackend":{"service":{"name":"nginx","port":{"number":80}}}}}`
			_, err := f.admin.Resource(ingresses).Namespace(f.namespace).Patch(f.Context(), "nginx", types.ApplyPatchType, []byte(data), metav1.PatchOptions{FieldManager: ownership.FieldManager})
			if err != nil {
				f.Fatal(err)
			}
		}, `configured Ingress/nginx (metadata.annotations.team by another client that calls itself fedsync)`},
		{"a forced apply by another field manager", func(f *fixture) {
			data := `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"nginx","annotations":{"team":"other"}}}`
			force := true
			_, err := f.admin.Resource(ingresses).Namespace(f.namespace).Patch(f.Context(), "nginx", types.ApplyPatchType, []byte(data), metav1.PatchOptions{FieldManager: "flux", Force: &force})
			if err != nil {
				f.Fatal(err)
			}
		}, `configured Ingress/nginx (metadata.annotations.team by flux)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.mustSync(f.app("web", nginx))
			c.change(f)
			f.wantChanges(f.repair(), c.want)
			if got := f.counter.requests(); len(got) != 1 || !strings.HasPrefix(got[0], "PATCH ") {
				t.Errorf("requests = %q, want one PATCH", got)
			}
			if got, want := f.overwritten.Load() > 0, strings.Contains(c.want, ownership.AnotherFedsync); got != want {
				t.Errorf("the claim is doubted: %t, want %t", got, want)
			}
			f.upToDate()
			f.mustSync(f.app("web", nginx))
			f.wantRequests()
			u := f.get(ingresses, "nginx")
			if got := u.GetAnnotations()["team"]; got != "web" {
				t.Errorf("annotation team = %q, want web", got)
			}
		})
	}
}

// upToDate waits until the events of all our writes have been observed, and checks that
// none of them counts as drift.
func (f *fixture) upToDate() {
	f.Helper()
	f.until("the watches are up to date", func() bool {
		done := true
		f.WithState(func(t *state.State) {
			for _, r := range t.Rows {
				done = done && (r.Want == nil || r.Flight == nil && r.Live != nil && r.Base != nil && r.Drift == nil)
			}
		})
		return done
	})
	if refs := f.due(); len(refs) > 0 {
		f.Errorf("due for repair: %v, want none", refs)
	}
}

func TestADeletedObjectIsMadeAgain(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	if err := f.admin.Resource(object.Services).Namespace(f.namespace).Delete(t.Context(), "nginx", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.wantChanges(f.repair(), "created Service/nginx (deleted)")
	f.wantRequests("GET services/nginx", "PATCH services/nginx")
	f.get(object.Services, "nginx")
	f.upToDate()
}

func TestALabelThatWasRemovedComesBack(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.patchAs("kubectl-label", object.Services, "nginx", `{"metadata":{"labels":{"`+inventory.LabelPartOf+`":null}}}`)
	f.wantChanges(f.repair(), "configured Service/nginx (metadata.labels.applyset.kubernetes.io/part-of removed by somebody)")
	if got := f.get(object.Services, "nginx").GetLabels()[inventory.LabelPartOf]; got == "" {
		t.Error("the label is missing, want it back")
	}
	f.upToDate()
}

func TestClearedManagedFieldsLeaveNoCoOwner(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	_, err := f.admin.Resource(object.Services).Namespace(f.namespace).Patch(t.Context(), "nginx", types.MergePatchType,
		[]byte(`{"metadata":{"managedFields":[{}]}}`), metav1.PatchOptions{FieldManager: "kubectl"})
	if err != nil {
		t.Fatal(err)
	}
	f.repair()
	f.upToDate()
	// A co-owner would keep the label when Git drops it.
	f.mustSync(f.app("web", strings.Replace(nginx, ", labels: {app: nginx}", "", 1)))
	if got := f.get(object.Services, "nginx").GetLabels(); got["app"] != "" {
		t.Errorf("labels = %v, want app gone with Git", got)
	}
}

func TestFieldsThatUsersAddAreReportedAndLeft(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.patchAs("kubectl-edit", object.Services, "nginx", `{"spec":{"ports":[{"name":"extra","port":90}]}}`)
	f.patchAs("kubectl-label", object.Services, "nginx", `{"metadata":{"labels":{"tier":"gold"}}}`)
	// Marks that no one added on purpose.
	f.patchAs("glbc", ingresses, "nginx", `{"metadata":{"annotations":{"ingress.kubernetes.io/url-map":"x"},"finalizers":["networking.gke.io/ingress-finalizer"]}}`)
	f.patchAs("kubectl-rollout", replicaSets, "nginx", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	f.until("the additions are found", func() bool {
		return len(f.now().Findings) == 1 && strings.Contains(f.now().Findings[0].Message.String(), "tier")
	})
	got := f.wantFinding(f.now().Findings, "foreign", "metadata.labels.tier (set by kubectl-label)")
	if want := `spec.ports[port=90,protocol="TCP"] (set by kubectl-edit)`; !strings.Contains(got.Message.String(), want) {
		t.Errorf("message = %s, want it to name %s", got.Message, want)
	}
	f.mustSync(f.app("web", nginx))
	f.wantRequests()
	f.mustSync(f.app("web", strings.Replace(nginx, "8080", "8081", 1)))
	ports, _, _ := unstructured.NestedSlice(f.get(object.Services, "nginx").Object, "spec", "ports")
	if len(ports) != 2 {
		t.Errorf("ports = %v, want the foreign one left", ports)
	}
	// Otherwise the finalizer blocks the deletion of the namespace.
	f.patchAs("glbc", ingresses, "nginx", `{"metadata":{"finalizers":null}}`)
}

func TestAFightIsStoppedAndEndsWithGit(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	edit := func() {
		f.patchAs("stubborn", ingresses, "nginx", `{"metadata":{"annotations":{"team":"mine"}}}`)
	}
	for range 2 {
		edit()
		f.repair()
		f.upToDate()
	}
	edit()
	f.until("the fight is found", func() bool {
		for _, x := range f.now().Findings {
			if x.ID == "fight" {
				return true
			}
		}
		return false
	})
	f.wantFinding(f.now().Findings, "fight", "stubborn keeps changing metadata.annotations.team")
	f.counter.reset()
	f.settle()
	f.wantRequests()
	r := f.sync(f.app("web", nginx))
	f.wantRequests()
	if r.Complete {
		t.Error("Apply is complete, want it not to be while the fight goes on")
	}
	if due := f.dueAt(time.Now().Add(state.FightPause - 30*time.Second)); len(due) > 0 {
		t.Errorf("due before the end of the pause: %v", due)
	}
	if due := f.dueAt(time.Now().Add(state.FightPause)); len(due) != 1 {
		t.Errorf("due after the pause: %v, want the Ingress", due)
	}
	r = f.mustSync(f.app("web", strings.Replace(nginx, "team: web", "team: shop", 1)))
	f.wantChanges(r.Changes, "configured Ingress/nginx (metadata.annotations.team by stubborn)")
}

func TestEventsBeforeOurAnswerAreNoDrift(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	old := f.get(ingresses, "nginx")
	f.mustSync(f.app("web", strings.Replace(nginx, "team: web", "team: shop", 1)))
	if d := f.Observe(object.Event{Resource: ingresses, Object: old}); d.Repair || d.Text != "" {
		t.Errorf("Observe of an old event = %+v, want nothing to do", d)
	}
	if d := f.Observe(object.Event{Resource: ingresses, Object: old, Deleted: true}); d.Repair {
		t.Errorf("Observe of an old deletion = %+v, want nothing to do", d)
	}
	// A new list does not have it: the object is old, the list is not.
	now := f.get(ingresses, "nginx").GetResourceVersion()
	if d := f.Observe(object.Event{Resource: ingresses, Object: old, Deleted: true, ResourceVersion: now + "0"}); !d.Repair {
		t.Errorf("Observe of an object that a new list misses = %+v, want a repair", d)
	}
}

func TestAnObjectThatAnotherClientRecreatedIsJudgedAgain(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.blind() // the watches do not see it
	if err := f.admin.Resource(object.Services).Namespace(f.namespace).Delete(t.Context(), "nginx", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.create("kubectl", earlier)
	f.plan.Apps[0].Objects = f.objects("web", strings.Replace(nginx, "8080", "8081", 1))
	f.counter.reset()
	r := f.Apply(f.plan)
	if got := describeChanges(r.Changes)[0]; got != "adopted Service/nginx" {
		t.Errorf("change = %s, want the other's Service adopted", got)
	}
	kept, err := f.Backups().List(t.Context())
	if err != nil || len(kept) != 1 || kept[0].Content.GetLabels()["tier"] != "gold" {
		t.Errorf("kept %d objects, %v, want the other's Service", len(kept), err)
	}
}

func TestAnObjectThatIsGoneIsMadeAgainBeforeItsEventComes(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.blind()
	if err := f.admin.Resource(object.Services).Namespace(f.namespace).Delete(t.Context(), "nginx", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.plan.Apps[0].Objects = f.objects("web", strings.Replace(nginx, "targetPort: 8080", "targetPort: 8081", 1))
	f.counter.reset()
	r := f.Apply(f.plan)
	f.wantChanges(r.Changes, "created Service/nginx")
	f.wantRequests("PATCH services/nginx", "GET services/nginx", "PATCH services/nginx")
}

// Changing the key of a list's item creates another one, next to which the API server
// does not accept ours. That one is removed, and what users added elsewhere stays.
func TestAnItemWhoseKeySomebodyChangedIsPutBack(t *testing.T) {
	const other, otherNodePort = `[{"name":"http","port":83,"targetPort":8080}]`, `[{"name":"http","port":83,"targetPort":8080,"nodePort":NODEPORT}]`
	for _, c := range []struct{ name, who, change string }{
		{"the port of a Service", "dashboard", other},
		{"the protocol of a Service, which Git leaves to its default", "dashboard", `[{"name":"http","port":80,"protocol":"UDP","targetPort":8080}]`},
		{"the port of a NodePort", "dashboard", otherNodePort},
		{"the port of a NodePort, by an unknown tool", "manager", otherNodePort},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := c.change
			f := newFixture(t)
			service, _, _ := strings.Cut(nginx, "\n---\n")
			if strings.Contains(change, "NODEPORT") {
				service = strings.Replace(service, "spec:\n", "spec:\n  type: NodePort\n", 1)
			}
			f.mustSync(f.app("web", service))
			live := f.get(object.Services, "nginx")
			port, _, _ := unstructured.NestedSlice(live.Object, "spec", "ports")
			number := "0"
			if n, ok := port[0].(map[string]any)["nodePort"].(int64); ok {
				number = strconv.FormatInt(n, 10)
			}
			f.patchAs(c.who, object.Services, "nginx", `{"metadata":{"annotations":{"note":"kept"}}}`)
			// Like kubectl replace: the list is replaced.
			f.mergeAs(c.who, object.Services, "nginx", `{"spec":{"ports":`+strings.ReplaceAll(change, "NODEPORT", number)+`}}`)
			f.repair()
			f.until("the port is back", func() bool {
				ports, _, _ := unstructured.NestedSlice(f.get(object.Services, "nginx").Object, "spec", "ports")
				return len(ports) == 1 && ports[0].(map[string]any)["port"] == int64(80) && ports[0].(map[string]any)["protocol"] == "TCP"
			})
			if note := f.get(object.Services, "nginx").GetAnnotations()["note"]; note != "kept" {
				t.Errorf("the annotation that somebody added is %q", note)
			}
			if s := f.complete(10 * time.Second); slices.ContainsFunc(s.Findings, func(one federation.Finding) bool { return one.ID != "foreign" }) {
				t.Errorf("findings = %v", s.Findings)
			}
		})
	}
}

// mergeAs changes an object with a JSON merge patch, which replaces lists as a whole.
func (f *fixture) mergeAs(who string, gvr schema.GroupVersionResource, name, patch string) {
	f.Helper()
	_, err := f.admin.Resource(gvr).Namespace(f.namespace).Patch(f.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: who})
	if err != nil {
		f.Fatal(err)
	}
}
