package takeover_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/takeover"
)

const (
	here, there = "new-source", "old-source"
	sourceOf    = "fedsync.dev/source"
	oldToken    = "7-0123456789abcdef0123456789abcdef"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// world is clusters that belong to another source.
type world struct {
	t       *testing.T
	stores  map[string]*objectstore.Store
	options takeover.Options
}

func newWorld(t *testing.T, clusters ...string) *world {
	t.Helper()
	w := &world{t: t, stores: map[string]*objectstore.Store{}, options: takeover.Options{
		Owner:   inventory.Owner{Federation: "shop", Source: here},
		Clients: map[string]dynamic.Interface{}, Timeout: 2 * time.Second, AnswerWithin: 300 * time.Millisecond,
	}}
	for _, name := range clusters {
		w.stores[name] = objectstore.New(objectstore.Options{})
		client, err := dynamic.NewForConfig(w.stores[name].Config())
		if err != nil {
			t.Fatal(err)
		}
		w.options.Clients[name] = client
		w.create(name, namespaces, "", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": claim.Namespace}})
		w.create(name, claim.Resource, claim.Namespace, map[string]any{
			"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
			"metadata": map[string]any{
				"name": claim.Name("shop"), "namespace": claim.Namespace,
				"annotations": map[string]any{sourceOf: there, "fedsync.dev/instance": "old-0", "fedsync.dev/host": "hq"},
			},
			"spec": map[string]any{"holderIdentity": oldToken},
		})
		for _, app := range []string{"web", "echo"} {
			p := inventory.Parent{Federation: "shop", App: app, Source: there, Instance: "old-0"}
			w.create(name, configMaps, claim.Namespace, p.Object("").Object)
		}
	}
	return w
}

func (w *world) create(cluster string, kind schema.GroupVersionResource, namespace string, content map[string]any) {
	w.t.Helper()
	_, err := w.options.Clients[cluster].Resource(kind).Namespace(namespace).Create(w.t.Context(), &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// sources returns the owners of a cluster's claim and inventories: "old old old".
func (w *world) sources(cluster string) string {
	w.t.Helper()
	client := w.options.Clients[cluster]
	lease, err := client.Resource(claim.Resource).Namespace(claim.Namespace).Get(w.t.Context(), claim.Name("shop"), metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	words := []string{lease.GetAnnotations()[sourceOf]}
	for _, app := range []string{"echo", "web"} {
		u, err := client.Resource(configMaps).Namespace(claim.Namespace).Get(w.t.Context(), inventory.ParentName("shop", app), metav1.GetOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		words = append(words, u.GetAnnotations()[sourceOf])
	}
	return strings.ReplaceAll(strings.Join(words, " "), "-source", "")
}

func (w *world) wantSources(want string) {
	w.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(w.stores)) {
		if got := w.sources(name); got != want {
			w.t.Errorf("%s: claim and inventories are %q, want %q", name, got, want)
		}
	}
}

func (w *world) move(force bool) ([]takeover.Moved, error) {
	w.t.Helper()
	return takeover.Move(w.t.Context(), w.options, takeover.Inspect(w.t.Context(), w.options), force)
}

// run simulates an instance of the old source, which puts its claim back wherever it
// can, until the test ends or the returned function is called.
func (w *world) run(clusters ...string) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	for _, name := range clusters {
		leases := w.options.Clients[name].Resource(claim.Resource).Namespace(claim.Namespace)
		running.Go(func() {
			for ctx.Err() == nil {
				u, err := leases.Get(ctx, claim.Name("shop"), metav1.GetOptions{})
				if err == nil && u.GetAnnotations()[sourceOf] == there && claim.FromLease(u).Holder.String() != oldToken {
					_ = unstructured.SetNestedField(u.Object, oldToken, "spec", "holderIdentity")
					_, _ = leases.Update(ctx, u, metav1.UpdateOptions{}) // it tries again
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(stop)
	return stop
}

func TestInspectWritesNothing(t *testing.T) {
	w := newWorld(t, "asia", "europe")
	for _, s := range w.stores {
		s.ForgetRequests()
	}
	clusters := takeover.Inspect(t.Context(), w.options)
	if len(clusters) != 2 || clusters[0].Name != "asia" || clusters[0].Source(here) != there || len(clusters[0].Foreign) != 2 || clusters[0].Settled(here) {
		t.Errorf("Look = %+v, want both clusters of the old source", clusters)
	}
	for name, s := range w.stores {
		if n := s.Count(func(e objectstore.Entry) bool { return e.Method != http.MethodGet }); n != 0 {
			t.Errorf("%s: %d writes", name, n)
		}
	}
	w.wantSources("old old old")
}

func TestObjectsOfTheOldSourceAreMovedOneTime(t *testing.T) {
	w := newWorld(t, "asia", "europe", "america")
	moved, err := w.move(false)
	if err != nil || len(moved) != 3 {
		t.Fatalf("Move = %+v, %v", moved, err)
	}
	for _, m := range moved {
		if slices.Sort(m.Apps); m.Err != nil || !m.Claim || !slices.Equal(m.Apps, []string{"echo", "web"}) {
			t.Errorf("%+v, want the claim and both apps", m)
		}
	}
	w.wantSources("new new new")
	for _, c := range takeover.Inspect(t.Context(), w.options) {
		if !c.Settled(here) || len(c.Ours) != 2 {
			t.Errorf("afterwards: %+v", c)
		}
	}
	for _, s := range w.stores {
		s.ForgetRequests()
	}
	if moved, err = w.move(false); err != nil || moved[0].Claim || len(moved[0].Apps) > 0 {
		t.Errorf("Move again = %+v, %v, want nothing", moved, err)
	}
	for name, s := range w.stores {
		if n := s.Count(func(e objectstore.Entry) bool { return e.Method != http.MethodGet }); n != 0 {
			t.Errorf("%s: %d writes where nothing is to be moved", name, n)
		}
	}
}

func TestNothingIsTakenFromAnInstanceThatRuns(t *testing.T) {
	w := newWorld(t, "asia", "europe", "america")
	stop := w.run("europe") // it reaches only one cluster
	_, err := w.move(false)
	alive, ok := errors.AsType[*takeover.AliveError](err)
	if !ok || alive.Cluster != "europe" || !strings.Contains(alive.Error(), "instance old-0, host hq") {
		t.Fatalf("Move = %v, want an AliveError that names the instance", err)
	}
	w.wantSources("old old old")
	stop()
	if _, err := w.move(false); err != nil {
		t.Errorf("Move after it has ended = %v", err)
	}
	w.wantSources("new new new")
}

func TestForceLocksOutAnInstanceThatRuns(t *testing.T) {
	w := newWorld(t, "asia", "europe")
	w.run("asia", "europe")
	moved, err := w.move(true)
	if err != nil || moved[0].Err != nil || moved[1].Err != nil {
		t.Fatalf("Move with force = %+v, %v", moved, err)
	}
	w.wantSources("new new new")
}

// Every token of an instance is greater than the one that is left. An instance that
// waits for its claim therefore takes it, and does not yield.
func TestTheClaimIsLeftToWhoeverFollowsTheNewSource(t *testing.T) {
	w := newWorld(t, "asia")
	if _, err := w.move(false); err != nil {
		t.Fatal(err)
	}
	s, err := claim.Read(t.Context(), w.options.Clients["asia"], "shop")
	least, parseErr := claim.Parse("1-00000000000000000000000000000001")
	if err != nil || parseErr != nil || s.Kind != claim.Held || !least.Greater(s.Holder) || s.OfAnother(here) || !s.OfAnother(there) {
		t.Errorf("the claim is %+v, %v, want one of the new source that every token wins over", s, err)
	}
}

func TestAMoveMayBeInterruptedAnywhereAndRunAgain(t *testing.T) {
	for _, lost := range []bool{false, true} { // the answer, or the request
		for cut := 0; ; cut++ {
			w := newWorld(t, "asia", "europe")
			var writes atomic.Int64
			for _, s := range w.stores {
				s.SetFaults(func(r *objectstore.Request) objectstore.Action {
					if r.HTTP.Method == http.MethodGet || writes.Add(1) <= int64(cut) {
						return objectstore.Action{}
					}
					return objectstore.Action{Drop: !lost, LoseAnswer: lost}
				})
			}
			moved, err := w.move(false)
			whole := err == nil && !slices.ContainsFunc(moved, func(m takeover.Moved) bool { return m.Err != nil })
			for name, s := range w.stores {
				s.SetFaults()
				got := w.sources(name)
				if strings.HasPrefix(got, "old") && strings.Contains(got, "new") {
					t.Errorf("cut after %d: %s: %q: an inventory was moved before the claim", cut, name, got)
				}
			}
			if _, err := w.move(false); err != nil {
				t.Errorf("cut after %d, and again: %v", cut, err)
			}
			w.wantSources("new new new")
			if whole {
				break
			}
			if cut > 20 {
				t.Fatal("it never ends")
			}
		}
	}
}

func TestAClusterThatDoesNotAnswerIsNamedAndTheOthersAreMoved(t *testing.T) {
	w := newWorld(t, "asia", "europe")
	w.stores["europe"].SetOutage(objectstore.OutageRefuse)
	w.options.Errors = map[string]error{"america": errors.New("no such context")}
	moved, err := w.move(false)
	if err != nil || len(moved) != 3 {
		t.Fatalf("Move = %+v, %v", moved, err)
	}
	for _, m := range moved {
		if (m.Err == nil) != (m.Name == "asia") {
			t.Errorf("%s: %+v", m.Name, m)
		}
	}
	if moved[0].Name != "america" || fmt.Sprint(moved[0].Err) != "no such context" {
		t.Errorf("%+v, want the reason", moved[0])
	}
	w.stores["europe"].SetOutage(objectstore.OutageNone)
	if _, err := w.move(false); err != nil {
		t.Fatal(err)
	}
	w.wantSources("new new new")
}

func TestObjectsOfOthersStay(t *testing.T) {
	w := newWorld(t, "asia")
	p := inventory.Parent{Federation: "shop", App: "tool", Source: there}
	u := p.Object("")
	annotations := u.GetAnnotations()
	annotations["applyset.kubernetes.io/tooling"] = "kubectl/v1.36"
	u.SetAnnotations(annotations)
	w.create("asia", configMaps, claim.Namespace, u.Object)
	other := inventory.Parent{Federation: "blog", App: "web", Source: there}
	w.create("asia", configMaps, claim.Namespace, other.Object("").Object)

	clusters := takeover.Inspect(t.Context(), w.options)
	if why := clusters[0].Refused["tool"]; len(clusters[0].Refused) != 1 || !strings.Contains(why, "kubectl") {
		t.Errorf("refused is %v, want the inventory of another tool", clusters[0].Refused)
	}
	if _, err := w.move(false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{u.GetName(), other.Object("").GetName()} {
		got, err := w.options.Clients["asia"].Resource(configMaps).Namespace(claim.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || got.GetAnnotations()[sourceOf] != there {
			t.Errorf("%s: %v, %v, want it as it was", name, got, err)
		}
	}
	w.wantSources("new new new")
}
