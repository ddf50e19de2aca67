package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/federation"
)

// measureLostProbes hangs an API server for as long as it takes to lose one probe,
// or two, and counts what fedsync writes anywhere because of it.
func measureLostProbes(ctx context.Context, b *bench) (rows []Row, err error) {
	l, err := b.openLab(ctx)
	if err != nil {
		return nil, err
	}
	// Its log tells of each probe.
	r, err := b.openRelocating(ctx, "staying", l.names(), "--log-level", "debug")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, probes := range []int{1, 2} {
		head := fmt.Sprintf("hung for %s: ", hang(probes))
		lost := Row{What: head + "probes that failed", Unit: "probes", Of: "hangs"}
		written := Row{What: head + "write requests, all clusters", Unit: "requests", Of: "hangs"}
		changed := Row{What: head + "clusters whose replicas changed", Unit: "clusters", Of: "hangs"}
		for run := range b.some(4) {
			if err := sleep.For(ctx, probeInterval*time.Duration(run)/time.Duration(b.some(4))); err != nil {
				return nil, err
			}
			x, err := r.hangs(ctx, r.clusters[run*5%len(r.clusters)], probes)
			if err != nil {
				return nil, err
			}
			lost.Values = append(lost.Values, float64(x.failed))
			written.Values = append(written.Values, x.written)
			changed.Values = append(changed.Values, float64(x.changed))
			b.tell("%s%d probes failed, %.0f writes, replicas changed in %d clusters", head, x.failed, x.written, x.changed)
		}
		if lost.Worst() == 0 {
			return nil, fmt.Errorf("%sno probe failed, so that nothing was measured", head)
		}
		rows = append(rows, lost.worstWithin(float64(probes)), written.worstWithin(0), changed.worstWithin(0))
	}
	return rows, nil
}

// hang is how long an API server hangs for so many probes to fail, almost whenever
// it begins: each fails after 2 seconds, and the next begins at once. Fewer fail
// where the first begins late.
func hang(probes int) time.Duration {
	return time.Duration(probes+1)*probeInterval - 200*time.Millisecond
}

// hung is what a hang led to.
type hung struct {
	failed  int // probes
	written float64
	changed int // clusters whose spec.replicas is another
}

func (r *relocating) hangs(ctx context.Context, name string, probes int) (x hung, err error) {
	before, err := r.requests(ctx)
	if err != nil {
		return x, err
	}
	counts := r.tally.now(r.clusters)
	log, err := os.Stat(r.fedsync.logFile)
	if err != nil {
		return x, err
	}
	if err := r.sandbox.do(ctx, "pause", name); err != nil {
		return x, err
	}
	err = sleep.For(ctx, hang(probes))
	if err = errors.Join(err, r.sandbox.do(context.WithoutCancel(ctx), "resume", name)); err != nil {
		return x, err
	}
	// It is Ready again after two good probes. Were there anything to write, it
	// would be by then.
	if err := sleep.For(ctx, 3*probeInterval); err != nil {
		return x, err
	}
	if err := r.untilState(ctx, federation.ClusterReady, r.clusters...); err != nil {
		return x, err
	}
	if err := r.settle(ctx); err != nil {
		return x, err
	}
	now, err := r.requests(ctx)
	if err != nil {
		return x, err
	}
	x.written = total(since(now, before)).sum(writes()...)
	for cluster, p := range r.tally.now(r.clusters) {
		if p.wanted != counts[cluster].wanted {
			x.changed++
		}
	}
	x.failed, err = r.fedsync.failedProbes(name, log.Size())
	return x, err
}

// failedProbes counts in the log, from an offset on, the probes of a cluster that
// failed.
func (d *daemon) failedProbes(cluster string, from int64) (n int, err error) {
	data, err := os.ReadFile(d.logFile)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data[min(from, int64(len(data))):]) {
		var entry struct{ Msg, Cluster string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "probe failed" && entry.Cluster == cluster {
			n++
		}
	}
	return n, nil
}
