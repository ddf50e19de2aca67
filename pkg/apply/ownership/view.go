package ownership

import (
	"fmt"
	"slices"
	"strings"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// View is what one state of a live object shows about our fields: which they are,
// digests of their values, and what other managers added. It never contains the object.
// In the zero View nothing is ours.
type View struct {
	// Owned reports whether there is an entry of our applies. If so, fields is the set
	// that it owns, which equal objects of all clusters share, and leaves are the
	// digests of the values at its paths. If the entry is for another API version than
	// the object was read in, it cannot be interpreted and there are no leaves.
	Owned  bool
	fields unique.Handle[string]
	leaves []digest

	// Untidy reports whether Disown would change something.
	Untidy bool

	// Foreign are the first few fields that other managers own and we do not, except
	// those of known controllers.
	Foreign []Field
}

// Field is a field that another client added, and the field manager that owns it.
type Field struct{ Path, Manager string }

// foreignShown bounds how many foreign fields of an object are retained: a finding
// names a few of them.
const foreignShown = 5

// View returns the view of a live object.
func (h Hasher) View(u *unstructured.Unstructured, people People) View {
	var v View
	entries := u.GetManagedFields()
	owned := fieldpath.NewSet()
	for _, e := range entries {
		if !isOurs(e) {
			continue
		}
		set, err := decodeSet(e)
		if err != nil {
			break // malformed: the next apply rewrites it
		}
		v.Owned = true
		v.fields = unique.Make(e.FieldsV1.GetRawString())
		owned = set
		if e.APIVersion == u.GetAPIVersion() {
			v.leaves = h.leaves(set, u.Object)
		}
	}
	if v.Owned {
		v.Foreign = foreignFields(entries, owned, people)
		_, v.Untidy, _ = Disown(entries) // an entry that cannot be read is not tidied
	}
	return v
}

// Mark identifies our fields and their values. It is comparable, and does not change
// when only the status or fields of other managers change.
type Mark struct {
	fields unique.Handle[string]
	leaves digest
}

// Mark returns the view's mark.
func (v View) Mark() Mark {
	m := Mark{fields: v.fields}
	for _, d := range v.leaves {
		m.leaves = m.leaves*1099511628211 ^ d // as FNV mixes
	}
	return m
}

// Owns reports whether our entry has the path.
func (v View) Owns(path fieldpath.Path) bool {
	if !v.Owned {
		return false
	}
	set, err := parseSet(v.fields.Value())
	return err == nil && set.Has(path)
}

// Matches reports whether an apply of the rendered object would change nothing: the
// live object has its values, and our entry covers exactly its fields.
func (h Hasher) Matches(v View, rendered map[string]any) bool {
	if !v.Owned || v.leaves == nil {
		return false
	}
	set, err := parseSet(v.fields.Value())
	if err != nil {
		return false
	}
	return covers(set, rendered) && slices.Equal(h.leaves(set, rendered), v.leaves)
}

// Change is what another client changed in our fields.
type Change struct {
	Paths []string // formatted for users: spec.ports[port=80,protocol="TCP"]; nil if none changed
	By    string   // the field manager, AnotherFedsync, or "somebody" if that is not known
}

// AnotherFedsync is the name for the client that changed what only our field manager
// owns.
const AnotherFedsync = "another client that calls itself " + FieldManager

// Compare returns what another client changed between base, the API server's answer to
// our apply, and live, whose managed fields are entries. Both views must be of one
// Hasher.
func Compare(base, live View, entries []metav1.ManagedFieldsEntry) Change {
	changed := changedPaths(base, live)
	c := Change{By: culprit(entries, changed, live.Owned && live.fields == base.fields)}
	for _, p := range changed {
		c.Paths = append(c.Paths, pathText(p))
	}
	return c
}

// changedPaths returns the paths of our fields in which live differs from base, or nil
// if there are none.
func changedPaths(base, live View) []fieldpath.Path {
	if !base.Owned {
		return nil
	}
	if live.Owned && live.fields == base.fields {
		if live.leaves == nil || base.leaves == nil || slices.Equal(live.leaves, base.leaves) {
			return nil
		}
		return unequal(base, live)
	}
	before, err := parseSet(base.fields.Value())
	if err != nil {
		return nil
	}
	after := fieldpath.NewSet()
	if live.Owned {
		if after, err = parseSet(live.fields.Value()); err != nil {
			after = fieldpath.NewSet()
		}
	}
	lost := paths(before.Difference(after))
	if len(lost) == 0 {
		lost = paths(after.Difference(before)) // another client applied more under our name
	}
	return lost
}

func unequal(base, live View) []fieldpath.Path {
	set, err := parseSet(base.fields.Value())
	if err != nil {
		return nil
	}
	changed, i := fieldpath.NewSet(), 0
	set.Iterate(func(p fieldpath.Path) {
		if i < len(base.leaves) && i < len(live.leaves) && base.leaves[i] != live.leaves[i] {
			changed.Insert(p.Copy())
		}
		i++
	})
	return paths(changed)
}

// paths returns the set's leaves in order. A list's item stands for everything below
// it.
func paths(set *fieldpath.Set) []fieldpath.Path {
	return appendPaths(nil, nil, set)
}

func appendPaths(out []fieldpath.Path, prefix fieldpath.Path, set *fieldpath.Set) []fieldpath.Path {
	set.Members.Iterate(func(pe fieldpath.PathElement) {
		// A map that continues below is only the parent of its fields.
		if _, more := set.Children.Get(pe); !more || pe.FieldName == nil {
			out = append(out, append(prefix.Copy(), pe))
		}
	})
	set.Children.Iterate(func(pe fieldpath.PathElement) {
		if pe.FieldName == nil && set.Members.Has(pe) {
			return
		}
		below, _ := set.Children.Get(pe)
		out = appendPaths(out, append(prefix.Copy(), pe), below)
	})
	return out
}

// foreignPath is a path that another manager owns and we do not.
type foreignPath struct {
	path    fieldpath.Path
	manager string
}

// foreignFields returns the first few fields that other managers own and we do not,
// except those of known controllers.
func foreignFields(entries []metav1.ManagedFieldsEntry, owned *fieldpath.Set, people People) []Field {
	var out []Field
	for _, f := range foreignPaths(entries, owned, people.isForeign) {
		// Fields from before the first apply are mostly defaults, and were added by no
		// one.
		if f.manager != beforeFirstApply {
			out = append(out, Field{Path: pathText(f.path), Manager: f.manager})
		}
	}
	slices.SortFunc(out, func(a, b Field) int {
		return strings.Compare(a.Path+"\x00"+a.Manager, b.Path+"\x00"+b.Manager)
	})
	return slices.Clone(out[:min(len(out), foreignShown)])
}

// foreignPaths returns what some entries own and we do not, restricted to what adoption
// may take over.
func foreignPaths(entries []metav1.ManagedFieldsEntry, owned *fieldpath.Set, of func(metav1.ManagedFieldsEntry) bool) []foreignPath {
	var out []foreignPath
	for _, e := range entries {
		if !of(e) {
			continue
		}
		set, err := decodeSet(e)
		if err != nil {
			continue
		}
		for _, p := range paths(conformable(set).Difference(owned)) {
			if len(p) > 0 && !isTrace(pathText(p)) {
				out = append(out, foreignPath{path: p, manager: e.Manager})
			}
		}
	}
	return out
}

// TakenField is a field that adoption takes from the tool that set it.
type TakenField struct {
	Path  string
	Value any
	// Defaulted reports whether the API server may set a default in its place.
	Defaulted bool
}

// Taken returns the fields of a live object that users' tools own and we do not. A dry
// run of an apply leaves them in place; adoption removes them.
func (p People) Taken(u *unstructured.Unstructured) []TakenField {
	entries := u.GetManagedFields()
	_, owned, err := ourEntry(entries)
	if err != nil {
		owned = fieldpath.NewSet() // malformed: the next apply rewrites it
	}
	var out []TakenField
	for _, f := range foreignPaths(entries, owned, p.isAdoptable) {
		at := leaf{value: u.Object, present: true}
		for _, pe := range f.path {
			at = descend(at, pe)
		}
		first, last := f.path[0], f.path[len(f.path)-1]
		out = append(out, TakenField{
			Path: pathText(f.path), Value: at.value,
			Defaulted: last.FieldName != nil && first.FieldName != nil && *first.FieldName == "spec",
		})
	}
	return out
}

// isTrace reports whether a path is a by-product of a tool, such as the time of a
// rollout's restart.
func isTrace(path string) bool {
	for _, mark := range []string{"kubectl.kubernetes.io/", "deployment.kubernetes.io/", "ingress.kubernetes.io/"} {
		if strings.Contains(path, "."+mark) {
			return true
		}
	}
	return false
}

// culprit names who changed the paths, from the live object: the field manager that now
// owns the first of them. A client that only removed a field leaves no trace.
func culprit(entries []metav1.ManagedFieldsEntry, changed []fieldpath.Path, stillOurs bool) string {
	for _, p := range changed {
		var owner *metav1.ManagedFieldsEntry
		for i := range entries {
			e := &entries[i]
			if isOurs(*e) {
				continue
			}
			if set, err := decodeSet(*e); err == nil && set.Has(p) && isLater(e, owner) {
				owner = e
			}
		}
		if owner != nil {
			return managerName(*owner)
		}
	}
	if stillOurs {
		return AnotherFedsync
	}
	return "somebody"
}

func isLater(a, b *metav1.ManagedFieldsEntry) bool {
	return b == nil || b.Time == nil || a.Time != nil && !a.Time.Before(b.Time)
}

func managerName(e metav1.ManagedFieldsEntry) string {
	if e.Subresource != "" {
		return fmt.Sprintf("%s (through %s)", e.Manager, e.Subresource)
	}
	return e.Manager
}
