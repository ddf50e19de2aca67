package history

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Cluster is where events happen.
type Cluster interface {
	// Suffer makes the faults of the cluster these, and no others.
	Suffer(faults []Event)
	// Edit makes a change by hand. It may fail: what is not there, or out of reach,
	// cannot be edited.
	Edit(c Change)
	// Backup keeps what the cluster holds, for one call of Restore with the same
	// number.
	Backup(number int)
	Restore(number int)
}

// step is what happens at one time.
type step struct {
	at time.Duration
	do func()
}

// stage is where a history is played.
type stage struct {
	clusters map[string]Cluster
	active   []Event // the faults that last now
}

// Play plays a history from now on and returns when its last fault is over. It
// calls push for every commit, and the clusters, in its own goroutine. While one of
// these calls lasts, the clock of the history stands still.
func Play(ctx context.Context, h History, clusters map[string]Cluster, push func(Event)) {
	s := &stage{clusters: clusters}
	began := time.Now()
	for _, next := range s.steps(h, push) {
		timer := time.NewTimer(time.Until(began.Add(next.at)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		called := time.Now()
		next.do()
		began = began.Add(time.Since(called))
	}
}

func (s *stage) steps(h History, push func(Event)) []step {
	var out []step
	for _, e := range h.Events {
		switch e.Kind { //nolint:exhaustive // all others are faults
		case Push:
			out = append(out, step{e.At, func() { push(e) }})
		case Edit:
			out = append(out, step{e.At, func() { s.clusters[e.Cluster].Edit(e.Change) }})
		case Restore:
			out = append(out,
				step{max(0, e.At-e.Age), func() { s.clusters[e.Cluster].Backup(e.Number) }},
				step{e.At, func() { s.clusters[e.Cluster].Restore(e.Number) }})
		default:
			out = append(out, step{e.At, func() { s.begin(e) }}, step{e.end(), func() { s.end(e) }})
		}
	}
	slices.SortStableFunc(out, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return out
}

func (s *stage) begin(e Event) {
	s.active = append(s.active, e)
	s.suffer(e.Cluster)
}

func (s *stage) end(e Event) {
	s.active = slices.DeleteFunc(s.active, func(o Event) bool { return o.Number == e.Number })
	s.suffer(e.Cluster)
}

// suffer has a cluster suffer the faults that last now.
func (s *stage) suffer(cluster string) {
	var faults []Event
	for _, e := range s.active {
		if e.Cluster == cluster {
			faults = append(faults, e)
		}
	}
	s.clusters[cluster].Suffer(faults)
}
