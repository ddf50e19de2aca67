package table

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Resources returns what to watch by the label applyset.kubernetes.io/part-of: the
// kinds of the plan, of objects wanted before in apps that the plan does not name, and
// of the inventories. A kind whose mapping is not known is left out until it is.
func (t *Table) Resources() []schema.GroupVersionResource {
	t.mu.Lock()
	defer t.mu.Unlock()
	used := map[schema.GroupKind]bool{}
	for _, r := range t.s.Rows {
		used[r.Ref.GroupKind()] = used[r.Ref.GroupKind()] || r.Want != nil
	}
	for _, of := range t.s.Apps {
		for _, w := range of.Plan.Withheld {
			used[w.Object.GroupKind()] = true
		}
	}
	for _, gk := range t.s.ListedKinds() {
		used[gk] = true
	}
	var out []schema.GroupVersionResource
	for gk, is := range used {
		if k := t.s.Kinds[gk]; is && k != nil && k.Watched != nil && !k.IsGone() {
			out = append(out, k.Watched.Resource)
		}
	}
	slices.SortFunc(out, func(x, y schema.GroupVersionResource) int { return strings.Compare(x.String(), y.String()) })
	return slices.Compact(out)
}

// KindsKnown reports whether it is known of every kind in the plan and the inventories
// how it is served, or that it is not. Resources then returns everything to watch.
func (t *Table) KindsKnown() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := func(k *state.Kind) bool { return k != nil && (k.Mapping != nil || k.Last.Err != nil) }
	for _, r := range t.s.Rows {
		if r.Want != nil && !known(t.s.Kinds[r.Ref.GroupKind()]) {
			return false
		}
	}
	for _, gk := range t.s.ListedKinds() {
		if !known(t.s.Kinds[gk]) {
			return false
		}
	}
	return true
}

// Unserved reports whether the plan has kinds that the cluster is not known to serve.
// It is then worth watching its definitions.
func (t *Table) Unserved() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.s.Rows {
		if k := t.s.Kinds[r.Ref.GroupKind()]; r.Want != nil && k != nil && k.Mapping == nil && k.Last.Err != nil {
			return true
		}
	}
	return false
}

// AppOf returns the app of this federation whose objects have this value of the label
// applyset.kubernetes.io/part-of; empty if there is none.
func (t *Table) AppOf(partOf string) (app string) {
	t.WithState(func(s *state.State) { app = s.Sets[partOf] })
	return app
}

// Inventory returns our objects that the watches have seen, by app and sorted: those
// with the app's label, an entry of ours, and no controller. It includes apps of which
// only the parent is left, without objects: a plan that did not name such an app would
// leave the parent behind.
func (t *Table) Inventory() (out map[string][]federation.ObjectRef) {
	t.WithState(func(s *state.State) { out = s.Inventories() })
	return out
}
