package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// measurePortWaiting pushes a Service without a node port while a cluster is Offline. No
// port is chosen, and the report names the cluster that the choice waits for. The bar is
// on the time from the return of that cluster until the Service is in every cluster.
func measurePortWaiting(ctx context.Context, b *bench) (rows []Row, err error) {
	u, err := b.openUnpinned(ctx, "waiting")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, u.close(context.WithoutCancel(ctx))) }()
	chosen := Row{What: "from its return until one port is chosen and in every cluster", Unit: "ms", Of: "returns"}
	for run := range b.some(4) {
		if err := sleep.For(ctx, probeInterval*time.Duration(run)/time.Duration(b.some(4))); err != nil {
			return nil, err
		}
		away := u.clusters[run*5%len(u.clusters)].name
		took, err := u.awaited(ctx, fmt.Sprintf("waiting-%d", run), away)
		if err != nil {
			return nil, err
		}
		chosen.Values = append(chosen.Values, milliseconds(took))
		b.tell("in all clusters %.1f s after the return of %s", took.Seconds(), away)
	}
	return []Row{chosen.worstWithin(5000)}, nil
}

// awaited returns the time from the return of the cluster until the Service is everywhere.
func (u *unpinned) awaited(ctx context.Context, name, away string) (took time.Duration, err error) {
	if err := u.sandbox.Do(ctx, "pause", away); err != nil {
		return 0, err
	}
	isBack := false
	defer func() {
		if !isBack { // even after the end of ctx: a paused cluster cannot be stopped properly
			err = errors.Join(err, u.sandbox.Do(context.WithoutCancel(ctx), "resume", away))
		}
	}()
	if err := u.untilState(ctx, federation.ClusterOffline, away); err != nil {
		return 0, err
	}
	seen, _, err := u.add(ctx, name)
	if err != nil {
		return 0, err
	}
	defer seen.drop()
	err = u.fedsync.until(ctx, time.Minute, "report the cluster that the choice waits for", func(r *status.Report) bool {
		return r.Revision.SHA == u.repo.head && r.State == status.Pending && slices.ContainsFunc(r.Findings, func(f federation.Finding) bool {
			return f.ID == "port-waiting" && f.Object.Name == name && strings.Contains(f.Message.String(), away)
		})
	})
	if err != nil {
		return 0, err
	}
	isBack = true
	began := time.Now()
	if err := u.sandbox.Do(ctx, "resume", away); err != nil {
		return 0, err
	}
	last, err := u.last(ctx, seen)
	if err != nil {
		return 0, err
	}
	return last.Sub(began), u.settle(ctx)
}
