package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/federation"
)

// measureGuard takes more than half of a federation away at once: nothing may move,
// and the report must say why, until a person says in Git that the clusters are
// lost.
func measureGuard(ctx context.Context, b *bench) ([]Row, error) {
	l, err := b.openLab(ctx)
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

// guard measures one federation, of which so many clusters go away.
func guard(ctx context.Context, b *bench, name string, clusters []string, lost int) (_ []Row, err error) {
	r, err := b.openRelocating(ctx, name, clusters)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	head := fmt.Sprintf("%d of %d lost: ", lost, len(clusters))
	frozen := Row{What: head + "until the report says frozen", Unit: "ms", Of: "outages"}
	written := Row{What: head + "write requests to those that are left", Unit: "requests", Of: "outages"}
	changed := Row{What: head + "clusters that are left and whose replicas changed", Unit: "clusters", Of: "outages"}
	confirmed := Row{What: head + "from the push of confirmLost until the replacements are created", Unit: "ms", Of: "pushes"}
	for run := range b.some(6) {
		signal := [][2]string{{"kill", "start"}, {"pause", "resume"}}[run%2]
		x, err := r.freeze(ctx, clusters[len(clusters)-lost:], signal[0], signal[1])
		if err != nil {
			return nil, err
		}
		frozen.Values = append(frozen.Values, milliseconds(x.said))
		b.tell("%s%s: frozen after %.1f s, %.0f writes, replicas changed in %d clusters, %.0f ms from confirmLost to the replacements",
			head, signal[0], x.said.Seconds(), x.written, x.changed, milliseconds(x.moved))
		written.Values = append(written.Values, x.written)
		changed.Values = append(changed.Values, float64(x.changed))
		confirmed.Values = append(confirmed.Values, milliseconds(x.moved))
	}
	if lost == len(clusters) {
		return []Row{frozen}, nil
	}
	return []Row{frozen, written.worstWithin(0), changed.worstWithin(0), confirmed}, nil
}

// freezing is what the loss of too many clusters at once led to.
type freezing struct {
	said    time.Duration // until the report said so
	written float64
	changed int           // clusters that are left and whose spec.replicas is another
	moved   time.Duration // from the push of confirmLost on; 0 where none is left
}

func (r *relocating) freeze(ctx context.Context, lost []string, away, back string) (x freezing, err error) {
	left := without(r.clusters, lost)
	before, err := r.requestsIn(ctx, left)
	if err != nil {
		return x, err
	}
	counts := r.tally.now(left)
	areBack := false
	defer func() {
		if !areBack { // even when ctx has ended: else they could not be ended well
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
	x.said = time.Since(began)
	if err := r.untilState(ctx, federation.ClusterOffline, lost...); err != nil {
		return x, err
	}
	// Whatever would move has moved by then.
	if err := sleep.For(ctx, 5*time.Second); err != nil {
		return x, err
	}
	now, err := r.requestsIn(ctx, left)
	if err != nil {
		return x, err
	}
	x.written = total(since(now, before)).sum(writes()...)
	for cluster, p := range r.tally.now(left) {
		if p.wanted != counts[cluster].wanted {
			x.changed++
		}
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
			return x, fmt.Errorf("%w\nfedsync's log ends with\n%s", err, r.fedsync.lastWords())
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
