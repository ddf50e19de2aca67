package schedule

import (
	"errors"
	"reflect"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// webService is a Service of which every cluster may have a rendering of its own.
func webService(t *testing.T, place string, port int) *federation.Object {
	t.Helper()
	o, err := federation.NewObject(map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": "web", "namespace": "default", "labels": map[string]any{"place": place}},
		"spec":     map[string]any{"type": "NodePort", "ports": []any{map[string]any{"port": port}}},
	}, "apps/web/service.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAKeptSchedulerPlansAsANewOne(t *testing.T) {
	in := world(t, 2)
	for name, facts := range in.Facts.Clusters {
		facts.Seen, facts.PortsKnown = true, true
		in.Facts.Clusters[name] = facts
	}
	changes := []struct {
		name string
		do   func()
	}{
		{"nothing", func() {}},
		{"every cluster has a rendering of its own", func() {
			for i := range in.Bundles {
				in.Bundles[i].Objects = append(objects(t, 1), webService(t, in.Bundles[i].Cluster, 80))
			}
		}},
		{"an object takes the place of another", func() { in.Bundles[1].Objects[1] = webService(t, "b", 81) }},
		{"an app cannot be rendered", func() { in.Bundles[2].Err = errors.New("no base") }},
		{"a cluster leaves", func() { in.Bundles, in.Federation.Clusters = in.Bundles[:2], in.Federation.Clusters[:2] }},
		{"an object goes", func() { in.Bundles[0].Objects = in.Bundles[0].Objects[:1] }},
		{"and comes back", func() { in.Bundles[0].Objects = append(objects(t, 1), webService(t, "a", 80)) }},
	}
	kept := New()
	for _, c := range changes {
		c.do()
		if got, want := kept.Plan(in), New().Plan(in); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: a kept Scheduler plans\n%+v\na new one\n%+v", c.name, got, want)
		}
	}
}

func TestClustersShareAReadingWhereTheirObjectsSayTheSame(t *testing.T) {
	l := newLibrary()
	read := map[key]contents{}
	for _, cluster := range []string{"a", "b"} {
		k := key{cluster, "web"}
		read[k] = l.read(k, []*federation.Object{webService(t, cluster, 80), webService(t, cluster, 81)})
	}
	a, b := read[key{"a", "web"}].readings, read[key{"b", "web"}].readings
	if a[0] != b[0] || a[1] != b[1] || a[0] == a[1] {
		t.Errorf("readings %p %p and %p %p, want the same pair of two different ones", a[0], a[1], b[0], b[1])
	}
	l.retain(read)
	l.retain(map[key]contents{})
	l.reading(webService(t, "a", 82)) // something new: what is gone is forgotten with it
	l.retain(map[key]contents{})
	if len(l.readings) != 0 || len(l.objects) != 0 || len(l.bundles) != 0 {
		t.Errorf("%d readings, %d objects and %d bundles are kept of nothing", len(l.readings), len(l.objects), len(l.bundles))
	}
}
