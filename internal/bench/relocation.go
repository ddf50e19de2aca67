package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
)

// relocating is a federation with one ReplicaSet over some clusters. Each cluster runs
// guideReplicas of its replicas while all clusters are up.
type relocating struct {
	*federated
	name      string
	clusters  []string
	rebalance bool
	tally     *tally
	stop      func() // of the tally
}

// openRelocating brings a ReplicaSet with a name to clusters.
func (b *bench) openRelocating(ctx context.Context, name string, clusters []string, args ...string) (*relocating, error) {
	l, err := b.openFleet(ctx)
	if err != nil {
		return nil, err
	}
	r := &relocating{name: name, clusters: clusters, rebalance: true}
	r.tally, r.stop = l.sightings.count(name)
	if r.federated, err = b.federate(ctx, name, r.files(""), args...); err != nil {
		r.stop()
		return nil, err
	}
	return r, r.restored(ctx)
}

func (r *relocating) close() error {
	r.stop()
	return r.federated.close()
}

func (r *relocating) total() int64 { return guideReplicas * int64(len(r.clusters)) }

// files returns the files of the repository, with more in its fedsync.yaml.
func (r *relocating) files(more string) map[string]string {
	replicaSet := guideObjects(r.name, 0, int(r.total()), 0)["replicaset.yaml"]
	preferences := fmt.Sprintf(`    federation.kubernetes.io/replica-set-preferences: '{"rebalance": %t, "clusters": {"*": {"weight": 1}}}'`, r.rebalance)
	return map[string]string{
		"fedsync.yaml":               federationFile(r.name, r.clusters) + more,
		appPath + "/replicaset.yaml": strings.Replace(replicaSet, "  annotations:\n", "  annotations:\n"+preferences+"\n", 1),
	}
}

// restored waits until everything is as before an outage.
func (r *relocating) restored(ctx context.Context) error {
	if _, err := r.tally.until(ctx, patience, "share the replicas equally", shared(r.clusters, r.total())); err != nil {
		return fmt.Errorf("%w\nfedsync's log ends with\n%s", err, r.fedsync.LastWords())
	}
	return r.settle(ctx)
}

// measureRelocation measures what the loss of a cluster costs: the time from the signal to
// its API server until the other clusters have as many additional pods as it ran, and the
// time from its return until everything is as before.
func measureRelocation(ctx context.Context, b *bench) (rows []Row, err error) {
	l, err := b.openFleet(ctx)
	if err != nil {
		return nil, err
	}
	r, err := b.openRelocating(ctx, "moving", l.names())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, o := range []struct {
		signal, away, back string
		rebalance          bool
		runs               int
		limit              float64 // ms
	}{
		{"SIGKILL", "kill", "start", true, b.some(2), 10_000},
		{"SIGSTOP", "pause", "resume", true, b.some(2), 12_000},
		{"SIGKILL", "kill", "start", false, b.some(4), 10_000},
	} {
		name := fmt.Sprintf("%s, rebalance %t", o.signal, o.rebalance)
		if r.rebalance != o.rebalance {
			r.rebalance = o.rebalance
			if _, err := r.deliver(ctx, r.files(""), name); err != nil {
				return nil, err
			}
			if err := r.restored(ctx); err != nil {
				return nil, err
			}
		}
		moved := Row{What: name + ": until the replacements are created", Unit: "ms", Of: "outages"}
		settled := Row{What: name + ": from its return until all is as before", Unit: "ms", Of: "returns"}
		missing := Row{What: name + ": Ready pods missing in all meanwhile", Unit: "pods", Of: "returns"}
		for run := range o.runs {
			// Each run begins at another moment between two probes.
			if err := sleep.For(ctx, probeInterval*time.Duration(run)/time.Duration(o.runs)); err != nil {
				return nil, err
			}
			lost := r.clusters[run*5%len(r.clusters)]
			x, err := r.lose(ctx, lost, o.away, o.back)
			if err != nil {
				return nil, err
			}
			moved.Values = append(moved.Values, milliseconds(x.moved))
			settled.Values = append(settled.Values, milliseconds(x.settled))
			missing.Values = append(missing.Values, float64(x.missing))
			b.tell("%s of %s: moved after %.1f s, all as before %.1f s after its return, %d pods missing",
				name, lost, x.moved.Seconds(), x.settled.Seconds(), x.missing)
		}
		rows = append(rows, moved.worstWithin(o.limit), settled, missing.worstWithin(0))
	}
	return rows, nil
}

// probeInterval is how often fedsync probes a cluster by default.
const probeInterval = 2 * time.Second

// loss holds the figures of one loss of a cluster.
type loss struct {
	moved   time.Duration // until the replacements existed
	settled time.Duration // after its return
	missing int64         // how many fewer pods were Ready in total than before the return
}

func (r *relocating) lose(ctx context.Context, name, away, back string) (x loss, err error) {
	left := without(r.clusters, []string{name})
	began := time.Now()
	if err := r.sandbox.Do(ctx, away, name); err != nil {
		return x, err
	}
	isBack := false
	defer func() {
		if !isBack { // even after the end of ctx: a paused cluster cannot be stopped properly
			err = errors.Join(err, r.sandbox.Do(context.WithoutCancel(ctx), back, name))
		}
	}()
	at, err := r.tally.until(ctx, time.Minute, "create the replacements", made(left, r.total()))
	if err != nil {
		return x, fmt.Errorf("%w\nfedsync's log ends with\n%s", err, r.fedsync.LastWords())
	}
	x.moved = at.Sub(began)
	if _, err := r.tally.until(ctx, patience, "share the replicas equally", shared(left, r.total())); err != nil {
		return x, err
	}
	if err := sleep.For(ctx, quiet); err != nil {
		return x, err
	}

	r.tally.mark()
	isBack = true
	if err := r.sandbox.Do(ctx, back, name); err != nil {
		return x, err
	}
	returned := time.Now()
	if at, err = r.tally.until(ctx, patience, "be as before", shared(r.clusters, r.total())); err != nil {
		return x, fmt.Errorf("%w\nfedsync's log ends with\n%s", err, r.fedsync.LastWords())
	}
	x.settled = at.Sub(returned)
	x.missing = max(0, r.total()-r.tally.fewest())
	return x, r.settle(ctx)
}
