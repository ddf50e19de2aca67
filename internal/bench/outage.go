package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// measureOutage measures pushes while clusters hang: their API servers accept connections
// and never answer. The bar compares the time until the other clusters are live with that
// of the same clusters when all are up, measured in turns.
func measureOutage(ctx context.Context, b *bench) ([]Row, error) {
	g, err := b.openGuide(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.settle(ctx); err != nil {
		return nil, err
	}
	if _, err := g.push(ctx, g.names()); err != nil {
		return nil, err
	}
	var rows []Row
	for _, out := range []int{1, 5} {
		if out >= len(g.clusters) {
			continue
		}
		more, err := g.outage(ctx, b, out)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// outage measures pushes with some clusters out.
func (g *guide) outage(ctx context.Context, b *bench, out int) ([]Row, error) {
	// They are spread over the federation's order, so that the order cannot matter.
	var away, there []string
	step := len(g.clusters) / out
	for i, name := range g.names() {
		if i%step == step/2 && len(away) < out {
			away = append(away, name)
		} else {
			there = append(there, name)
		}
	}
	up := Row{What: fmt.Sprintf("push to live in %d of %d, all up", len(there), len(g.clusters)), Unit: "ms", Of: "pushes"}
	first := Row{What: fmt.Sprintf("the same, %d stopped a moment before", out), Unit: "ms", Of: "pushes"}
	later := Row{What: fmt.Sprintf("the same, %d known to be Offline", out), Unit: "ms", Of: "pushes"}
	for range b.runs {
		if err := g.settle(ctx); err != nil {
			return nil, err
		}
		took, err := g.push(ctx, g.names())
		if err != nil {
			return nil, err
		}
		if err := g.settle(ctx); err != nil {
			return nil, err
		}
		unnoticed, offline, err := g.pushWithout(ctx, away, there)
		if err != nil {
			return nil, err
		}
		up.Values = append(up.Values, slowest(among(took, there)))
		first.Values = append(first.Values, slowest(unnoticed))
		later.Values = append(later.Values, slowest(offline))
		b.tell("%d out: all up %.0f ms, at first %.0f ms, later %.0f ms", out, slowest(among(took, there)), slowest(unnoticed), slowest(offline))
	}
	ratio := func(r Row) Row { return r.must("median", r.Median()/up.Median(), 1.2, "× all up") }
	return []Row{up, ratio(first), ratio(later)}, nil
}

// pushWithout pauses clusters and pushes immediately, before fedsync can notice. It pushes
// again after fedsync has noticed, and resumes the clusters.
func (g *guide) pushWithout(ctx context.Context, away, there []string) (first, later map[string]time.Duration, err error) {
	defer func() { err = errors.Join(err, g.all(context.WithoutCancel(ctx), "resume", away)) }() // paused clusters cannot be stopped properly
	if err := g.all(ctx, "pause", away); err != nil {
		return nil, nil, err
	}
	if first, err = g.push(ctx, there); err != nil {
		return nil, nil, err
	}
	if err := g.untilState(ctx, federation.ClusterOffline, away...); err != nil {
		return nil, nil, err
	}
	if err := g.settleIn(ctx, there); err != nil {
		return nil, nil, err
	}
	later, err = g.push(ctx, there)
	return first, later, err
}

// among returns the entries of some clusters.
func among[V any](all map[string]V, clusters []string) map[string]V {
	all = maps.Clone(all)
	maps.DeleteFunc(all, func(name string, _ V) bool { return !slices.Contains(clusters, name) })
	return all
}
