package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// guide is the running federation of the Federated Ingress guide: three objects in every
// cluster.
type guide struct {
	*federated
	round int // of the newest push
}

// openGuide returns the running federation. The first call makes it.
func (b *bench) openGuide(ctx context.Context) (*guide, error) {
	if b.guide != nil {
		return b.guide, nil
	}
	l, err := b.openFleet(ctx)
	if err != nil {
		return nil, err
	}
	b.tell("bringing the guide's objects to the clusters …")
	f, err := b.federate(ctx, "guide", guideFiles(l.names(), 0))
	if err != nil {
		return nil, err
	}
	b.guide = &guide{federated: f}
	return b.guide, nil
}

// push changes all three objects in every cluster. It returns, for each expected cluster,
// the time from the move of the branch until the watches outside fedsync have seen the
// last of its objects.
func (g *guide) push(ctx context.Context, expected []string) (map[string]time.Duration, error) {
	return g.pushAs(ctx, expected, guideFiles)
}

// pushAnnotated is push to all clusters, with overlays that only annotate all objects.
func (g *guide) pushAnnotated(ctx context.Context) (map[string]time.Duration, error) {
	return g.pushAs(ctx, g.names(), annotatedFiles)
}

func (g *guide) pushAs(ctx context.Context, expected []string, files func([]string, int) map[string]string) (map[string]time.Duration, error) {
	g.round++
	id, err := g.prepare(ctx, files(g.names(), g.round), fmt.Sprintf("Round %d", g.round))
	if err != nil {
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
		return nil, fmt.Errorf("push %d: %w\nfedsync's log ends with\n%s", g.round, err, g.fedsync.LastWords())
	}
	return lastOfEach(moved, at), nil
}

// changed returns a function that recognizes the objects of an app with the annotations
// of a round.
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

// lastOfEach returns for every cluster the time from a moment until its last key was seen.
func lastOfEach(from time.Time, seen map[string]time.Time) map[string]time.Duration {
	last := map[string]time.Duration{}
	for k, at := range seen {
		var cluster, kind string
		_, _ = fmt.Sscan(k, &cluster, &kind) // key made it
		last[cluster] = max(last[cluster], at.Sub(from))
	}
	return last
}

// slowest returns the time of the slowest cluster, in milliseconds.
func slowest(took map[string]time.Duration) float64 {
	return milliseconds(slices.Max(slices.Collect(maps.Values(took))))
}
