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

// measurePortWaiting pushes a Service without a node port while a cluster is
// Offline. Nothing is chosen, and the report says for whom it waits; what counts is
// when the Service is in every cluster after that one goes on.
func measurePortWaiting(ctx context.Context, b *bench) (rows []Row, err error) {
	u, err := b.openUnpinned(ctx, "waiting")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, u.close(context.WithoutCancel(ctx))) }()
	early := Row{What: "Services written while a cluster is Offline", Unit: "Services", Of: "outages"}
	chosen := Row{What: "from its return until one port is chosen and in every cluster", Unit: "ms", Of: "returns"}
	for run := range b.some(4) {
		if err := sleep.For(ctx, probeInterval*time.Duration(run)/time.Duration(b.some(4))); err != nil {
			return nil, err
		}
		away := u.clusters[run*5%len(u.clusters)].name
		written, took, err := u.awaited(ctx, fmt.Sprintf("waiting-%d", run), away)
		if err != nil {
			return nil, err
		}
		early.Values = append(early.Values, float64(written))
		chosen.Values = append(chosen.Values, milliseconds(took))
		b.tell("%d written while %s was Offline, in all clusters %.1f s after its return", written, away, took.Seconds())
	}
	return []Row{early.worstWithin(0), chosen.worstWithin(5000)}, nil
}

// awaited gives how many clusters got the Service too early, and how long it took
// after the return.
func (u *unpinned) awaited(ctx context.Context, name, away string) (early int, took time.Duration, err error) {
	if err := u.sandbox.do(ctx, "pause", away); err != nil {
		return 0, 0, err
	}
	isBack := false
	defer func() {
		if !isBack { // even when ctx has ended: else it could not be ended well
			err = errors.Join(err, u.sandbox.do(context.WithoutCancel(ctx), "resume", away))
		}
	}()
	if err := u.untilState(ctx, federation.ClusterOffline, away); err != nil {
		return 0, 0, err
	}
	seen, _, err := u.add(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	defer seen.drop()
	err = u.fedsync.until(ctx, time.Minute, "say for whom the choice waits", func(r *status.Report) bool {
		return r.Revision.SHA == u.repo.head && r.State == status.Pending && slices.ContainsFunc(r.Findings, func(f federation.Finding) bool {
			return f.ID == "port-waiting" && f.Object.Name == name && strings.Contains(f.Message.String(), away)
		})
	})
	if err != nil {
		return 0, 0, err
	}
	if err := sleep.For(ctx, 2*time.Second); err != nil {
		return 0, 0, err
	}
	u.sightings.mu.Lock()
	early = len(seen.seen)
	u.sightings.mu.Unlock()

	isBack = true
	began := time.Now()
	if err := u.sandbox.do(ctx, "resume", away); err != nil {
		return 0, 0, err
	}
	last, err := u.last(ctx, seen)
	if err != nil {
		return 0, 0, err
	}
	ports, err := u.nodePorts(ctx, []string{name})
	if err == nil && u.onePort(ports[name]) == 0 {
		err = fmt.Errorf("%s has the node ports %v, want one", name, ports[name])
	}
	return early, last.Sub(began), errors.Join(err, u.settle(ctx))
}
