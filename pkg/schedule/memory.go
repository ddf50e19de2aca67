package schedule

import "maps"

// memory keeps what was made for as long as it goes on being asked for: what a
// whole plan did not ask for is forgotten after it.
type memory[K comparable, V any] struct {
	all   map[K]*remembered[V]
	round int // one for each plan
	asked int // so many of all in this round
}

type remembered[V any] struct {
	value V
	round int // when it was asked for last
}

func newMemory[K comparable, V any]() memory[K, V] {
	return memory[K, V]{all: map[K]*remembered[V]{}, round: 1}
}

// get gives the value of a key, by make where it is not known.
func (m *memory[K, V]) get(k K, make func() V) V {
	r := m.all[k]
	if r == nil {
		r = &remembered[V]{value: make()}
		m.all[k] = r
	}
	if r.round != m.round {
		r.round = m.round
		m.asked++
	}
	return r.value
}

// forget drops what was not asked for since the last forget.
func (m *memory[K, V]) forget() {
	if m.asked < len(m.all) {
		maps.DeleteFunc(m.all, func(_ K, r *remembered[V]) bool { return r.round != m.round })
	}
	m.round, m.asked = m.round+1, 0
}
