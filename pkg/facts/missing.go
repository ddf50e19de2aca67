package facts

import (
	"slices"
	"time"
)

// patienceWithPods is how long a pod may take to become Ready, or to be
// scheduled, until that counts.
const patienceWithPods = time.Minute

// missing says how many pods of a workload have been missing all through the last
// minute: the least deficit in it. Before the first observation none was missing,
// so that what is seen for the first time begins now, as fresh pods do.
//
// It is pure: time comes in with the observations.
type missing struct {
	// steps are the deficits that may yet be the least, growing; the last one holds
	// now, and the others ended.
	steps []step
}

type step struct {
	deficit int64
	end     time.Time // zero for the one that holds
}

// observe takes in that so many pods are missing since now.
func (m *missing) observe(now time.Time, deficit int64) {
	switch n := len(m.steps); {
	case n == 0:
		m.steps = append(m.steps, step{end: now})
	case m.steps[n-1].deficit == deficit:
		return
	default:
		m.steps[n-1].end = now
	}
	// As long as the new one is in sight, the larger ones before it are not the
	// least.
	keep := len(m.steps)
	for keep > 0 && m.steps[keep-1].deficit >= deficit {
		keep--
	}
	m.steps = append(m.steps[:keep], step{deficit: deficit})
}

// least is the least deficit of the last minute.
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

// next is when least changes if nothing else does; zero for never.
func (m *missing) next() time.Time {
	if len(m.steps) < 2 {
		return time.Time{}
	}
	return m.steps[0].end.Add(patienceWithPods)
}
