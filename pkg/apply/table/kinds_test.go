package table

import (
	"errors"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/agenda"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// When a watch ends its objects are no longer observed, and they would count as gone.
func TestAKindIsWatchedAsLongAsItIsNotKnownToBeGone(t *testing.T) {
	gk := schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}
	served := &meta.RESTMapping{Resource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, GroupVersionKind: gk.WithVersion("v1"), Scope: meta.RESTScopeNamespace}
	planned := func(version string) federation.ClusterPlan {
		o, err := federation.NewObject(map[string]any{
			"apiVersion": "apps/" + version, "kind": "ReplicaSet", "metadata": map[string]any{"name": "web", "namespace": "web"},
		}, "web.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return federation.ClusterPlan{Apps: []federation.AppPlan{{App: "web", Objects: []*federation.Object{o}}}}
	}
	gone := &refusal.Error{Class: refusal.ClassKind, Err: &meta.NoKindMatchError{GroupKind: gk}}
	for _, test := range []struct {
		name    string
		happens func(tab *Table, k *state.Kind)
		watched bool
		asked   bool // the mapping is asked for
	}{
		{"it was found by an inventory, and the plan names the version that is served", func(tab *Table, _ *state.Kind) {
			tab.s.Take(planned("v1"))
		}, true, false},
		{"the plan names another version", func(tab *Table, _ *state.Kind) {
			tab.s.Take(planned("v1beta2"))
		}, true, true},
		{"an answer says that it is served otherwise", func(tab *Table, _ *state.Kind) {
			tab.s.Take(planned("v1"))
			for _, r := range tab.s.Rows {
				r.Flight = &state.Flight{Since: time.Now()}
				tab.s.Refused(r, r.Flight, &refusal.Error{Class: refusal.ClassKind, Object: r.Ref, Err: errors.New("it is not so")})
				r.Flight = nil
			}
		}, true, true},
		{"its discovery fails", func(tab *Table, k *state.Kind) {
			tab.s.Take(planned("v1"))
			k.Mapping = nil
			k.Last.Failed(time.Now(), &refusal.Error{Class: refusal.ClassServer, Err: errors.New("it is not so")}, &state.Flight{})
		}, true, false},
		{"the cluster does not know it any more", func(tab *Table, k *state.Kind) {
			tab.s.Take(planned("v1"))
			k.Mapping = nil
			k.Last.Failed(time.Now(), gone, &state.Flight{})
		}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := New(Options{Settings: state.Settings{Owner: inventory.Owner{Federation: "web"}}})
			k := a.s.Kind(gk)
			k.Mapping, k.Watched = served, served
			a.s.App("web").Parent = &write.Parent{Parent: inventory.Parent{Contents: inventory.Contents{Kinds: map[schema.GroupKind]bool{gk: true}}}}
			test.happens(a, k)
			if got := slices.Contains(a.Resources(), served.Resource); got != test.watched {
				t.Errorf("watched = %v, want %v", got, test.watched)
			}
			asked := slices.ContainsFunc(agenda.At(a.s, time.Now()).Tasks, func(x agenda.Item) bool { return x.Type == agenda.Learn })
			if asked != test.asked {
				t.Errorf("asked for = %v, want %v", asked, test.asked)
			}
		})
	}
}
