package replicas

import "slices"

// move is what one cluster runs of a workload, and what it is to run.
type move struct {
	live    int64 // spec.replicas; absent if the object does not exist
	ready   int64 // Ready pods, at most live
	target  int64
	least   int64 // written must not be less than this yet
	written int64 // the result of shift
}

// absent is the live count of a workload that does not exist.
const absent = -1

// shift decides what to write in each cluster now: make before break. Counts are raised
// immediately. They are lowered only so far that as many Ready pods remain in total as
// before, or as many as the total demands.
//
// A ReplicaSet that is scaled down deletes pods that are not Ready first, so a cluster
// lowered to n keeps min(ready, n) Ready pods. Pods that are not Ready are given up
// immediately. Counts are held in tie order, so that the last cluster in that order is
// lowered first. A lower total in Git is not a special case: pods above the new total
// are not missed.
func shift(total int64, moves []move, order []int) {
	var before, after int64
	for i := range moves {
		m := &moves[i]
		m.written = max(m.target, m.least)
		before += m.ready
		after += min(m.ready, m.written)
	}
	missing := min(before, total) - after
	for _, i := range order {
		if missing <= 0 {
			return
		}
		m := &moves[i]
		if held := min(m.ready-m.written, missing); held > 0 {
			m.written += held
			missing -= held
		}
	}
}

// limitChanges reduces what shift decided, for a plan with missing facts: existing counts
// change by at most raise and lower in total. Objects that do not exist yet are still
// created.
func limitChanges(moves []move, order []int, raise, lower int64) {
	for _, i := range order {
		m := &moves[i]
		if m.live == absent {
			continue
		}
		if up := m.written - m.live; up > 0 {
			m.written = m.live + min(up, raise)
			raise -= min(up, raise)
		}
	}
	for _, i := range slices.Backward(order) {
		m := &moves[i]
		if m.live == absent {
			continue
		}
		if down := m.live - m.written; down > 0 {
			m.written = m.live - min(down, lower)
			lower -= min(down, lower)
		}
	}
}
