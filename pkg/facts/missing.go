package facts

import (
	"slices"
	"time"
)

// patienceWithPods is how long a pod may need to be scheduled or to become Ready before
// that counts.
const patienceWithPods = time.Minute

// missing tracks how many pods of a workload have been missing during the whole last
// minute: the lowest deficit in it. Before the first observation none is considered
// missing, so that a workload seen for the first time is treated like fresh pods.
//
// It is pure: time comes in with the observations.
type missing struct {
	// steps are the deficits that may still become the lowest, in increasing order. The
	// last one holds now, and the rest have ended.
	steps []step
}

type step struct {
	deficit int64
	end     time.Time // zero for the one that holds
}

// observe records that so many pods are missing from now on.
func (m *missing) observe(now time.Time, deficit int64) {
	switch n := len(m.steps); {
	case n == 0:
		m.steps = append(m.steps, step{end: now})
	case m.steps[n-1].deficit == deficit:
		return
	default:
		m.steps[n-1].end = now
	}
	// As long as the new step lasts, larger ones before it are not the lowest.
	keep := len(m.steps)
	for keep > 0 && m.steps[keep-1].deficit >= deficit {
		keep--
	}
	m.steps = append(m.steps[:keep], step{deficit: deficit})
}

// least returns the lowest deficit of the last minute.
func (m *missing) least(now time.Time) int64 {
	over := func(s step) bool { return s.end.IsZero() || s.end.After(now.Add(-patienceWithPods)) }
	if first := slices.IndexFunc(m.steps, over); first > 0 {
		m.steps = slices.Delete(m.steps, 0, first)
	}
	if len(m.steps) == 0 {
		return 0
	}
	return m.steps[0].deficit
}

// next returns when least changes without a new observation; zero for never.
func (m *missing) next() time.Time {
	if len(m.steps) < 2 {
		return time.Time{}
	}
	return m.steps[0].end.Add(patienceWithPods)
}
