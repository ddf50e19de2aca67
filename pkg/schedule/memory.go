package schedule

// memory keeps what was made for as long as it goes on being asked for: what a
// whole plan did not ask for is forgotten after it.
type memory[K comparable, V any] struct {
	now, before map[K]V
}

func newMemory[K comparable, V any]() memory[K, V] {
	return memory[K, V]{now: map[K]V{}, before: map[K]V{}}
}

// get gives the value of a key, by make where it is not known.
func (m *memory[K, V]) get(k K, make func() V) V {
	if v, ok := m.now[k]; ok {
		return v
	}
	v, ok := m.before[k]
	if !ok {
		v = make()
	}
	m.now[k] = v
	return v
}

// forget drops what was not asked for since the last forget.
func (m *memory[K, V]) forget() {
	m.before = m.now
	m.now = make(map[K]V, len(m.before))
}
