package health

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// The readers below take what has the right shape and skip the rest.

func objects(u *unstructured.Unstructured, path ...string) []map[string]any {
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

func text(u *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(u.Object, path...)
	return s
}

func number(u *unstructured.Unstructured, absent int64, path ...string) int64 {
	n, found, err := unstructured.NestedInt64(u.Object, path...)
	if !found || err != nil {
		return absent
	}
	return n
}

func flag(u *unstructured.Unstructured, absent bool, path ...string) bool {
	b, found, err := unstructured.NestedBool(u.Object, path...)
	if !found || err != nil {
		return absent
	}
	return b
}
