package history

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Cluster is a cluster to which events happen.
type Cluster interface {
	// Suffer replaces the faults of the cluster.
	Suffer(faults []Event)
	// Edit makes a change by hand. It may fail: an object that does not exist or is
	// out of reach cannot be edited.
	Edit(c Change)
	// Backup copies what the cluster stores, for one call of Restore with the same
	// number.
	Backup(number int)
	Restore(number int)
}

// step is what happens at one time.
type step struct {
	at time.Duration
	do func()
}

// stage holds the clusters on which a history is played, and their faults.
type stage struct {
	clusters map[string]Cluster
	active   []Event // the faults in force now
}

// Play plays a history from now on and returns when its last fault is over. It calls
// push for every commit, and the clusters, in the goroutine of the caller. During these
// calls the clock of the history does not advance.
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
		switch e.Kind { //nolint:exhaustive // all other kinds are faults
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

// suffer puts the faults that are active now in force in a cluster.
func (s *stage) suffer(cluster string) {
	var faults []Event
	for _, e := range s.active {
		if e.Cluster == cluster {
			faults = append(faults, e)
		}
	}
	s.clusters[cluster].Suffer(faults)
}
