package apply

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestTheNewestInstanceWritesAndTheOlderStops(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	second, _ := f.newApplier("two")
	if err := second.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.until("the older instance is fenced", func() bool { _, ok := f.Fenced(); return ok })
	if by, _ := f.Fenced(); by != "two" {
		t.Errorf("fenced by %q, want two", by)
	}
	f.patchAs("kubectl", services, "nginx", `{"metadata":{"labels":{"app":"x"}}}`)
	r := f.sync(f.app("web", strings.Replace(nginx, "8080", "8081", 1)))
	f.wantFinding(r.Findings, "fenced", "instance two writes this federation now")
	f.wantRequests()
	if changes := f.Repair(t.Context()).Changes; len(changes) > 0 {
		t.Errorf("a fenced applier repaired %v", describeChanges(changes))
	}
	if second.fencedBy != "" {
		t.Error("the newer instance is fenced too")
	}
}

func TestAnInstanceThatMissedItsSuccessorLosesAtItsNextWrite(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", strings.Split(nginx, "\n---\n")[0]))
	f.stop() // its watches with it
	second, _ := f.newApplier("two")
	if err := second.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.plan.Apps[0].Objects = f.objects("web", nginx) // needs a wider inventory
	r := f.Apply(t.Context(), f.plan)
	f.wantFinding(r.Findings, "fenced", "two")
	if f.exists(ingresses, "nginx") {
		t.Error("the older instance wrote an object")
	}
}

func TestTheSameInstanceStartsWithoutAWrite(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	before := f.parent().GetResourceVersion()
	f.start("one")
	for _, r := range f.counter.requests() {
		if !strings.HasPrefix(r, "GET ") {
			t.Errorf("request at the start: %s, want reads alone", r)
		}
	}
	f.start("two")
	u := f.parent()
	if u.GetResourceVersion() == before || u.GetAnnotations()[annotationInstance] != "two" {
		t.Errorf("instance = %s, want two", u.GetAnnotations()[annotationInstance])
	}
}

func TestAnotherSourceIsRefused(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	before := f.versions()
	f.start("two", func(o *Options) { o.Source = "source-2" })
	r := f.sync(f.app("web", strings.Replace(nginx, "8080", "8081", 1)))
	got := f.wantFinding(r.Findings, "owned", "another source")
	if !strings.Contains(got.Remedy, "kubectl annotate") {
		t.Errorf("remedy = %q, want the command that takes over", got.Remedy)
	}
	if r.Complete {
		t.Error("Apply is complete, want it not to be")
	}
	f.wantRequests()
	if after := f.versions(); after != before {
		t.Errorf("resourceVersions = %s, want %s: nothing written", after, before)
	}
	// Another app of this source is nobody else's.
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
	if err := f.admin.Resource(configMaps).Namespace(Namespace).Delete(t.Context(), ParentName(f.federation, "web"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.until("the deletion is seen", func() bool { return len(f.Parents()) == 0 })
	f.counter.reset()
	f.Repair(t.Context())
	f.wantRequests("POST " + Namespace + "/configmaps")
	f.wantParent("Ingress.networking.k8s.io,ReplicaSet.apps,Service", f.namespace)
}

func TestAParentThatSomebodyEmptiesIsFilledAgain(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	_, err := f.admin.Resource(configMaps).Namespace(Namespace).Patch(t.Context(), ParentName(f.federation, "web"), types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"`+annotationGroupKinds+`":""}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.until("the change is seen", func() bool {
		f.table.mu.Lock()
		defer f.table.mu.Unlock()
		return len(f.parents["web"].kinds) == 0
	})
	f.Repair(t.Context())
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
			t.Errorf("Diff does not say %q; it says\n%s", want, all)
		}
	}
	if strings.Contains(all, "aHVudGVy") || strings.Contains(all, "hunter") {
		t.Errorf("Diff shows a Secret's content:\n%s", all)
	}
	if len(got) != 6 {
		t.Errorf("Diff has %d objects, want 6:\n%s", len(got), all)
	}
}
