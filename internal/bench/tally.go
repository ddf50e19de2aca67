package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// tally is what one ReplicaSet runs in every cluster, as watches outside fedsync see it.
// For an unreachable cluster it has what was seen last: its pods still exist when the
// cluster is back.
type tally struct {
	of *sightings
	// The following fields are protected by the sightings' mutex.
	counts  map[string]pods // by cluster
	waiting *waiting        // nil while nobody waits
	least   int64           // the fewest Ready pods in total since mark
}

// pods counts the pods of one ReplicaSet.
type pods struct {
	wanted, made, ready int64 // spec.replicas, and those that exist and are Ready
}

type waiting struct {
	so   func(map[string]pods) bool
	at   time.Time     // when it became true
	done chan struct{} // closed at that time
}

// count starts counting the pods of a ReplicaSet that does not exist yet.
func (s *sightings) count(name string) (t *tally, stop func()) {
	t = &tally{of: s, counts: map[string]pods{}}
	return t, s.follow(func(x sighting) {
		if x.kind == replicaSets && x.object.GetName() == name {
			t.see(x)
		}
	})
}

func (t *tally) see(x sighting) {
	number := func(fields ...string) int64 {
		n, _, _ := unstructured.NestedInt64(x.object.Object, fields...) // 0 if it is missing
		return n
	}
	t.counts[x.cluster] = pods{number("spec", "replicas"), number("status", "replicas"), number("status", "readyReplicas")}
	if x.deleted {
		delete(t.counts, x.cluster)
	}
	t.least = min(t.least, t.ready())
	if w := t.waiting; w != nil && w.so(t.counts) {
		w.at, t.waiting = x.at, nil
		close(w.done)
	}
}

func (t *tally) ready() (sum int64) {
	for _, p := range t.counts {
		sum += p.ready
	}
	return sum
}

// mark restarts the search for the fewest Ready pods in total.
func (t *tally) mark() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.least = t.ready()
}

// fewest returns the fewest Ready pods in total since mark.
func (t *tally) fewest() int64 {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	return t.least
}

// until waits until a condition is true, and returns when that was seen.
func (t *tally) until(ctx context.Context, limit time.Duration, what string, so func(map[string]pods) bool) (time.Time, error) {
	w := &waiting{so: so, at: time.Now(), done: make(chan struct{})}
	t.of.mu.Lock()
	if so(t.counts) {
		t.of.mu.Unlock()
		return w.at, nil
	}
	t.waiting = w
	t.of.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.done:
		return w.at, nil
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	case <-timer.C:
		t.of.mu.Lock()
		defer t.of.mu.Unlock()
		t.waiting = nil
		return time.Time{}, fmt.Errorf("%s: not within %s; last: %v", what, limit, t.counts)
	}
}

// made returns a condition: some clusters have at least so many pods in total.
func made(clusters []string, total int64) func(map[string]pods) bool {
	return func(counts map[string]pods) bool {
		var sum int64
		for _, name := range clusters {
			sum += min(counts[name].wanted, counts[name].made)
		}
		return sum >= total
	}
}

// shared returns a condition: some clusters have so many Ready pods in total, shared
// equally.
func shared(clusters []string, total int64) func(map[string]pods) bool {
	return func(counts map[string]pods) bool {
		each := total / int64(len(clusters))
		var sum int64
		for _, p := range among(counts, clusters) {
			if p.wanted < each || p.wanted > each+1 || p.made != p.wanted || p.ready != p.wanted {
				return false
			}
			sum += p.ready
		}
		return sum == total
	}
}

// without returns the names of a list that are not in another.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(some, name) })
}
