package ownership

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/fedsync/fedsync/pkg/federation"
)

// FieldManager is the name under which fedsync owns fields.
const FieldManager = federation.FieldManager

// beforeFirstApply is the field manager that the API server invents at an object's
// first apply, for the fields that exist and have no owner.
const beforeFirstApply = "before-first-apply"

// isOurs reports whether the entry is that of our applies.
func isOurs(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

// decodeSet reads an entry's fields.
func decodeSet(e metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	if e.FieldsV1 == nil {
		return fieldpath.NewSet(), nil
	}
	return parseSet(e.FieldsV1.GetRawString())
}

func parseSet(text string) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if err := set.FromJSON(strings.NewReader(text)); err != nil {
		return nil, fmt.Errorf("read managed fields: %w", err)
	}
	return set, nil
}

// ourEntry returns the entry of our applies and the fields that it owns. The entry is
// nil if there is none.
func ourEntry(entries []metav1.ManagedFieldsEntry) (*metav1.ManagedFieldsEntry, *fieldpath.Set, error) {
	for i := range entries {
		if isOurs(entries[i]) {
			set, err := decodeSet(entries[i])
			return &entries[i], set, err
		}
	}
	return nil, fieldpath.NewSet(), nil
}

// encodeSet returns a copy of the entry with these fields.
func encodeSet(e metav1.ManagedFieldsEntry, set *fieldpath.Set) (metav1.ManagedFieldsEntry, error) {
	raw, err := set.ToJSON()
	if err != nil {
		return e, fmt.Errorf("write managed fields: %w", err)
	}
	e.FieldsType = "FieldsV1"
	e.FieldsV1 = &metav1.FieldsV1{}
	e.FieldsV1.SetRawBytes(bytes.Clone(raw))
	return e, nil
}

// conformable returns the part of a set that adoption takes over: the labels, the
// annotations except those that tools write for themselves, and everything outside
// metadata and status that is not the cluster's to set.
func conformable(set *fieldpath.Set) *fieldpath.Set {
	out := fieldpath.NewSet()
	copyBelow := func(to, from *fieldpath.Set, pe fieldpath.PathElement) {
		if from.Members.Has(pe) {
			to.Members.Insert(pe)
		}
		if below, ok := from.Children.Get(pe); ok {
			*to.Children.Descend(pe) = *below
		}
	}
	root := func(pe fieldpath.PathElement) {
		if pe.FieldName == nil {
			return
		}
		switch *pe.FieldName {
		case "metadata", "status", "apiVersion", "kind":
			return
		}
		copyBelow(out, set, pe)
	}
	set.Members.Iterate(root)
	set.Children.Iterate(root)

	metadata, labels, annotations := fieldpath.FieldNameElement("metadata"), fieldpath.FieldNameElement("labels"), fieldpath.FieldNameElement("annotations")
	m, ok := set.Children.Get(metadata)
	if !ok {
		return withoutClusterFields(out)
	}
	if !m.WithPrefix(labels).Empty() {
		copyBelow(out.Children.Descend(metadata), m, labels)
	}
	m.WithPrefix(annotations).Members.Iterate(func(pe fieldpath.PathElement) {
		if pe.FieldName != nil && !isToolAnnotation(*pe.FieldName) {
			out.Children.Descend(metadata).Children.Descend(annotations).Members.Insert(pe)
		}
	})
	return withoutClusterFields(out)
}

// withoutClusterFields leaves out fields that the cluster sets, whoever wrote them.
// Those are the CA certificates by which API servers trust webhooks, since a webhook
// would fail without its injected one, and the replica count. A count that Git does not
// set belongs to autoscalers and users: taken over and not set, it would fall back to
// one.
func withoutClusterFields(set *fieldpath.Set) *fieldpath.Set {
	theirs := fieldpath.NewSet(replicas)
	set.Iterate(func(p fieldpath.Path) {
		if last := p[len(p)-1]; last.FieldName != nil && *last.FieldName == "caBundle" {
			theirs.Insert(p.Copy())
		}
	})
	return set.Difference(theirs)
}

// replicas is the path of the replica count.
var replicas = fieldpath.MakePathOrDie("spec", "replicas")

// isToolAnnotation reports whether an annotation is kubectl's own or a controller's. A
// user who exported an object and applied it again seems to own such annotations
// without meaning to.
func isToolAnnotation(annotation string) bool {
	if annotation == "cloud.google.com/neg-status" {
		return true
	}
	for _, domain := range []string{
		"kubectl.kubernetes.io/", "deployment.kubernetes.io/", "ingress.kubernetes.io/", "pv.kubernetes.io/", "volume.kubernetes.io/",
		"volume.beta.kubernetes.io/", "endpoints.kubernetes.io/", "autoscaling.alpha.kubernetes.io/", "control-plane.alpha.kubernetes.io/",
	} {
		if strings.HasPrefix(annotation, domain) {
			return true
		}
	}
	return false
}

// Transfer moves what users' tools own under spec, labels and annotations into our
// entry. The next apply then removes what the rendering does not have. Transfer returns
// false if there is nothing to move. Entries of an API version other than ours are
// left, since their paths need not mean the same. The rules of an aggregated
// ClusterRole keep their owner: without them the role would grant nothing until its
// controller is back.
func (p People) Transfer(entries []metav1.ManagedFieldsEntry, apiVersion string, rendering map[string]any) ([]metav1.ManagedFieldsEntry, bool, error) {
	part := conformable
	if rendering["kind"] == "ClusterRole" && strings.HasPrefix(apiVersion, rbacv1.GroupName+"/") && rendering["aggregationRule"] != nil {
		part = func(set *fieldpath.Set) *fieldpath.Set {
			return conformable(set).Difference(fieldpath.NewSet(fieldpath.MakePathOrDie("rules")))
		}
	}
	return transfer(entries, apiVersion, p.isAdoptable, part)
}

// transfer moves what some entries own, as far as part selects it, into our entry.
func transfer(entries []metav1.ManagedFieldsEntry, apiVersion string, from func(metav1.ManagedFieldsEntry) bool, part func(*fieldpath.Set) *fieldpath.Set) ([]metav1.ManagedFieldsEntry, bool, error) {
	ours, owned, err := ourEntry(entries)
	if err != nil {
		return nil, false, err
	}
	if ours == nil {
		ours = &metav1.ManagedFieldsEntry{Manager: FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: apiVersion}
	}
	moved := false
	out := make([]metav1.ManagedFieldsEntry, 0, len(entries)+1)
	for _, e := range entries {
		if isOurs(e) {
			continue
		}
		if !from(e) || e.APIVersion != ours.APIVersion {
			out = append(out, e)
			continue
		}
		set, err := decodeSet(e)
		if err != nil {
			return nil, false, err
		}
		taken := part(set)
		if taken.Empty() {
			out = append(out, e)
			continue
		}
		moved = true
		owned = owned.Union(taken)
		if rest := set.Difference(taken); !rest.Empty() {
			if e, err = encodeSet(e, rest); err != nil {
				return nil, false, err
			}
			out = append(out, e)
		}
	}
	if !moved {
		return entries, false, nil
	}
	taken, err := encodeSet(*ours, owned)
	if err != nil {
		return nil, false, err
	}
	return append(out, taken), true, nil
}

// IsOurs reports whether there is an entry of our applies.
func IsOurs(entries []metav1.ManagedFieldsEntry) bool { return slices.ContainsFunc(entries, isOurs) }

// GiveBack undoes transfers. What our entry owns goes back to the owners in earlier,
// the entries of the object before the transfer. The rest goes to before-first-apply,
// since its owner is not known. Without an entry of ours nothing changes.
func GiveBack(entries, earlier []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, error) {
	ours, rest, err := ourEntry(entries)
	if err != nil || ours == nil {
		return entries, err
	}
	owned := rest
	out := slices.DeleteFunc(slices.Clone(entries), isOurs)
	give := func(to metav1.ManagedFieldsEntry, set *fieldpath.Set) error {
		i := slices.IndexFunc(out, func(e metav1.ManagedFieldsEntry) bool {
			return e.Manager == to.Manager && e.Operation == to.Operation && e.APIVersion == to.APIVersion && e.Subresource == to.Subresource
		})
		if i < 0 {
			e, err := encodeSet(to, set)
			out = append(out, e)
			return err
		}
		has, err := decodeSet(out[i])
		if err != nil {
			return err
		}
		out[i], err = encodeSet(out[i], has.Union(set))
		return err
	}
	for _, e := range earlier {
		if isOurs(e) || e.Subresource != "" || e.APIVersion != ours.APIVersion {
			continue // nothing was taken from it
		}
		set, err := decodeSet(e)
		if err != nil {
			return nil, err
		}
		if back := set.Intersection(owned); !back.Empty() {
			rest = rest.Difference(back)
			if err := give(e, back); err != nil {
				return nil, err
			}
		}
	}
	if !rest.Empty() {
		e := metav1.ManagedFieldsEntry{Manager: beforeFirstApply, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: ours.APIVersion}
		if err := give(e, rest); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Disown removes our paths from what before-first-apply owns, and drops what our name
// owns by Update. Both would keep alive what a later rendering drops. Disown returns
// false if there is neither.
func Disown(entries []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, bool, error) {
	_, owned, err := ourEntry(entries)
	if err != nil {
		return nil, false, err
	}
	changed := false
	out := make([]metav1.ManagedFieldsEntry, 0, len(entries))
	for _, e := range entries {
		switch {
		case e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == "":
			changed = true
			continue
		case e.Manager == beforeFirstApply && e.Subresource == "":
			set, err := decodeSet(e)
			if err != nil {
				return nil, false, err
			}
			rest := set.Difference(owned)
			if rest.Size() == set.Size() {
				break
			}
			changed = true
			if rest.Empty() {
				continue
			}
			if e, err = encodeSet(e, rest); err != nil {
				return nil, false, err
			}
		}
		out = append(out, e)
	}
	return out, changed, nil
}

// Without returns the entries with a path removed from ours, and whether it was there.
func Without(entries []metav1.ManagedFieldsEntry, path fieldpath.Path) ([]metav1.ManagedFieldsEntry, bool, error) {
	out := make([]metav1.ManagedFieldsEntry, len(entries))
	changed := false
	for i, e := range entries {
		out[i] = e
		if !isOurs(e) {
			continue
		}
		set, err := decodeSet(e)
		if err != nil {
			return nil, false, err
		}
		if !set.Has(path) {
			continue
		}
		changed = true
		if out[i], err = encodeSet(e, set.Difference(fieldpath.NewSet(path))); err != nil {
			return nil, false, err
		}
	}
	return out, changed, nil
}
