package ownership

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// TransferItems moves the items that others own of the rendered object's lists into our
// entry, so that the next apply removes those that the rendering does not have. Who
// changes the key of an item, such as the number of a port, has made another one, which
// may not stand beside ours. It returns false if there is nothing to move.
//
// This is no matter of who may add something beside Git: an item stands where ours has to
// be, and Git's could not be applied at all. So it goes whatever tool wrote it, that of a
// person or an unknown one. What a known controller has of these lists stays: it puts
// items there by its office, and would put them there again.
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
// object has items of.
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
			return false // a value of a set is what it is
		}
		if at == nil {
			return false
		}
	}
	return false
}

// itemOf returns the item of a list that has a key; nil for none. What the item does not
// state of the key is a default, which is known of a built-in kind alone.
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
