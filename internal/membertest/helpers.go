package membertest

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// Want fails the test if the lines differ from the wanted ones.
func Want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// LiveObject decodes an object from YAML as a client does.
func LiveObject(t *testing.T, data []byte) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return u
}

// Padding is filler text, of which live objects have much.
var Padding = strings.Repeat("x", 1<<10)

// Heap returns the bytes of the heap in use.
func Heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// ConfigMap returns a ConfigMap in the namespace web.
func ConfigMap(name, uid, resourceVersion string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("v1")
	u.SetKind("ConfigMap")
	u.SetNamespace("web")
	u.SetName(name)
	u.SetUID(types.UID(uid))
	u.SetResourceVersion(resourceVersion)
	return u
}
