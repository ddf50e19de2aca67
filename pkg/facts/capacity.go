package facts

import "time"

// settling is how long pods must say that there is less room, or no limit any
// more, until it is believed. Pods and their workload come by two watches, and
// pods that wait are replaced by others in a rollout: for a moment there seem to
// be too many of them, or none.
const settling = 5 * time.Second

// pods counts those of one workload.
type pods struct {
	replicas int64 // spec.replicas
	made     int64 // status.replicas: without those that terminate
	ready    int64
	waiting  int64 // that are unschedulable now
	long     int64 // that have been for a minute or longer
}

// placed are the scheduled pods where so many are not. Pods beyond spec.replicas,
// which a rollout makes, do not count.
func (p pods) placed(waiting int64) int64 {
	return max(0, min(p.replicas, p.made-waiting))
}

// capacity is the most pods of a workload that a cluster has room for.
//
// It is sticky: it is there once pods have been unschedulable for a minute, and
// until none is. Meanwhile it grows only by pods that are Ready, since fewer that
// wait may only mean that fewer are wanted.
//
// It is pure: time comes in with the observations.
type capacity struct {
	limited bool
	most    int64

	// less and none are since when pods say that there is less room, and that there
	// is no limit; zero while they do not.
	less, none time.Time
}

// observe takes in what the pods are now.
func (c *capacity) observe(now time.Time, p pods) {
	if !c.limited {
		if p.long > 0 {
			*c = capacity{limited: true, most: p.placed(p.waiting)}
		}
		return
	}
	c.most = max(c.most, min(p.ready, p.placed(p.waiting)))

	c.none = since(c.none, now, p.waiting == 0)
	if reached(c.none, now) {
		*c = capacity{}
		return
	}
	// A pod that is new is no sign of less room.
	c.less = since(c.less, now, p.waiting > 0 && p.placed(p.long) < c.most)
	if reached(c.less, now) {
		c.most, c.less = p.placed(p.long), time.Time{}
	}
}

// next is when the capacity changes if nothing else does; zero for never.
func (c *capacity) next() time.Time {
	if c.less.IsZero() && c.none.IsZero() {
		return time.Time{}
	}
	return earliest(c.less, c.none).Add(settling)
}

// since is the time since when something holds that holds now or does not.
func since(before, now time.Time, holds bool) time.Time {
	switch {
	case !holds:
		return time.Time{}
	case before.IsZero():
		return now
	}
	return before
}

func reached(since, now time.Time) bool {
	return !since.IsZero() && !now.Before(since.Add(settling))
}

// earliest is the first of some times, zero ones left out.
func earliest(list ...time.Time) time.Time {
	var first time.Time
	for _, t := range list {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
