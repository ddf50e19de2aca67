package apply

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

func (f *fixture) wantParent(kinds, spaces string) {
	f.Helper()
	annotations := f.parent().GetAnnotations()
	if got := annotations["applyset.kubernetes.io/contains-group-kinds"]; got != kinds {
		f.Errorf("kinds of the parent = %q, want %q", got, kinds)
	}
	if got := annotations["applyset.kubernetes.io/additional-namespaces"]; got != spaces {
		f.Errorf("namespaces of the parent = %q, want %q", got, spaces)
	}
}

func TestWhatLeavesGitIsPruned(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.wantParent("Ingress.networking.k8s.io,ReplicaSet.apps,Service", f.namespace)
	u := f.parent()
	if got, want := u.GetLabels()[inventory.LabelParentID], inventory.PartOf(f.federation, "web"); got != want {
		t.Errorf("id of the parent = %q, want %q", got, want)
	}
	if got := u.GetAnnotations()["applyset.kubernetes.io/tooling"]; got != "fedsync/v0.0.1" {
		t.Errorf("tooling = %q, want fedsync/v0.0.1", got)
	}

	less := strings.Join(strings.Split(nginx, "\n---\n")[:2], "\n---\n")
	r := f.mustSync(f.app("web", less))
	f.wantChanges(r.Changes, "pruned Ingress/nginx")
	f.wantRequests("DELETE ingresses/nginx", "GET ingresses/nginx", "PATCH configmaps/"+inventory.ParentName(f.federation, "web"))
	f.wantParent("ReplicaSet.apps,Service", f.namespace)

	// An app that leaves takes everything with it, including its inventory.
	r = f.mustSync(federation.AppPlan{App: "web", Prune: federation.PruneAllowed})
	f.wantChanges(r.Changes, "pruned Service/nginx", "pruned ReplicaSet/nginx")
	got := f.counter.requests() // some may be repeated, as the ReplicaSet's status changes
	if first, last := slices.Index(got, "DELETE replicasets/nginx"), slices.Index(got, "DELETE services/nginx"); first < 0 || last < first {
		t.Errorf("requests = %q, want the ReplicaSet deleted before the Service", got)
	}
	_, err := f.admin.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Get(t.Context(), inventory.ParentName(f.federation, "web"), metav1.GetOptions{})
	if err == nil {
		t.Error("the parent is still there, want it gone with the app")
	}
}

func TestPruneLeavesWhatIsNotOurs(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx, deployment))
	label := `{"metadata":{"labels":{"` + inventory.LabelPartOf + `":"` + inventory.PartOf(f.federation, "web") + `"}}}`
	// A label copied to an object with a controller, and even an entry of ours.
	var copied string
	f.until("the Deployment has its ReplicaSet", func() bool {
		list, err := f.admin.Resource(replicaSets).Namespace(f.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=echo"})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) > 0 {
			copied = list.Items[0].GetName()
		}
		return copied != ""
	})
	body := `{"apiVersion":"apps/v1","kind":"ReplicaSet",` + label[1:]
	if _, err := f.admin.Resource(replicaSets).Namespace(f.namespace).Patch(t.Context(), copied, types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: ownership.FieldManager}); err != nil {
		t.Fatal(err)
	}
	// A label that a user copied: no entry of ours.
	f.create("kubectl", strings.Replace(earlier, "name: nginx", "name: mine", 1))
	f.patchAs("kubectl", object.Services, "mine", label)
	f.until("the labels are seen", func() bool {
		seen := false
		f.WithState(func(t *state.State) {
			mine := t.Rows[federation.ObjectRef{Kind: "Service", Namespace: f.namespace, Name: "mine"}]
			other := t.Rows[federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: f.namespace, Name: copied}]
			seen = mine != nil && other != nil && other.Live.Owned
		})
		return seen
	})

	r := f.mustSync(f.app("web", strings.Split(nginx, "\n---\n")[0], deployment))
	f.wantChanges(r.Changes, "pruned ReplicaSet/nginx", "pruned Ingress/nginx")
	if !f.exists(object.Services, "mine") || !f.exists(replicaSets, copied) {
		t.Error("an object that is not ours was pruned")
	}
}

func TestPruneFollowsThePlan(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	less, _, _ := strings.Cut(nginx, "\n---\n")
	for verdict, id := range map[federation.PruneVerdict]string{
		federation.PruneHeld: "held", federation.PruneWaiting: "prune", federation.PruneOff: "prune",
	} {
		app := f.app("web", less)
		app.Prune = verdict
		r := f.mustSync(app)
		f.wantRequests()
		f.wantFinding(r.Findings, id, "2 objects that left Git")
	}
	broken := federation.AppPlan{App: "web", Prune: federation.PruneAllowed, Broken: true}
	f.mustSync(broken)
	f.wantRequests()
	// The objects of a broken app are maintained.
	f.patchAs("kubectl", object.Services, "nginx", `{"metadata":{"labels":{"app":"x"}}}`)
	f.wantChanges(f.repair(), "configured Service/nginx (metadata.labels.app by kubectl)")

	failing := f.app("web", strings.Replace(less, "port: 80,", "port: 80000,", 1))
	r := f.sync(failing)
	f.wantFinding(r.Findings, "prune", "2 objects that left Git")
	if !f.exists(ingresses, "nginx") {
		t.Error("an object was pruned although another could not be applied")
	}
}

func TestAnObjectMovesBetweenApps(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	uid := f.get(object.Services, "nginx").GetUID()
	docs := strings.Split(nginx, "\n---\n")
	r := f.mustSync(f.app("web", docs[1], docs[2]), f.app("shop", docs[0]))
	f.wantChanges(r.Changes, "configured Service/nginx")
	u := f.get(object.Services, "nginx")
	if u.GetUID() != uid || u.GetLabels()[inventory.LabelPartOf] != inventory.PartOf(f.federation, "shop") {
		t.Errorf("uid %s, label %s: want the same object with the label of shop", u.GetUID(), u.GetLabels()[inventory.LabelPartOf])
	}
	f.wantParent("Ingress.networking.k8s.io,ReplicaSet.apps", f.namespace)

	// An app that is renamed loses nothing.
	r = f.mustSync(federation.AppPlan{App: "web", Prune: federation.PruneAllowed}, f.app("shop", docs...))
	f.wantChanges(r.Changes, "configured ReplicaSet/nginx", "configured Ingress/nginx")
}

func TestNoPruneBeforeTheKindsAreListed(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.start("one")
	f.plan = federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{{App: "web", Prune: federation.PruneAllowed}}}
	r := f.Apply(f.plan)
	for _, kind := range []string{"Ingress.networking.k8s.io (", "ReplicaSet.apps (", "Service ("} {
		f.wantFinding(r.Findings, "prune", kind)
	}
	f.get(object.Services, "nginx")
	f.parent()
	r = f.mustSync(f.plan.Apps...)
	f.wantChanges(r.Changes, "pruned Service/nginx", "pruned ReplicaSet/nginx", "pruned Ingress/nginx")
}

// TestKilledAnywhereTheNextOneConverges stops an applier before its n-th request, for
// every n, and starts another.
func TestKilledAnywhereTheNextOneConverges(t *testing.T) {
	docs := strings.Split(nginx, "\n---\n")
	for n := 1; ; n++ {
		f := newFixture(t)
		f.create("kubectl-client-side-apply", earlier)
		f.mustSync(f.app("old", docs[2]))
		count := 0
		f.counter.failWith(func(*http.Request) error {
			count++
			if count >= n {
				return errCut
			}
			return nil
		})
		plan := []federation.AppPlan{f.app("web", docs[0], docs[1]), {App: "old", Prune: federation.PruneAllowed}}
		r := f.sync(plan...)
		if r.Complete && count < n {
			return // it completed
		}
		if n > 40 {
			t.Fatal("the applier never stops making requests")
		}
		f.start("two")
		r = f.mustSync(plan...)
		if diff := f.get(object.Services, "nginx"); diff.GetLabels()["tier"] != "" || diff.GetLabels()["app"] != "nginx" {
			t.Errorf("cut at %d: labels = %v, want the adopted object to conform", n, diff.GetLabels())
		}
		if !f.exists(replicaSets, "nginx") || f.exists(ingresses, "nginx") {
			t.Errorf("cut at %d: want the ReplicaSet to be there and the Ingress to be gone; changes %v", n, describeChanges(r.Changes))
		}
		kept, err := f.Backups().List(t.Context())
		if err != nil || len(kept) == 0 || kept[0].Content.GetLabels()["tier"] != "gold" {
			t.Errorf("cut at %d: kept %d objects, %v, want the Service as it was first", n, len(kept), err)
		}
		f.mustSync(plan[0])
		f.wantRequests()
	}
}

func TestAnObjectThatChangesBeforeItsDeletionIsJudgedAgain(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	less := strings.Join(strings.Split(nginx, "\n---\n")[1:], "\n---\n")
	f.counter.failWith(func(r *http.Request) error {
		if r.Method == http.MethodDelete {
			f.counter.failWith(nil)
			// At the last moment another client takes it over.
			f.patchAs("kubectl", object.Services, "nginx", `{"metadata":{"labels":{"`+inventory.LabelPartOf+`":null}}}`)
		}
		return nil
	})
	f.mustSync(f.app("web", less))
	if !f.exists(object.Services, "nginx") {
		t.Error("the Service was deleted although it was no longer ours")
	}
}
