package apply

import (
	"errors"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A watch that ends takes its objects out of sight: who counts what runs would take
// them for gone.
func TestAKindIsWatchedAsLongAsItIsNotKnownToBeGone(t *testing.T) {
	gk := schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}
	served := &meta.RESTMapping{Resource: replicaSets, GroupVersionKind: gk.WithVersion("v1"), Scope: meta.RESTScopeNamespace}
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
		happens func(tab *table, k *kind)
		watched bool
		asked   bool // how it is served is asked for
	}{
		{"it was found by an inventory, and the plan names the version that is served", func(tab *table, _ *kind) {
			tab.take(planned("v1"))
		}, true, false},
		{"the plan names another version", func(tab *table, _ *kind) {
			tab.take(planned("v1beta2"))
		}, true, true},
		{"an answer says that it is served otherwise", func(tab *table, _ *kind) {
			tab.take(planned("v1"))
			for _, r := range tab.rows {
				r.flight = &flight{since: time.Now()}
				tab.refused(r, r.flight, &refusal.Error{Class: refusal.ClassKind, Object: r.ref, Err: errors.New("it is not so")})
				r.flight = nil
			}
		}, true, true},
		{"its discovery fails", func(tab *table, k *kind) {
			tab.take(planned("v1"))
			k.mapping = nil
			k.last.failed(time.Now(), &refusal.Error{Class: refusal.ClassServer, Err: errors.New("it is not so")}, &flight{})
		}, true, false},
		{"the cluster does not know it any more", func(tab *table, k *kind) {
			tab.take(planned("v1"))
			k.mapping = nil
			k.last.failed(time.Now(), gone, &flight{})
		}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := New(Options{Federation: "web"})
			k := a.table.kind(gk)
			k.mapping, k.watched = served, served
			a.table.app("web").parent = &write.Parent{Parent: inventory.Parent{Contents: inventory.Contents{Kinds: map[schema.GroupKind]bool{gk: true}}}}
			test.happens(a.table, k)
			if got := slices.Contains(a.Resources(), replicaSets); got != test.watched {
				t.Errorf("watched = %v, want %v", got, test.watched)
			}
			asked := slices.ContainsFunc(a.table.agendaAt(time.Now()).tasks, func(x task) bool { return x.typ == taskLearn })
			if asked != test.asked {
				t.Errorf("asked for = %v, want %v", asked, test.asked)
			}
		})
	}
}
