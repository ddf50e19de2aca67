package replicas

import "slices"

// move is what one cluster runs of a workload, and where it is to go.
type move struct {
	live    int64 // spec.replicas; absent where there is no object
	ready   int64 // Ready pods, at most live
	target  int64
	least   int64 // it is not to go below this yet
	written int64 // what shift decides
}

// absent is the live count of a workload that does not exist.
const absent = -1

// shift says what to write in each cluster now: make before break. Counts are
// raised at once, and lowered only so far that the Ready pods which remain in all
// are as many as before, or as many as the total asks for.
//
// A ReplicaSet that is lowered deletes pods that are not Ready first, so a cluster
// lowered to n keeps min(ready, n) Ready pods; those that are not Ready are given
// up at once. What must be held is held in tie order, so that the last in that
// order is lowered first. A lower total in Git needs no exception: what the new
// total does not ask for is no loss.
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

// standStill undoes what shift decided, as far as a plan with facts missing may
// not do it: existing counts change by at most so many in all in each direction.
// Objects that do not exist yet are created all the same.
func standStill(moves []move, order []int, raise, lower int64) {
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
