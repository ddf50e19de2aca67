package history_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/history"
	"github.com/fedsync/fedsync/internal/objectstore"
)

func TestEqualSeedsGiveEqualHistories(t *testing.T) {
	kinds := map[history.Kind]int{}
	for seed := range uint64(200) {
		a, b := history.New(seed, history.Options{}), history.New(seed, history.Options{})
		if diff := cmp.Diff(a, b, cmpopts.IgnoreUnexported(history.History{}, history.Change{})); diff != "" {
			t.Fatalf("seed %d gives two histories (-first +second):\n%s", seed, diff)
		}
		edits := map[string][]time.Duration{}
		for _, e := range a.Events {
			kinds[e.Kind]++
			if e.Kind != history.Edit {
				continue
			}
			key := e.Cluster + e.Change.String()
			edits[key] = append(edits[key], e.At)
			if all := edits[key]; len(all) > 2 && e.At-all[len(all)-3] < 5*time.Minute {
				t.Errorf("seed %d edits %s three times in five minutes", seed, key)
			}
		}
	}
	if len(kinds) != 15 {
		t.Errorf("200 histories have events of %d kinds, want all 15: %v", len(kinds), kinds)
	}
}

func TestShrinkFindsTheEventsThatMatter(t *testing.T) {
	h := history.New(7, history.Options{Events: 40})
	want := []int{11, 29}
	has := func(h history.History, number int) bool {
		for _, e := range h.Events {
			if e.Number == number {
				return true
			}
		}
		return false
	}
	small := history.Shrink(h, func(h history.History) bool { return has(h, want[0]) && has(h, want[1]) })
	if len(small.Events) != 3 || !has(small, want[0]) || !has(small, want[1]) {
		t.Errorf("shrunk to\n%v\nwant the first push and events %v", small, want)
	}
	if !strings.HasPrefix(small.String(), "history.New(7, …).Without(1, 2, ") {
		t.Errorf("the history prints %q, want how to make it again", small.String())
	}
}

// TestPlay plays histories with a client that applies every push one time, and checks
// that the clusters have no faults when the histories end.
func TestPlay(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			h := history.New(seed, history.Options{})
			stores := map[string]*objectstore.Store{}
			clients := map[string]dynamic.Interface{}
			for i, name := range h.Clusters {
				stores[name] = objectstore.New(objectstore.Options{Name: name, Seed: uint64(i)})
				client, err := dynamic.NewForConfig(stores[name].Config())
				if err != nil {
					t.Fatal(err)
				}
				clients[name] = client
			}
			began, applied := time.Now(), 0
			history.Play(t.Context(), h, history.InMemory(t.Context(), stores), func(e history.Event) {
				for _, client := range clients {
					applied += apply(t, client, e)
				}
			})
			if got := time.Since(began); got < h.End() {
				t.Errorf("%v\nit took %v, want at least %v", h, got, h.End())
			}
			if applied == 0 {
				t.Errorf("%v\nnothing could be applied", h)
			}
			for name, client := range clients {
				_, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(history.Namespace).
					Patch(t.Context(), "after", types.ApplyPatchType, []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"after"}}`), metav1.PatchOptions{FieldManager: "fedsync"})
				if err != nil {
					t.Errorf("%v\nafter the last fault %s refuses a write: %v", h, name, err)
				}
				if n := stores[name].Count(func(e objectstore.Entry) bool { return e.Method == http.MethodPatch }); n == 0 {
					t.Errorf("%s had no requests", name)
				}
			}
		})
	}
}

// apply applies the manifests of a push, each one time, and counts those that the
// cluster accepted.
func apply(t *testing.T, client dynamic.Interface, e history.Event) int {
	t.Helper()
	resources := map[string]schema.GroupVersionResource{
		"ConfigMap": {Version: "v1", Resource: "configmaps"}, "Service": {Version: "v1", Resource: "services"},
		"ReplicaSet": {Group: "apps", Version: "v1", Resource: "replicasets"},
		"Ingress":    {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	}
	force, taken := true, 0
	for _, text := range e.Files {
		for doc := range strings.SplitSeq(text, "\n---\n") {
			var o metav1.PartialObjectMetadata
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatalf("manifest: %v\n%s", err, doc)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_, err := client.Resource(resources[o.Kind]).Namespace(history.Namespace).
				Patch(ctx, o.Name, types.ApplyPatchType, []byte(doc), metav1.PatchOptions{FieldManager: "fedsync", Force: &force})
			cancel()
			if err == nil {
				taken++
			}
		}
	}
	return taken
}
