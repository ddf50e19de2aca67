package apply

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestParentsBearTheInstanceThatWrites(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	before := f.parent().GetResourceVersion()
	f.start("one")
	f.mustSync(f.app("web", nginx))
	f.wantRequests()
	f.start("two")
	f.mustSync(f.app("web", nginx))
	f.wantRequests("PATCH configmaps/" + inventory.ParentName(f.federation, "web"))
	u := f.parent()
	if u.GetResourceVersion() == before || u.GetAnnotations()["fedsync.dev/instance"] != "two" {
		t.Errorf("instance = %s, want two", u.GetAnnotations()["fedsync.dev/instance"])
	}
	// Another client writes another name while nothing else is to be done.
	_, err := f.admin.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Patch(t.Context(), u.GetName(), types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"fedsync.dev/instance":"one"}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.until("the name is seen", func() bool { return f.parentOfWeb().Instance == "one" })
	f.settle()
	if got := f.parent().GetAnnotations()["fedsync.dev/instance"]; got != "two" {
		t.Errorf("instance = %s, want two", got)
	}
}

// parentOfWeb returns what is known about the parent of the app web.
func (f *fixture) parentOfWeb() (p *write.Parent) {
	f.WithState(func(t *state.State) { p = t.App("web").Parent })
	return p
}

func TestAFormerSourceIsAcceptedAndReplacedOnce(t *testing.T) {
	f := newFixture(t)
	f.start("one", func(o *Options) { o.Source = "source-0" })
	f.mustSync(f.app("web", nginx))
	former := func(o *Options) { o.FormerSources = []string{"source-0"} }
	f.start("one", former)
	f.mustSync(f.app("web", nginx))
	f.wantRequests("PATCH configmaps/" + inventory.ParentName(f.federation, "web"))
	if got := f.parent().GetAnnotations()["fedsync.dev/source"]; got != "source-1" {
		t.Errorf("source = %s, want source-1", got)
	}
	f.start("one", former)
	f.mustSync(f.app("web", nginx))
	f.wantRequests()
}

func TestNothingIsWrittenWhileWritesAreNotAllowed(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	before := f.versions()
	changed := strings.Replace(nginx, "8080", "8081", 1)
	f.Want(federation.ClusterPlan{Cluster: f.cluster, Revision: federation.Revision{SHA: "next"}, Apps: []federation.AppPlan{f.app("web", changed)}})
	f.patchAs("kubectl", object.Services, "nginx", `{"metadata":{"labels":{"app":"x"}}}`)
	f.until("the change is seen", func() bool { return len(f.due()) > 0 })
	if s := f.now(); s.Tried || s.Complete {
		t.Errorf("tried %v, complete %v: want neither", s.Tried, s.Complete)
	}
	if got := f.get(object.Services, "nginx").GetLabels()["app"]; got != "x" {
		t.Errorf("label app = %q, want it unchanged", got)
	}
	if after := f.parent().GetResourceVersion(); !strings.HasSuffix(before, after) {
		t.Error("the inventory was written")
	}
	f.settle()
	if got := f.get(object.Services, "nginx").GetLabels()["app"]; got != "nginx" {
		t.Errorf("label app = %q, want it restored", got)
	}
}

// TestAWriterThatIsStoppedInTheMiddleMakesNoMoreWrite forbids writes before the n-th
// request of one adoption, for every n.
func TestAWriterThatIsStoppedInTheMiddleMakesNoMoreWrite(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture(t)
		f.create("kubectl-client-side-apply", earlier)
		count := 0
		f.counter.failWith(func(r *http.Request) error {
			if count >= n && r.Method != http.MethodGet {
				t.Errorf("%s %s after writes were forbidden", r.Method, r.URL.Path)
			}
			if count++; count >= n {
				f.open.Store(false)
			}
			return nil
		})
		f.plan = federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{f.app("web", strings.Split(nginx, "\n---\n")[0])}}
		f.learnKinds()
		f.watch()
		f.open.Store(true)
		f.Want(f.plan)
		f.until("it ends", func() bool {
			f.unwatched()
			done := true
			f.WithState(func(t *state.State) {
				t.EachFlight(func(*state.Flight) { done = false })
				done = done && (!f.open.Load() || t.Complete())
			})
			return done
		})
		done := f.open.Load()
		f.counter.failWith(nil)
		for _, e := range f.now().Findings {
			t.Errorf("finding %v, want none: nothing was refused", e)
		}
		if r := f.sync(f.plan.Apps...); !r.Complete {
			t.Errorf("stopped at request %d: not complete afterwards: %v", n, r.Findings)
		}
		if got := f.get(object.Services, "nginx").GetLabels(); got["tier"] != "" || got["app"] != "nginx" {
			t.Errorf("stopped at request %d: labels = %v, want the object to conform", n, got)
		}
		if done {
			return
		}
		if n > 40 {
			t.Fatal("the applier never stops making requests")
		}
	}
}

func TestAnotherSourceIsRefused(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	before := f.versions()
	f.start("two", func(o *Options) { o.Source = "source-2" })
	r := f.sync(f.app("web", strings.Replace(nginx, "8080", "8081", 1)))
	got := f.wantFinding(r.Findings, "owned", "another source")
	if !strings.Contains(got.Remedy.String(), "fedsync takeover") {
		t.Errorf("remedy = %q, want the command that takes over", got.Remedy)
	}
	if r.Complete {
		t.Error("Apply is complete, want it not to be")
	}
	f.wantRequests()
	if after := f.versions(); after != before {
		t.Errorf("resourceVersions = %s, want %s: nothing written", after, before)
	}
	// Another app of this source is not affected.
	f.sync(f.app("web", nginx), f.app("shop", deployment))
	f.get(deployments, "echo")
}

func TestAParentOfAnotherFederationWithTheSameNameIsRefused(t *testing.T) {
	f := newFixture(t)
	name := f.federation
	f.federation = name + "-a"
	f.start("one")
	f.mustSync(f.app("b", nginx))
	t.Cleanup(func() { f.federation = name + "-a" }) // for the clean-up of the fixture
	f.federation = name
	f.start("one")
	r := f.sync(f.app("a-b", deployment))
	f.wantFinding(r.Findings, "owned", `app "b" of federation`)
}

func TestADeletedParentIsMadeAgain(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.watch()
	if err := f.admin.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Delete(t.Context(), inventory.ParentName(f.federation, "web"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.until("the deletion is seen", func() bool { return f.parentOfWeb() == nil })
	f.counter.reset()
	f.settle()
	f.wantRequests("POST " + federation.SystemNamespace + "/configmaps")
	f.wantParent("Ingress.networking.k8s.io,ReplicaSet.apps,Service", f.namespace)
}

func TestAParentThatSomebodyEmptiesIsFilledAgain(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	_, err := f.admin.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Patch(t.Context(), inventory.ParentName(f.federation, "web"), types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"applyset.kubernetes.io/contains-group-kinds":""}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.until("the change is seen", func() bool { return len(f.parentOfWeb().Kinds) == 0 })
	f.settle()
	f.wantParent("Ingress.networking.k8s.io,ReplicaSet.apps,Service", f.namespace)
}

func TestDiffSaysWhatApplyWouldDoAndWritesNothing(t *testing.T) {
	f := newFixture(t)
	secret := `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: NAMESPACE}
stringData: {password: hunter2}`
	docs := strings.Split(nginx, "\n---\n")
	f.mustSync(f.app("web", docs[1], docs[2], secret))
	f.create("kubectl-client-side-apply", earlier)
	f.stop()
	f.start("one")
	plan := f.plan
	plan.Apps[0].Objects = f.objects("web", docs[0], strings.Replace(docs[1], "replicas: 1", "replicas: 3", 1),
		strings.Replace(secret, "hunter2", "hunter3", 1), deployment, strings.Replace(serviceWith("bad", 1), "port: 80, nodePort: 1", "port: 99999", 1))
	before := f.versions()
	f.counter.failWith(func(r *http.Request) error {
		if r.Method != http.MethodGet && r.URL.Query().Get("dryRun") != "All" {
			t.Errorf("%s %s is no dry run", r.Method, r.URL)
		}
		return nil
	})
	got, err := f.Diff(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if after := f.versions(); after != before {
		t.Errorf("Diff wrote: resourceVersions %s, want %s", after, before)
	}
	var text []string
	for _, d := range got {
		text = append(text, d.String())
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{
		"adopted Service/" + f.namespace + "/nginx (apps/web/all.yaml)",
		`- spec.ports[port=90,protocol="TCP"]: {"name":"extra"`,
		"- spec.type: \"NodePort\"\n+ spec.type: the default",
		"- metadata.labels.tier: \"gold\"\n",
		"+ spec.template.spec.containers[0].image: \"echo\"",
		"configured apps/ReplicaSet/" + f.namespace + "/nginx (apps/web/all.yaml)\n- spec.replicas: 1\n+ spec.replicas: 3",
		"configured Secret/" + f.namespace + "/key (apps/web/all.yaml)\n- data.password: *** before\n+ data.password: *** after",
		"created apps/Deployment/" + f.namespace + "/echo",
		"failed Service/" + f.namespace + "/bad (apps/web/all.yaml)\n  ! create",
		"pruned networking.k8s.io/Ingress/" + f.namespace + "/nginx",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("Diff does not contain %q; it is\n%s", want, all)
		}
	}
	if strings.Contains(all, "aHVudGVy") || strings.Contains(all, "hunter") {
		t.Errorf("Diff shows a Secret's content:\n%s", all)
	}
	if len(got) != 6 {
		t.Errorf("Diff has %d objects, want 6:\n%s", len(got), all)
	}
}
