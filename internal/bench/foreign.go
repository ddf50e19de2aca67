package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// foreign measures the time until fedsync's report names a port or a label that another
// client added.
func (g *guide) foreign(ctx context.Context, b *bench) (Row, error) {
	additions := []struct {
		kind  schema.GroupVersionResource
		path  string // the JSON pointer that the removal uses
		add   string // the JSON pointer that the addition uses
		value any
	}{
		{services, "/spec/ports/1", "/spec/ports/-", map[string]any{"name": "extra", "port": 8081, "protocol": "TCP"}},
		{ingresses, "/metadata/labels/team", "/metadata/labels/team", "blue"},
	}
	row := Row{What: "a foreign port or label is reported", Unit: "ms", Of: "additions"}
	for run := range b.runs {
		m, a := g.clusters[run%len(g.clusters)], additions[run%len(additions)]
		if err := g.settle(ctx); err != nil {
			return row, err
		}
		if _, err := m.edit(ctx, a.kind, "add", a.add, a.value); err != nil {
			return row, fmt.Errorf("add %s in %s: %w", a.add, m.name, err)
		}
		answered := time.Now()
		if err := g.untilForeign(ctx, m.name, a.kind, true); err != nil {
			return row, err
		}
		row.Values = append(row.Values, milliseconds(time.Since(answered)))
		if _, err := m.edit(ctx, a.kind, "remove", a.path, nil); err != nil {
			return row, fmt.Errorf("remove %s in %s: %w", a.path, m.name, err)
		}
		if err := g.untilForeign(ctx, m.name, a.kind, false); err != nil {
			return row, err
		}
	}
	b.tell("%s: median %.0f ms, worst %.0f ms", row.What, row.Median(), row.Worst())
	return row, nil
}

// untilForeign waits until a foreign addition is reported, or is no longer reported.
func (g *guide) untilForeign(ctx context.Context, cluster string, kind schema.GroupVersionResource, there bool) error {
	kindOf := map[schema.GroupVersionResource]string{services: "Service", ingresses: "Ingress"}
	reported := func(r *status.Report) bool {
		for _, f := range r.Findings {
			if f.ID == "foreign" && f.Cluster == cluster && f.Object == (federation.ObjectRef{Group: kind.Group, Kind: kindOf[kind], Namespace: namespace, Name: guideName}) {
				return true
			}
		}
		return false
	}
	// This is as often as possible without the requests being a load themselves.
	return wait(ctx, patience, 10*time.Millisecond, "report of a foreign addition in "+cluster, func(ctx context.Context) (bool, string) {
		r, err := g.fedsync.Report(ctx)
		if err != nil {
			return false, err.Error()
		}
		return reported(r) == there, fmt.Sprint(r.Findings)
	})
}
