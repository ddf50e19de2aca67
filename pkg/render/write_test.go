package render_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

func plans(t *testing.T) []federation.ClusterPlan {
	t.Helper()
	object := func(kind, name string) *federation.Object {
		o, err := federation.NewObject(map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}, "a.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	a, b := object("Namespace", "a"), object("Namespace", "b")
	return []federation.ClusterPlan{
		{Cluster: "asia", Apps: []federation.AppPlan{{App: "x", Objects: []*federation.Object{a}}, {App: "y", Objects: []*federation.Object{b}}}},
		{Cluster: "mars"},
		{Cluster: "europe", Apps: []federation.AppPlan{{App: "x", Objects: []*federation.Object{a}}}},
	}
}

const namespaceA = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n"

func TestWriteYAMLNamesEachCluster(t *testing.T) {
	var b strings.Builder
	if err := render.WriteYAML(&b, plans(t), false); err != nil {
		t.Fatal(err)
	}
	want := "# cluster: asia\n" + namespaceA + "---\n" + strings.ReplaceAll(namespaceA, "name: a", "name: b") +
		"---\n# cluster: mars\n---\n# cluster: europe\n" + namespaceA
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteYAMLOfOneClusterIsAStreamForKubectl(t *testing.T) {
	var b strings.Builder
	if err := render.WriteYAML(&b, plans(t)[:1], true); err != nil {
		t.Fatal(err)
	}
	want := namespaceA + "---\n" + strings.ReplaceAll(namespaceA, "name: a", "name: b")
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteJSONWritesAListForEachCluster(t *testing.T) {
	compact := func(single bool, plans []federation.ClusterPlan) string {
		var b strings.Builder
		if err := render.WriteJSON(&b, plans, single); err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(b.String()), "")
	}
	item := func(name string) string {
		return `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + name + `"}}`
	}
	list := func(items ...string) string {
		return `{"kind":"List","apiVersion":"v1","items":[` + strings.Join(items, ",") + `]}`
	}
	want := `{"clusters":[{"name":"asia","objects":` + list(item("a"), item("b")) + `},{"name":"mars","objects":` + list() + `},{"name":"europe","objects":` + list(item("a")) + `}]}`
	if diff := cmp.Diff(want, compact(false, plans(t))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(list(item("a")), compact(true, plans(t)[2:])); diff != "" {
		t.Errorf("one cluster (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(`{"clusters":[]}`, compact(false, nil)); diff != "" {
		t.Errorf("no cluster (-want +got):\n%s", diff)
	}
}

// full is a writer without room.
type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWritersReturnErrors(t *testing.T) {
	if err := render.WriteYAML(full{}, plans(t), false); !errors.Is(err, errFull) {
		t.Errorf("WriteYAML = %v, want %v", err, errFull)
	}
	if err := render.WriteJSON(full{}, plans(t), false); !errors.Is(err, errFull) {
		t.Errorf("WriteJSON = %v, want %v", err, errFull)
	}
}
