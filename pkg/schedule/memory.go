package schedule

import "maps"

// memory is a cache. It drops the values that a complete plan did not use.
type memory[K comparable, V any] struct {
	all   map[K]*remembered[V]
	round int // incremented after each plan
	used  int // how many of all were used in this round
}

type remembered[V any] struct {
	value V
	round int // when it was last used
}

func newMemory[K comparable, V any]() memory[K, V] {
	return memory[K, V]{all: map[K]*remembered[V]{}, round: 1}
}

// get returns the value of a key, and calls make if it is not cached.
func (m *memory[K, V]) get(k K, make func() V) V {
	r := m.all[k]
	if r == nil {
		r = &remembered[V]{value: make()}
		m.all[k] = r
	}
	if r.round != m.round {
		r.round = m.round
		m.used++
	}
	return r.value
}

// forget drops what was not used since the last forget.
func (m *memory[K, V]) forget() {
	if m.used < len(m.all) {
		maps.DeleteFunc(m.all, func(_ K, r *remembered[V]) bool { return r.round != m.round })
	}
	m.round, m.used = m.round+1, 0
}
