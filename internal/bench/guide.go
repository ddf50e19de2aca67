package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// guide is the federation of the Federated Ingress guide as it runs: three
// objects in every cluster, and fedsync that keeps them.
type guide struct {
	*lab
	dir     string
	program string
	repo    *repository
	fedsync *daemon
	round   int // of the newest push
}

// patience is how long anything that takes a moment may take on a busy machine.
const patience = 2 * time.Minute

// quiet is how long everything is left alone between two runs, so that what one
// set off (endpoints, pods, an Ingress's status) is no load on the next.
const quiet = 300 * time.Millisecond

// openGuide gives the running federation, and makes it when it is first asked
// for.
func (b *bench) openGuide(ctx context.Context) (*guide, error) {
	if b.guide != nil {
		return b.guide, nil
	}
	l, err := b.openLab(ctx)
	if err != nil {
		return nil, err
	}
	g := &guide{lab: l, dir: b.daemonDir("guide"), program: b.fedsync}
	if g.repo, err = newRepository(ctx, filepath.Join(b.dir, "guide"), guideFiles(l.names(), g.round)); err != nil {
		return nil, err
	}
	b.guide = g // from here on there is something to close
	if g.fedsync, err = startDaemon(ctx, b.fedsync, g.dir, g.repo.bare, l.kubeconfig); err != nil {
		return nil, err
	}
	b.tell("waiting for the guide's objects to be live …")
	return g, g.settle(ctx)
}

// daemonDir is where a fedsync of this program has its cache and its log.
func (b *bench) daemonDir(name string) string {
	if b.keep != "" {
		return filepath.Join(b.keep, "fedsync-"+name)
	}
	return filepath.Join(b.dir, "fedsync-"+name)
}

func (g *guide) close() error {
	g.repo.close()
	if g.fedsync == nil {
		return nil
	}
	err := g.fedsync.stop()
	g.fedsync = nil
	return err
}

// settle waits until the newest commit is live and healthy everywhere, and
// nothing is left of what led there.
func (g *guide) settle(ctx context.Context) error {
	if err := g.fedsync.until(ctx, patience, "settle", live(g.repo.head)); err != nil {
		return err
	}
	return pause(ctx, quiet)
}

// settleIn waits until the newest commit has reached some clusters, whatever the
// others do.
func (g *guide) settleIn(ctx context.Context, clusters []string) error {
	err := g.fedsync.until(ctx, patience, "settle", func(r *status.Report) bool {
		for _, c := range r.Clusters {
			if slices.Contains(clusters, c.Name) && (!c.Current || c.Outcome != status.Success) {
				return false
			}
		}
		return r.Revision.SHA == g.repo.head
	})
	if err != nil {
		return err
	}
	return pause(ctx, quiet)
}

// push changes all three objects in every cluster. It gives the time from the
// move of the branch until somebody outside fedsync has seen the last of an
// expected cluster's objects, by cluster.
func (g *guide) push(ctx context.Context, expected []string) (map[string]time.Duration, error) {
	g.round++
	id, err := g.repo.commit(ctx, guideFiles(g.names(), g.round), fmt.Sprintf("Round %d", g.round))
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, quiet); err != nil { // git was busy until now
		return nil, err
	}
	seen := g.sightings.expect(keys(expected), changed(guideName, g.round))
	moved, err := g.repo.publish(id)
	if err != nil {
		seen.drop()
		return nil, err
	}
	at, err := seen.wait(ctx, patience)
	if err != nil {
		return nil, fmt.Errorf("push %d: %w\nfedsync's log ends with\n%s", g.round, err, g.fedsync.lastWords())
	}
	return lastOfEach(moved, at), nil
}

// changed knows the objects of an app that bear the annotations of a round.
func changed(app string, round int) func(sighting) string {
	want := strconv.Itoa(round)
	return func(s sighting) string {
		annotations := s.object.GetAnnotations()
		if s.deleted || s.object.GetName() != app || annotations[roundAnnotation] != want ||
			annotations[placeAnnotation] != s.cluster+"-"+want {
			return ""
		}
		return key(s.cluster, s.kind)
	}
}

// lastOfEach gives for every cluster how long its last key took from a moment on.
func lastOfEach(from time.Time, seen map[string]time.Time) map[string]time.Duration {
	last := map[string]time.Duration{}
	for k, at := range seen {
		var cluster, kind string
		_, _ = fmt.Sscan(k, &cluster, &kind) // key made it
		last[cluster] = max(last[cluster], at.Sub(from))
	}
	return last
}

// slowest is when the last cluster was done, in milliseconds.
func slowest(took map[string]time.Duration) float64 {
	return milliseconds(slices.Max(slices.Collect(maps.Values(took))))
}
