package ownership

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// TransferItems moves the list items that other managers own, of lists that the
// rendered object has, into our entry. The next apply then removes the items that the
// rendering does not have. A client that changes the key of an item, such as the number
// of a port, has created another item, which may not be allowed next to ours.
// TransferItems returns false if there is nothing to move.
//
// This does not depend on who may add fields that are not in Git: the item takes the
// place of ours, and Git's could not be applied. So it is removed whatever tool wrote
// it, a user's or an unknown one. Items of a known controller stay: adding them is its
// job, and it would add them again.
func (p People) TransferItems(entries []metav1.ManagedFieldsEntry, apiVersion string, rendered map[string]any) ([]metav1.ManagedFieldsEntry, bool, error) {
	return transfer(entries, apiVersion, p.isForeign, func(set *fieldpath.Set) *fieldpath.Set {
		items := fieldpath.NewSet()
		conformable(set).Iterate(func(path fieldpath.Path) {
			if isItemOf(path, rendered) {
				items.Insert(path.Copy())
			}
		})
		return items
	})
}

// isItemOf reports whether a path leads to or into an item of a list that the rendered
// object has items in.
func isItemOf(p fieldpath.Path, rendered map[string]any) bool {
	var at any = rendered
	for _, pe := range p {
		switch {
		case pe.FieldName != nil:
			m, _ := at.(map[string]any)
			at = m[*pe.FieldName]
		case pe.Key != nil:
			list, _ := at.([]any)
			if len(list) == 0 {
				return false
			}
			item := itemOf(list, pe)
			if item == nil {
				return true
			}
			at = item
		default:
			return false // a value of a set has no fields that could differ
		}
		if at == nil {
			return false
		}
	}
	return false
}

// itemOf returns the item of a list that has a key; nil for none. A key field that the
// item omits has its default, which is known for built-in kinds only.
func itemOf(list []any, pe fieldpath.PathElement) map[string]any {
	for _, one := range list {
		item, _ := one.(map[string]any)
		same := item != nil
		for _, field := range *pe.Key {
			value, stated := keyField(item, field.Name)
			same = same && (!stated || fmt.Sprint(value) == fmt.Sprint(field.Value.Unstructured()))
		}
		if same {
			return item
		}
	}
	return nil
}
