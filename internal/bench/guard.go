package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// measureGuard stops more than half of the clusters of a federation at once. It measures
// how soon the report states that nothing moves, and how soon the replicas move after Git
// confirms that the clusters are lost.
func measureGuard(ctx context.Context, b *bench) ([]Row, error) {
	l, err := b.openFleet(ctx)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, f := range []struct {
		name           string
		clusters, lost int
	}{
		{"many", len(l.clusters), len(l.clusters)/2 + 1},
		{"three", 3, 2},
		{"two", 2, 2},
	} {
		if f.clusters > len(l.clusters) {
			continue
		}
		more, err := guard(ctx, b, f.name, l.names()[:f.clusters], f.lost)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// guard measures one federation, of which some clusters go away.
func guard(ctx context.Context, b *bench, name string, clusters []string, lost int) (_ []Row, err error) {
	r, err := b.openRelocating(ctx, name, clusters)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	head := fmt.Sprintf("%d of %d lost: ", lost, len(clusters))
	frozen := Row{What: head + "until the report says frozen", Unit: "ms", Of: "outages"}
	confirmed := Row{What: head + "from the push of confirmLost until the replacements are created", Unit: "ms", Of: "pushes"}
	for run := range b.some(6) {
		signal := [][2]string{{"kill", "start"}, {"pause", "resume"}}[run%2]
		x, err := r.freeze(ctx, clusters[len(clusters)-lost:], signal[0], signal[1])
		if err != nil {
			return nil, err
		}
		frozen.Values = append(frozen.Values, milliseconds(x.reported))
		b.tell("%s%s: frozen after %.1f s, %.0f ms from confirmLost to the replacements",
			head, signal[0], x.reported.Seconds(), milliseconds(x.moved))
		confirmed.Values = append(confirmed.Values, milliseconds(x.moved))
	}
	if lost == len(clusters) {
		return []Row{frozen}, nil
	}
	return []Row{frozen, confirmed}, nil
}

// freezing holds the times after the loss of too many clusters at once.
type freezing struct {
	reported time.Duration // until the report stated it
	moved    time.Duration // from the push of confirmLost on; 0 if no cluster is left
}

func (r *relocating) freeze(ctx context.Context, lost []string, away, back string) (x freezing, err error) {
	left := without(r.clusters, lost)
	areBack := false
	defer func() {
		if !areBack { // even after the end of ctx: paused clusters cannot be stopped properly
			err = errors.Join(err, r.all(context.WithoutCancel(ctx), back, lost))
		}
	}()
	began := time.Now()
	if err := r.all(ctx, away, lost); err != nil {
		return x, err
	}
	if err := r.untilFound(ctx, "frozen", true); err != nil {
		return x, err
	}
	x.reported = time.Since(began)
	if err := r.untilState(ctx, federation.ClusterOffline, lost...); err != nil {
		return x, err
	}
	confirm := fmt.Sprintf("  failover: {confirmLost: [%s]}\n", strings.Join(lost, ", "))
	pushed, err := r.deliver(ctx, r.files(confirm), "Confirm the loss")
	if err != nil {
		return x, err
	}
	if err := r.untilFound(ctx, "frozen", false); err != nil {
		return x, err
	}
	if len(left) > 0 {
		at, err := r.tally.until(ctx, patience, "move what is confirmed", made(left, r.total()))
		if err != nil {
			return x, fmt.Errorf("%w\nfedsync's log ends with\n%s", err, r.fedsync.LastWords())
		}
		x.moved = at.Sub(pushed)
	}

	areBack = true
	if err := r.all(ctx, back, lost); err != nil {
		return x, err
	}
	if _, err := r.deliver(ctx, r.files(""), "They are back"); err != nil {
		return x, err
	}
	return x, r.restored(ctx)
}
