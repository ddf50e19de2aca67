package apply

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// view is what is kept of one state of a live object: its identity, who it
// belongs to, and digests of the fields that are ours. Never the object.
type view struct {
	uid     types.UID
	version string // the resourceVersion
	partOf  string // the value of the label applyset.kubernetes.io/part-of

	// owned says that there is an entry of our applies. Then fields is the set
	// that it owns, which equal objects of all clusters share, and leaves are
	// the digests of the values there. An entry in another API version than the
	// object was read in cannot be followed: it has no leaves.
	owned  bool
	fields unique.Handle[string]
	leaves []digest

	controlled  bool // a controller made it
	terminating bool
	deletedAt   time.Time // when the deletion was asked for
	finalizers  []string  // what a deletion waits for
	established bool      // of a CustomResourceDefinition: its kind is served
	foreign     []foreignField
	ports       []servicePort // of a Service
}

// mark is comparable, and changes with what we judge of an object: not with its
// status, nor with what others write beside our fields.
type mark struct {
	uid         types.UID
	partOf      string
	fields      unique.Handle[string]
	leaves      digest
	terminating bool
}

func (v *view) mark() mark {
	m := mark{uid: v.uid, partOf: v.partOf, fields: v.fields, terminating: v.terminating}
	for _, d := range v.leaves {
		m.leaves = m.leaves*1099511628211 ^ d // as FNV mixes
	}
	return m
}

// foreignField is a field that a user added beside ours.
type foreignField struct{ path, manager string }

// foreignShown bounds what is kept of an object's foreign fields: a finding names
// a few of them.
const foreignShown = 5

// viewOf takes what is kept from a live object.
func (h hasher) viewOf(u *unstructured.Unstructured) view {
	v := view{
		uid:        u.GetUID(),
		version:    u.GetResourceVersion(),
		partOf:     u.GetLabels()[LabelPartOf],
		controlled: metav1.GetControllerOfNoCopy(u) != nil,
	}
	if at := u.GetDeletionTimestamp(); at != nil {
		v.terminating, v.deletedAt, v.finalizers = true, at.Time, u.GetFinalizers()
	}
	entries := u.GetManagedFields()
	owned := fieldpath.NewSet()
	for _, e := range entries {
		if !isOurs(e) {
			continue
		}
		set, err := decodeSet(e)
		if err != nil {
			break // not ours to follow: the next apply rewrites it
		}
		v.owned = true
		v.fields = unique.Make(e.FieldsV1.GetRawString())
		owned = set
		if e.APIVersion == u.GetAPIVersion() {
			v.leaves = h.leaves(set, u.Object)
		}
	}
	if v.owned {
		v.foreign = foreignFields(entries, owned)
	}
	if u.GroupVersionKind().GroupKind() == serviceKind {
		v.ports = servicePorts(u)
	}
	if u.GroupVersionKind().GroupKind() == definitionKind {
		v.established = isEstablished(u)
	}
	return v
}

// says whether the object says what the rendering says, and whether our entry
// covers just that: then an apply would change nothing.
func (h hasher) says(v view, rendered map[string]any) bool {
	if !v.owned || v.leaves == nil || v.terminating {
		return false
	}
	set, err := parseSet(v.fields.Value())
	if err != nil {
		return false
	}
	return covers(set, rendered) && slices.Equal(h.leaves(set, rendered), v.leaves)
}

// newer says whether resourceVersion a came after b. Versions that are no numbers
// cannot be compared, and count as newer: better looked at twice.
func newer(a, b string) bool {
	if b == "" {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return a != b
	}
	return order > 0
}

// changedFields gives the paths under our fields in which live differs from
// base, which an API server answered to us. A nil result means none do.
func changedFields(base, live view) []fieldpath.Path {
	if !base.owned {
		return nil
	}
	if live.owned && live.fields == base.fields {
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
	if live.owned {
		if after, err = parseSet(live.fields.Value()); err != nil {
			after = fieldpath.NewSet()
		}
	}
	lost := paths(before.Difference(after))
	if len(lost) == 0 {
		lost = paths(after.Difference(before)) // somebody applied more under our name
	}
	return lost
}

func unequal(base, live view) []fieldpath.Path {
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

// paths gives the set's leaves in order, and a list's item in place of all that
// is below it.
func paths(set *fieldpath.Set) []fieldpath.Path {
	return appendPaths(nil, nil, set)
}

func appendPaths(out []fieldpath.Path, prefix fieldpath.Path, set *fieldpath.Set) []fieldpath.Path {
	set.Members.Iterate(func(pe fieldpath.PathElement) {
		// A map that goes on below is only the place where its fields are.
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

// foreignPath is a path that a user owns and we do not.
type foreignPath struct {
	path    fieldpath.Path
	manager string
}

// foreignFields gives the first few of what users own beside our fields.
func foreignFields(entries []metav1.ManagedFieldsEntry, owned *fieldpath.Set) []foreignField {
	var out []foreignField
	for _, f := range foreignPaths(entries, owned) {
		// What stood there before the first apply is mostly defaults, and
		// nobody's addition.
		if f.manager != beforeFirstApply {
			out = append(out, foreignField{path: pathText(f.path), manager: f.manager})
		}
	}
	slices.SortFunc(out, func(a, b foreignField) int {
		return strings.Compare(a.path+"\x00"+a.manager, b.path+"\x00"+b.manager)
	})
	return slices.Clone(out[:min(len(out), foreignShown)])
}

// foreignPaths gives what users own beside our fields, under spec (and what
// stands beside it) and labels.
func foreignPaths(entries []metav1.ManagedFieldsEntry, owned *fieldpath.Set) []foreignPath {
	var out []foreignPath
	for _, e := range entries {
		if !isUser(e) {
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

// isTrace says whether a path is what tools leave behind in passing, such as the
// time of a rollout's restart.
func isTrace(path string) bool {
	for _, mark := range []string{"kubectl.kubernetes.io/", "deployment.kubernetes.io/", "ingress.kubernetes.io/"} {
		if strings.Contains(path, "."+mark) {
			return true
		}
	}
	return false
}

// anotherFedsync is who changed what only our field manager owns.
const anotherFedsync = "another client that calls itself " + FieldManager

// culprit names who changed the paths, from the live object: the field manager
// that owns the first of them now. Who only removed a field leaves no trace.
func culprit(entries []metav1.ManagedFieldsEntry, changed []fieldpath.Path, stillOurs bool) string {
	for _, p := range changed {
		var owner *metav1.ManagedFieldsEntry
		for i := range entries {
			e := &entries[i]
			if isOurs(*e) {
				continue
			}
			if set, err := decodeSet(*e); err == nil && set.Has(p) && later(e, owner) {
				owner = e
			}
		}
		if owner != nil {
			return managerName(*owner)
		}
	}
	if stillOurs {
		return anotherFedsync
	}
	return "somebody"
}

func later(a, b *metav1.ManagedFieldsEntry) bool {
	return b == nil || b.Time == nil || a.Time != nil && !a.Time.Before(b.Time)
}

func managerName(e metav1.ManagedFieldsEntry) string {
	if e.Subresource != "" {
		return fmt.Sprintf("%s (through %s)", e.Manager, e.Subresource)
	}
	return e.Manager
}
