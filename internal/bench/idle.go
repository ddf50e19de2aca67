package main

import (
	"context"
	"math"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
)

// renewal is how often a watch may be begun anew.
const renewal = 5 * time.Minute

// measureIdle counts what reaches the API servers from fedsync while nothing
// changes. The API servers count it themselves, for fedsync's account alone.
func measureIdle(ctx context.Context, b *bench) ([]Row, error) {
	g, err := b.openGuide(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.settle(ctx); err != nil {
		return nil, err
	}
	// A new start tells how many watches there are.
	requests, err := g.requests(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := g.restart(ctx); err != nil {
		return nil, err
	}
	now, err := g.requests(ctx)
	if err != nil {
		return nil, err
	}
	b.tell("leaving %d clusters alone for %s …", len(g.clusters), b.span())
	return g.idle(ctx, b, watches(since(now, requests)), func() error { return sleep.For(ctx, b.span()) })
}

// watches gives how many each cluster has: those that were begun since a start.
func watches(made map[string]counts) map[string]float64 {
	n := map[string]float64{}
	for cluster, c := range made {
		n[cluster] = c[verbWatch]
	}
	return n
}

// idle counts requests while something is waited for.
func (l *lab) idle(ctx context.Context, b *bench, watches map[string]float64, waiting func() error) ([]Row, error) {
	// What a start and the last change set off is over then.
	if err := sleep.For(ctx, 10*time.Second); err != nil {
		return nil, err
	}
	before, err := l.requests(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := waiting(); err != nil {
		return nil, err
	}
	now, err := l.requests(ctx)
	if err != nil {
		return nil, err
	}
	minutes := time.Since(began).Minutes()

	others := Row{What: "requests besides /readyz and watches, in a minute", Unit: "requests", Of: "clusters"}
	renewed := Row{What: "renewals of a watch, in 5 minutes", Unit: "renewals", Of: "clusters"}
	probed := Row{What: "/readyz, in a minute", Unit: "requests", Of: "clusters"}
	for cluster, made := range since(now, before) {
		others.Values = append(others.Values, made.besides(probes, verbWatch)/minutes)
		// A watch may be renewed at any moment of the span, in a short one too.
		periods := math.Ceil(minutes / renewal.Minutes())
		renewed.Values = append(renewed.Values, made[verbWatch]/watches[cluster]/periods)
		probed.Values = append(probed.Values, made[probes]/minutes)
		if made.besides(probes, verbWatch) > 0 {
			b.tell("idle, and yet %s was asked: %s", cluster, made)
		}
	}
	return []Row{others.worstWithin(0), renewed.worstWithin(1), probed}, nil
}
