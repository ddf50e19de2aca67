package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
)

// manyPerCluster is how many objects each cluster has when memory is measured.
const manyPerCluster = 300

// measureMemory measures a fedsync with 300 objects in every cluster: it creates them,
// changes every one of them, and is then left alone. The bar is on the memory that is
// resident then; the maximum is reported, too.
func measureMemory(ctx context.Context, b *bench) (rows []Row, err error) {
	l, err := b.openFleet(ctx)
	if err != nil {
		return nil, err
	}
	if b.guide != nil { // no other fedsync may watch or write
		if err := b.guide.close(); err != nil {
			return nil, err
		}
		b.guide = nil
	}
	repo, err := newRepository(ctx, filepath.Join(b.dir, manyName), manyFiles(l.names(), manyPerCluster, 0))
	if err != nil {
		return nil, err
	}
	defer repo.close()
	b.tell("bringing %d objects to %d clusters …", manyPerCluster, len(l.clusters))
	d, err := startDaemon(ctx, b.fedsync, b.daemonDir(manyName), repo.bare, l.sandbox.Kubeconfig())
	if err != nil {
		return nil, err
	}
	defer func() {
		if d != nil {
			d.Kill() // an error is already being returned
		}
	}()
	if err := d.succeeds(ctx, repo.head); err != nil {
		return nil, err
	}
	count := manyPerCluster * len(l.clusters)
	rows = append(rows, Row{
		What: fmt.Sprintf("from the start until %d objects are live", count),
		Unit: "ms", Of: "start", Values: []float64{milliseconds(time.Since(d.Began))},
	})
	took, err := d.pushAll(ctx, repo, manyFiles(l.names(), manyPerCluster, 1))
	if err != nil {
		return nil, err
	}
	rows = append(rows, Row{
		What: fmt.Sprintf("push that changes all %d objects, until fedsync says so", count),
		Unit: "ms", Of: "push", Values: []float64{milliseconds(took)},
	})
	_, most, err := d.Memory()
	if err != nil {
		return nil, err
	}

	b.tell("%.0f MB at most; leaving it alone for %s …", megabytes(most), b.span())
	steady := Row{What: "VmRSS at rest, in the last tenth of the wait", Unit: "MB", Of: "samples"}
	if err := sleep.For(ctx, b.span()*9/10); err != nil {
		return nil, err
	}
	if steady.Values, err = d.samples(ctx, b.runs, b.span()/10); err != nil {
		return nil, err
	}
	if _, most, err = d.Memory(); err != nil {
		return nil, err
	}
	rows = append(rows, Row{What: "VmHWM, the most that ever was resident", Unit: "MB", Of: "start", Values: []float64{megabytes(most)}})
	running := d
	d = nil
	return append([]Row{steady.medianWithin(150)}, rows...), running.Stop()
}

// pushAll pushes changed files and returns how long fedsync takes to bring them to all
// clusters.
func (d *daemon) pushAll(ctx context.Context, repo *repository, files map[string]string) (time.Duration, error) {
	id, err := repo.commit(ctx, files, "Change everything")
	if err != nil {
		return 0, err
	}
	if err := sleep.For(ctx, quiet); err != nil { // git was busy until now
		return 0, err
	}
	moved, err := repo.publish(id)
	if err != nil {
		return 0, err
	}
	err = d.succeeds(ctx, id)
	return time.Since(moved), err
}

// samples reads the resident memory several times over a span.
func (d *daemon) samples(ctx context.Context, n int, over time.Duration) ([]float64, error) {
	var all []float64
	for range n {
		if err := sleep.For(ctx, over/time.Duration(n)); err != nil {
			return nil, err
		}
		now, _, err := d.Memory()
		if err != nil {
			return nil, err
		}
		all = append(all, megabytes(now))
	}
	return all, nil
}

// megabytes converts bytes to units of 10⁶ bytes.
func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// succeeds waits until the newest report is a success at a commit. It reads the metrics,
// which are short: to encode the report of so many objects would take more memory than
// anything else that fedsync does.
func (d *daemon) succeeds(ctx context.Context, id string) error {
	want := []string{`fedsync_report_state{state="success"} 1`, fmt.Sprintf(`fedsync_revision_info{revision=%q} 1`, id)}
	err := wait(ctx, 5*time.Minute, 250*time.Millisecond, "bring everything to all clusters", func(ctx context.Context) (bool, string) {
		body, err := d.Get(ctx, "/metrics")
		if err != nil {
			return false, err.Error()
		}
		for _, line := range want {
			if !strings.Contains(string(body), line) {
				return false, "no " + line
			}
		}
		return true, ""
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w\nfedsync's log ends with\n%s", err, d.LastWords())
	}
	return err
}
