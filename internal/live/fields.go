package live

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// Objects returns the objects of the list at a path.
func Objects(u *unstructured.Unstructured, path ...string) []map[string]any {
	value, _, _ := unstructured.NestedFieldNoCopy(u.Object, path...)
	list, _ := value.([]any)
	var found []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}

// Text returns the string at a path; empty if there is none.
func Text(u *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(u.Object, path...)
	return s
}

// Number returns the integer at a path, or absent if there is none.
func Number(u *unstructured.Unstructured, absent int64, path ...string) int64 {
	n, found, err := unstructured.NestedInt64(u.Object, path...)
	if !found || err != nil {
		return absent
	}
	return n
}

// Flag returns the boolean at a path, or absent if there is none.
func Flag(u *unstructured.Unstructured, absent bool, path ...string) bool {
	b, found, err := unstructured.NestedBool(u.Object, path...)
	if !found || err != nil {
		return absent
	}
	return b
}
