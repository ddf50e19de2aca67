package health

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func configMap(name, uid, resourceVersion string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("v1")
	u.SetKind("ConfigMap")
	u.SetNamespace("web")
	u.SetName(name)
	u.SetUID(types.UID(uid))
	u.SetResourceVersion(resourceVersion)
	return u
}

func TestKeysTellWhatChangedBetweenTwoLists(t *testing.T) {
	var got []string
	store := newKeys(func(e EventType, u *unstructured.Unstructured) {
		if u == nil {
			got = append(got, string(e))
			return
		}
		got = append(got, fmt.Sprintf("%s %s %s/%s %s@%s",
			e, u.GetKind(), u.GetNamespace(), u.GetName(), u.GetUID(), u.GetResourceVersion()))
	})
	steps := []struct {
		name string
		do   func() error
		want []string
	}{
		{"first list", func() error {
			return store.Replace([]any{configMap("a", "1", "10"), configMap("b", "2", "11"), configMap("c", "3", "12")}, "12")
		}, []string{"upserted ConfigMap web/a 1@10", "upserted ConfigMap web/b 2@11", "upserted ConfigMap web/c 3@12", "listed"}},
		{"changed", func() error { return store.Update(configMap("a", "1", "13")) }, []string{"upserted ConfigMap web/a 1@13"}},
		{"said twice", func() error { return store.Add(configMap("a", "1", "13")) }, nil},
		{"deleted", func() error { return store.Delete(configMap("c", "3", "14")) }, []string{"deleted ConfigMap web/c 3@14"}},
		{"deleted twice", func() error { return store.Delete(configMap("c", "3", "14")) }, nil},
		{"listed anew", func() error {
			return store.Replace([]any{configMap("b", "20", "15"), configMap("d", "4", "16")}, "16")
		}, []string{
			"deleted ConfigMap web/a 1@16", "deleted ConfigMap web/b 2@11",
			"upserted ConfigMap web/b 20@15", "upserted ConfigMap web/d 4@16", "listed",
		}},
		{"listed anew after it was forgotten", func() error {
			store.renew()
			return store.Replace([]any{configMap("b", "20", "15")}, "16")
		}, []string{"deleted ConfigMap web/d 4@16", "upserted ConfigMap web/b 20@15", "listed"}},
		{"again", func() error { return store.Add(configMap("d", "4", "16")) }, []string{"upserted ConfigMap web/d 4@16"}},
		{
			"empty list", func() error { return store.Replace(nil, "17") },
			[]string{"deleted ConfigMap web/b 20@17", "deleted ConfigMap web/d 4@17", "listed"},
		},
	}
	for _, step := range steps {
		got = nil
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.name == "empty list" {
			slices.Sort(got[:len(got)-1]) // vanished ones come in no order
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%s:\n got %q\nwant %q", step.name, got, step.want)
		}
	}
}

func TestKeysRefuseWhatIsNoObject(t *testing.T) {
	store := newKeys(func(EventType, *unstructured.Unstructured) {})
	if err := store.Replace([]any{"text"}, "1"); err == nil {
		t.Error("Replace with a string gives no error")
	}
}
