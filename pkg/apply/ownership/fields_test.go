package ownership

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unique"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
	"sigs.k8s.io/yaml"
)

const ownedSet = `{
	"f:metadata": {"f:labels": {"f:app": {}}},
	"f:spec": {
		"f:replicas": {},
		"f:ports": {
			"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:targetPort": {}},
			"k:{\"port\":53,\"protocol\":\"UDP\"}": {".": {}, "f:port": {}, "f:protocol": {}}
		},
		"f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}},
		"f:matrix": {"i:1": {}},
		"f:limits": {"f:cpu": {}, "f:memory": {}},
		"f:args": {}
	}
}`

const ownedObject = `
metadata: {name: x, labels: {app: web, other: "1"}}
spec:
  replicas: 2
  ports:
  - {port: 80, protocol: TCP, targetPort: http, nodePort: 30000}
  - {port: 53, protocol: UDP}
  - {port: 90, protocol: TCP}
  finalizers: [b, a, c]
  matrix: [1, 2, 3]
  limits: {cpu: "1", memory: 512Mi}
  args: ["-g", {a: 1, b: [true, null, 1.5]}]
status: {replicas: 2}`

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func set(t testing.TB, text string) *fieldpath.Set {
	t.Helper()
	s, err := parseSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLeavesChangeWithWhatIsOwnedAndWithNothingElse(t *testing.T) {
	h, s := NewHasher(), set(t, ownedSet)
	base := h.leaves(s, object(t, ownedObject))
	if slices.Contains(base, 0) {
		t.Fatalf("leaves = %v, want every path to be found", base)
	}
	for _, c := range []struct {
		from, to string
		same     bool
	}{
		{"nodePort: 30000", "nodePort: 30001", true},
		{`other: "1"`, `other: "2"`, true},
		{"{port: 90, protocol: TCP}", "{port: 91, protocol: TCP}", true},
		{"status: {replicas: 2}", "status: {replicas: 3}", true},
		{"[b, a, c]", "[a, b]", true},
		{"[1, 2, 3]", "[9, 2, 9]", true},
		{`cpu: "1"`, `cpu: 1000m`, true},
		{`cpu: "1"`, `cpu: 1`, true},
		{"memory: 512Mi", "memory: 0.5Gi", true},
		{"replicas: 2\n  ports", "replicas: 2.0\n  ports", true},
		{"b: [true, null, 1.5]", "b: [true, null, 1.5], z: null", true},
		{"{port: 80, protocol: TCP, ", "{port: 80, ", true}, // the default of a key
		{"replicas: 2\n  ports", "replicas: 3\n  ports", false},
		{"replicas: 2\n  ports", "replicas: \"2\"\n  ports", false},
		{"app: web", "app: shop", false},
		{"app: web, ", "", false},
		{"targetPort: http", "targetPort: https", false},
		{"{port: 53, protocol: UDP}", "{port: 53, protocol: TCP}", false},
		{"[b, a, c]", "[b, c]", false},
		{"[1, 2, 3]", "[1, 3, 2]", false},
		{"[1, 2, 3]", "[1]", false},
		{"memory: 512Mi", "memory: 513Mi", false},
		{"1.5]", "1.6]", false},
		{"args: [\"-g\", {", "args: [\"-g\", \"\", {", false},
		{"a: 1,", "a: \"1\",", false},
	} {
		if !strings.Contains(ownedObject, c.from) {
			t.Fatalf("the object does not hold %q", c.from)
		}
		got := h.leaves(s, object(t, strings.Replace(ownedObject, c.from, c.to, 1)))
		if same := slices.Equal(got, base); same != c.same {
			t.Errorf("%s -> %s: same = %v, want %v", c.from, c.to, same, c.same)
		}
	}
}

func TestCoversEveryFieldOfTheRendering(t *testing.T) {
	rendered := `
apiVersion: v1
kind: Thing
metadata: {name: x, namespace: y, labels: {app: web}, creationTimestamp: null}
spec:
  replicas: 2
  ports:
  - {port: 80, targetPort: http}
  - {port: 53, protocol: UDP}
  finalizers: [a]
  limits: {cpu: "1"}
  args: [x, {y: 1}]
  nothing: null
status: {}`
	s := set(t, ownedSet)
	if !covers(s, object(t, rendered)) {
		t.Error("covers = false, want true")
	}
	for _, c := range [][2]string{
		{"app: web", "app: web, more: x"},
		{"namespace: y,", "namespace: y, annotations: {a: b},"},
		{"targetPort: http", "targetPort: http, name: x"},
		{"protocol: UDP}", "protocol: UDP}\n  - {port: 54}"},
		{"[a]", "[a, z]"},
		{"replicas: 2", "replicas: 2\n  extra: 1"},
		{"status: {}", "data: {}"},
		{"limits: {cpu: \"1\"}", "limits: 5"},
	} {
		if covers(s, object(t, strings.Replace(rendered, c[0], c[1], 1))) {
			t.Errorf("covers = true with %q, want false", c[1])
		}
	}
}

func TestChangedFieldsNamesPaths(t *testing.T) {
	h := NewHasher()
	made := func(setText, text string) View {
		s := set(t, setText)
		return View{Owned: true, fields: unique.Make(setText), leaves: h.leaves(s, object(t, text))}
	}
	base := made(ownedSet, ownedObject)
	texts := func(paths []fieldpath.Path) string {
		var out []string
		for _, p := range paths {
			out = append(out, pathText(p))
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		name string
		live View
		want string
	}{
		{"nothing", base, ""},
		{"a value", made(ownedSet, strings.Replace(ownedObject, "app: web", "app: shop", 1)), "metadata.labels.app"},
		{"an item is gone", made(ownedSet, strings.Replace(ownedObject, "  - {port: 53, protocol: UDP}\n", "", 1)), `spec.ports[port=53,protocol="UDP"]`},
		{"a path is lost", made(strings.Replace(ownedSet, `"f:replicas": {},`, "", 1), ownedObject), "spec.replicas"},
		{"the entry is gone", View{}, `metadata.labels.app spec.args spec.replicas spec.finalizers[="a"] spec.finalizers[="b"] spec.limits.cpu spec.limits.memory spec.matrix[1] spec.ports[port=53,protocol="UDP"] spec.ports[port=80,protocol="TCP"]`},
		{"a path more", made(strings.Replace(ownedSet, `"f:replicas": {},`, `"f:replicas": {}, "f:type": {},`, 1), ownedObject), "spec.type"},
	} {
		if got := texts(changedPaths(base, c.live)); got != c.want {
			t.Errorf("%s: changed = %q, want %q", c.name, got, c.want)
		}
	}
}

// FuzzLeaves checks the walk for any set and object: it does not panic, it returns one
// digest for each path of the set, and equal objects have equal digests.
func FuzzLeaves(f *testing.F) {
	f.Add(ownedSet, ownedObject)
	f.Add(`{"f:a":{".":{},"i:0":{"f:b":{}}}}`, `a: [{b: 1}]`)
	f.Add(`{"f:a":{"k:{\"x\":1.0}":{}, "v:null":{}}}`, `a: [{x: 1}, null]`)
	h := NewHasher()
	f.Fuzz(func(t *testing.T, setText, text string) {
		s, err := parseSet(setText)
		if err != nil {
			return
		}
		content := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &content); err != nil {
			return
		}
		got := h.leaves(s, content)
		if len(got) != s.Size() {
			t.Errorf("leaves = %d, want %d", len(got), s.Size())
		}
		data, err := json.Marshal(content)
		if err != nil {
			return
		}
		again := map[string]any{}
		if err := json.Unmarshal(data, &again); err != nil {
			return
		}
		if !slices.Equal(h.leaves(s, again), got) {
			t.Error("a copy of the object has other leaves")
		}
		covers(s, content)
	})
}

// FuzzCoversOwnSet checks that a set made from an object covers the object, and that
// every leaf of the set is found in it.
func FuzzCoversOwnSet(f *testing.F) {
	f.Add(`spec: {a: 1, b: [x, y], c: [{name: n, v: 1}], d: true}`)
	h := NewHasher()
	f.Fuzz(func(t *testing.T, text string) {
		content := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &content); err != nil {
			return
		}
		delete(content, "metadata")
		if hasNothing(content) {
			return // the function that makes the set leaves null and empty values out
		}
		s := fieldpath.SetFromValue(value.NewValueInterface(content))
		if !covers(s, content) {
			t.Errorf("covers = false for %v and its own set %v", content, s)
		}
		if slices.Contains(h.leaves(s, content), 0) {
			t.Errorf("a leaf of %v is not found in it", s)
		}
	})
}

func hasNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for _, x := range v {
			if hasNothing(x) {
				return true
			}
		}
		return len(v) == 0
	case []any:
		return len(v) == 0 || slices.ContainsFunc(v, hasNothing)
	}
	return false
}

func BenchmarkLeaves(b *testing.B) {
	h := NewHasher()
	s := set(b, ownedSet)
	o := object(b, ownedObject)
	for b.Loop() {
		_ = h.leaves(s, o)
	}
}

// The time to parse a quantity depends on its exponent.
func TestAQuantityOfAnySizeIsDigestedAtOnce(t *testing.T) {
	h := NewHasher()
	of := func(text string) []digest {
		return h.leaves(set(t, `{"f:limits": {"f:cpu": {}}}`), object(t, `limits: {cpu: "`+text+`"}`))
	}
	if slices.Equal(of("1e2147483647"), of("1e2147483646")) || !slices.Equal(of("1e3"), of("1000")) {
		t.Error("quantities do not differ by their amount")
	}
}
