package planner_test

import (
	"fmt"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

// BenchmarkPlan plans for 50 Ingresses in 13 clusters of 3 zones with 3 nodes each.
func BenchmarkPlan(b *testing.B) {
	w := &world{clusters: map[string]*testCluster{}, ingresses: map[string]*testIngress{}, firewall: true}
	for i := range 13 {
		c := &testCluster{nodes: map[string]string{}, rate: 100}
		for z := range 3 {
			c.zones = append(c.zones, fmt.Sprintf("region-%d-%c", i, 'a'+z))
		}
		for n := range 9 {
			c.nodes[fmt.Sprintf("n%d", n)] = fmt.Sprintf("10.%d.0.%d", i, n)
		}
		w.clusters[fmt.Sprintf("c%d", i)] = c
	}
	for i := range 50 {
		w.ingresses[fmt.Sprintf("web%d", i)] = &testIngress{services: map[string]int32{"s": 30000 + int32(i)}, tls: 1, timeout: 30} //nolint:gosec // a count
	}
	want := w.wanted()
	empty := gcptest.NewModel()
	first := planner.Plan(want, empty.Observe())
	for _, a := range first.Actions {
		if err := empty.Do(a); err != nil {
			b.Fatal(err)
		}
	}
	full := empty.Observe()
	b.Run("creation", func(b *testing.B) {
		none := gcptest.NewModel().Observe()
		for b.Loop() {
			planner.Plan(want, none)
		}
		b.ReportMetric(float64(len(first.Actions)), "actions")
	})
	b.Run("idle", func(b *testing.B) {
		for b.Loop() {
			if !planner.Plan(want, full).Settled {
				b.Fatal("not settled")
			}
		}
	})
	b.Run("deletion", func(b *testing.B) {
		none := gcp.Wanted{Owner: us}
		for b.Loop() {
			planner.Plan(none, full)
		}
	})
}
