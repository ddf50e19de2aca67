package takeover_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"

	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/takeover"
)

var (
	secrets  = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	services = schema.GroupVersionResource{Version: "v1", Resource: "services"}
)

// renamed is a world in which federation shop was renamed to store.
type renamed struct {
	*world
	options takeover.RenameOptions
}

func newRenamed(t *testing.T, clusters ...string) *renamed {
	t.Helper()
	w := &renamed{world: newWorld(t, clusters...)}
	w.options = takeover.RenameOptions{
		Options: w.world.options,
		Former:  inventory.Owner{Federation: "shop", Source: there},
		Mappers: map[string]takeover.Mapper{},
	}
	w.options.Owner.Federation = "store"
	for name, s := range w.stores {
		kinds, err := discovery.NewDiscoveryClientForConfig(s.Config())
		if err != nil {
			t.Fatal(err)
		}
		w.options.Mappers[name] = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds))
		w.fill(name)
	}
	return w
}

// fill adds the objects of federation shop to a cluster, and some of others.
func (w *renamed) fill(cluster string) {
	w.t.Helper()
	web := inventory.Parent{Federation: "shop", App: "web", Source: there, Instance: "old-0"}
	for _, ref := range []string{"ConfigMap/default/a", "Service/default/a", "gone.example/Thing/default/a"} {
		parsed, err := federation.ParseObjectRef(ref)
		if err != nil {
			w.t.Fatal(err)
		}
		web.Add(parsed)
	}
	parents := w.world.options.Clients[cluster].Resource(configMaps).Namespace(claim.Namespace)
	if err := parents.Delete(w.t.Context(), inventory.ParentName("shop", "web"), metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.create(cluster, configMaps, claim.Namespace, web.Object("").Object)
	object := func(kind schema.GroupVersionResource, name, namespace string, labels map[string]any, more map[string]any) {
		content := map[string]any{"apiVersion": "v1", "kind": map[string]string{"configmaps": "ConfigMap", "services": "Service", "secrets": "Secret"}[kind.Resource]}
		metadata := map[string]any{"name": name, "namespace": namespace, "labels": labels}
		maps.Copy(metadata, more)
		content["metadata"] = metadata
		if kind == services {
			content["spec"] = map[string]any{"ports": []any{map[string]any{"port": int64(80)}}}
		}
		w.create(cluster, kind, namespace, content)
	}
	ours := map[string]any{inventory.LabelPartOf: inventory.PartOf("shop", "web")}
	for i := range 3 {
		object(configMaps, fmt.Sprint("a", i), "default", ours, nil)
	}
	object(services, "a", "default", ours, nil)
	// A cluster deletes objects whose owner has another uid.
	owner, err := w.world.options.Clients[cluster].Resource(services).Namespace("default").Get(w.t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	object(configMaps, "copied", "default", ours, map[string]any{"ownerReferences": []any{map[string]any{
		"apiVersion": "v1", "kind": "Service", "name": "a", "uid": string(owner.GetUID()), "controller": true,
	}}})
	object(configMaps, "other", "default", map[string]any{inventory.LabelPartOf: inventory.PartOf("blog", "web")}, nil)
	object(secrets, "kept", claim.Namespace, map[string]any{inventory.LabelKept: "true", inventory.LabelFederation: "shop"}, nil)
	w.create(cluster, configMaps, claim.Namespace, inventory.Proof{Federation: "shop", Secret: "kept"}.ConfigMap().Object)
}

// labels returns the labelled objects of a cluster, as "kind/name federation".
func (w *renamed) labels(cluster string) string {
	w.t.Helper()
	client := w.world.options.Clients[cluster]
	names := map[string]string{}
	for _, f := range []string{"shop", "store", "blog"} {
		for _, app := range []string{"web", "echo"} {
			names[inventory.PartOf(f, app)] = f
		}
	}
	var all []string
	for _, kind := range []schema.GroupVersionResource{configMaps, services, secrets, claim.Resource} {
		list, err := client.Resource(kind).List(w.t.Context(), metav1.ListOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, u := range list.Items {
			whose := names[u.GetLabels()[inventory.LabelPartOf]]
			for _, label := range []string{inventory.LabelFederation, inventory.LabelProves} {
				whose += u.GetLabels()[label]
			}
			all = append(all, strings.TrimSpace(u.GetName()+" "+whose))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

const (
	asShop = "a shop, a0 shop, a1 shop, a2 shop, copied shop, fedsync-claim-shop, fedsync-shop-echo shop, fedsync-shop-web shop, kept shop, kept shop, other blog"
	// An object that a controller copied is the controller's to change.
	asStore = "a store, a0 store, a1 store, a2 store, copied shop, fedsync-store-echo store, fedsync-store-web store, kept store, kept store, other blog"
)

func (w *renamed) rename(force bool) ([]takeover.Moved, error) {
	w.t.Helper()
	return takeover.Rename(w.t.Context(), w.options, takeover.InspectFormer(w.t.Context(), w.options), force)
}

func (w *renamed) wantLabels(when, want string) {
	w.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(w.stores)) {
		if got := w.labels(name); got != want {
			w.t.Errorf("%s: %s has\n%s, want\n%s", when, name, got, want)
		}
	}
}

func TestARenamedFederationIsMovedToItsName(t *testing.T) {
	w := newRenamed(t, "asia", "europe")
	for _, s := range w.stores {
		s.ForgetRequests()
	}
	for _, c := range takeover.InspectFormer(t.Context(), w.options) {
		if c.Err != nil || !c.HasFormer() || !slices.Equal(c.Ours, []string{"echo", "web"}) {
			t.Errorf("%+v, want what the cluster has of federation shop", c)
		}
	}
	for name, s := range w.stores {
		if n := s.Count(func(e objectstore.Entry) bool { return e.Method != http.MethodGet }); n != 0 {
			t.Errorf("%s: a look writes %d times", name, n)
		}
	}
	w.wantLabels("before", asShop)
	moved, err := w.rename(false)
	for _, m := range moved {
		if err != nil || m.Err != nil || !m.Claim || !slices.Equal(m.Apps, []string{"echo", "web"}) {
			t.Errorf("%+v, %v, want the claim and both apps", m, err)
		}
	}
	w.wantLabels("afterwards", asStore)
	client := w.world.options.Clients["asia"]
	u, err := client.Resource(configMaps).Namespace(claim.Namespace).Get(t.Context(), inventory.ParentName("store", "web"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := inventory.Read(u)
	if why, _ := w.options.Owner.Refusal("web", p); why != "" || len(p.Kinds) != 3 || !p.Namespaces["default"] {
		t.Errorf("the inventory is %+v (%s), want the kinds and namespaces of the one before", p, why)
	}
	for _, c := range takeover.InspectFormer(t.Context(), w.options) {
		if c.Err != nil || c.HasFormer() {
			t.Errorf("afterwards: %+v, want nothing under the name before", c)
		}
	}
	for _, s := range w.stores {
		s.ForgetRequests()
	}
	if _, err := w.rename(false); err != nil {
		t.Error(err)
	}
	for name, s := range w.stores {
		if n := s.Count(func(e objectstore.Entry) bool { return e.Method != http.MethodGet }); n != 0 {
			t.Errorf("%s: %d writes where nothing is to be moved", name, n)
		}
	}
}

func TestARenameMayBeInterruptedAnywhereAndRunAgain(t *testing.T) {
	for _, lost := range []bool{false, true} { // the answer, or the request
		for cut := 0; ; cut++ {
			w := newRenamed(t, "asia")
			var writes atomic.Int64
			w.stores["asia"].SetFaults(func(r *objectstore.Request) objectstore.Action {
				if r.HTTP.Method == http.MethodGet || writes.Add(1) <= int64(cut) {
					return objectstore.Action{}
				}
				return objectstore.Action{Drop: !lost, LoseAnswer: lost}
			})
			moved, err := w.rename(false)
			whole := err == nil && !slices.ContainsFunc(moved, func(m takeover.Moved) bool { return m.Err != nil })
			w.stores["asia"].SetFaults()
			got := w.labels("asia")
			if strings.Contains(got, "fedsync-store") {
				s, err := claim.Read(t.Context(), w.world.options.Clients["asia"], "shop")
				if err != nil || s.Version != "" && !s.OfAnother(there) {
					t.Errorf("cut after %d: an inventory was moved before the claim: %+v, %v", cut, s, err)
				}
			}
			// Each object is in an inventory that exists.
			for _, name := range []string{"shop", "store"} {
				if strings.Contains(got, "a0 "+name) && !strings.Contains(got, "fedsync-"+name+"-web") {
					t.Errorf("cut after %d: objects of %s without its inventory: %s", cut, name, got)
				}
			}
			if moved, err := w.rename(false); err != nil || moved[0].Err != nil {
				t.Errorf("cut after %d, and again: %+v, %v", cut, moved, err)
			}
			w.wantLabels(fmt.Sprintf("cut after %d", cut), asStore)
			if whole {
				if cut < 10 {
					t.Errorf("it takes %d writes, want at least one for each object", cut)
				}
				break
			}
			if cut > 50 {
				t.Fatal("it never ends")
			}
		}
	}
}

func TestNothingIsRenamedWhileAnInstanceOfTheFormerNameRuns(t *testing.T) {
	w := newRenamed(t, "asia", "europe")
	stop := w.run("europe")
	if _, err := w.rename(false); !isAlive(err) {
		t.Fatalf("Rename = %v, want an AliveError", err)
	}
	w.wantLabels("while it runs", asShop)
	stop()
	if _, err := w.rename(false); err != nil {
		t.Error(err)
	}
	w.wantLabels("after it has ended", asStore)
}

func isAlive(err error) bool {
	_, alive := errors.AsType[*takeover.AliveError](err)
	return alive
}

func TestOnlyObjectsOfTheSameSourceAreRenamed(t *testing.T) {
	w := newRenamed(t, "asia")
	w.options.Former.Source = "third-source"
	moved, err := w.rename(true)
	if err != nil || moved[0].Err == nil || !strings.Contains(moved[0].Err.Error(), "belongs to another source there (instance old-0") {
		t.Errorf("Rename = %+v, %v, want it refused", moved, err)
	}
	w.wantLabels("afterwards", asShop)
}

func TestObjectsThatHaveTheNewNameAlreadyStay(t *testing.T) {
	w := newRenamed(t, "asia")
	there := inventory.Parent{Federation: "store", App: "web", Source: here, Instance: "new-0"}
	there.Add(federation.ObjectRef{Kind: "Secret", Namespace: "other", Name: "x"})
	w.create("asia", configMaps, claim.Namespace, there.Object("").Object)
	foreign := inventory.Parent{Federation: "store", App: "echo", Source: "somebody-else"}
	w.create("asia", configMaps, claim.Namespace, foreign.Object("").Object)
	moved, err := w.rename(false)
	if err != nil || moved[0].Err == nil || !strings.Contains(moved[0].Err.Error(), "app echo: ConfigMap fedsync-system/fedsync-store-echo: it belongs to another source") {
		t.Errorf("Rename = %+v, %v, want app echo refused", moved, err)
	}
	u, err := w.world.options.Clients["asia"].Resource(configMaps).Namespace(claim.Namespace).Get(t.Context(), inventory.ParentName("store", "web"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p := inventory.Read(u); len(p.Kinds) != 4 || !p.Namespaces["other"] || p.Instance != "new-0" {
		t.Errorf("the inventory of web is %+v, want what both had", p)
	}
	if got := w.labels("asia"); !strings.Contains(got, "fedsync-claim-shop") || !strings.Contains(got, "fedsync-shop-echo shop") || strings.Contains(got, "a0 shop") {
		t.Errorf("the cluster has %s, want echo and the claim as they were, and web moved", got)
	}
}

// The new name's inventory may already record that a Job ended, and contain fields of
// other clients.
func TestJobsThatEndedUnderTheFormerNameStayEnded(t *testing.T) {
	w := newRenamed(t, "asia")
	parents := w.world.options.Clients["asia"].Resource(configMaps).Namespace(claim.Namespace)
	record := func(federation string, ended map[string]any) {
		t.Helper()
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{"team": "shop"}}, "data": ended})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parents.Patch(t.Context(), inventory.ParentName(federation, "web"), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	record("shop", map[string]any{"job.default.migrate": "Complete a", "job.default.seed": "Failed b"})
	web := inventory.Parent{Federation: "store", App: "web", Source: here, Instance: "new-0"}
	w.create("asia", configMaps, claim.Namespace, web.Object("").Object)
	record("store", map[string]any{"job.default.seed": "Complete c", "job.default.later": "Complete d"})
	if moved, err := w.rename(false); err != nil || moved[0].Err != nil {
		t.Fatalf("Rename = %+v, %v", moved, err)
	}
	u, err := parents.Get(t.Context(), inventory.ParentName("store", "web"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]inventory.Ended{
		"job.default.migrate": {Digest: "a"}, "job.default.seed": {Digest: "c"}, "job.default.later": {Digest: "d"},
	}
	if diff := cmp.Diff(want, inventory.Read(u).Ended); diff != "" {
		t.Errorf("the ended Jobs of the inventory (-want +got):\n%s", diff)
	}
	if team := u.GetLabels()["team"]; team != "shop" {
		t.Errorf("the label that somebody gave the inventory is %q, want it kept", team)
	}
}
