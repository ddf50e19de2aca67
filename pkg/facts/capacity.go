package facts

import "time"

// settling is how long pods must show less room, or the end of the limit, before it is
// believed. Pods and their workload come by two watches, and a rollout replaces waiting
// pods by others: for a moment there seem to be too many of them, or none.
const settling = 5 * time.Second

// pods counts the pods of one workload.
type pods struct {
	replicas int64 // spec.replicas
	made     int64 // status.replicas: without terminating pods
	ready    int64
	waiting  int64 // unschedulable now
	long     int64 // unschedulable for a minute or longer
}

// placed returns the number of scheduled pods if waiting are not. Surge pods of a
// rollout, beyond spec.replicas, do not count.
func (p pods) placed(waiting int64) int64 {
	return max(0, min(p.replicas, p.made-waiting))
}

// capacity is the largest number of a workload's pods that a cluster has room for.
//
// It is sticky: it applies from the time when a pod has been unschedulable for a minute
// until none is. Until then it grows only by Ready pods, because fewer waiting pods may
// only mean that fewer are wanted.
//
// It is pure: time comes in with the observations.
type capacity struct {
	limited bool
	most    int64

	// less and none are since when pods show less room, and no limit; zero while they do
	// not.
	less, none time.Time
}

// observe processes the current pods.
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
	// A new pod is no sign of less room.
	c.less = since(c.less, now, p.waiting > 0 && p.placed(p.long) < c.most)
	if reached(c.less, now) {
		c.most, c.less = p.placed(p.long), time.Time{}
	}
}

// next returns when the capacity changes without a new observation; zero for never.
func (c *capacity) next() time.Time {
	if c.less.IsZero() && c.none.IsZero() {
		return time.Time{}
	}
	return earliest(c.less, c.none).Add(settling)
}

// since returns the time since when a condition holds; zero if it does not hold now.
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

// earliest returns the earliest of the times that are not zero.
func earliest(list ...time.Time) time.Time {
	var first time.Time
	for _, t := range list {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
