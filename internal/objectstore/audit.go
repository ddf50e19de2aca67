package objectstore

import (
	"slices"
	"time"
)

// Entry is a request that reached the network, answered or not.
type Entry struct {
	*Request
	Method string
	Path   string
	When   time.Time
	Code   int // zero while there is no answer
}

func (s *Store) note(r *Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit = append(s.audit, Entry{Request: r, Method: r.HTTP.Method, Path: r.HTTP.URL.Path, When: time.Now()})
	return len(s.audit) - 1
}

func (s *Store) noteCode(i, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i < len(s.audit) {
		s.audit[i].Code = code
	}
}

// Requests returns all requests since the last [Store.ForgetRequests], in order.
func (s *Store) Requests() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.audit)
}

// Count returns the number of requests that which selects.
func (s *Store) Count(which func(Entry) bool) int {
	n := 0
	for _, e := range s.Requests() {
		if which(e) {
			n++
		}
	}
	return n
}

// ForgetRequests clears the list of requests.
func (s *Store) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit = nil
}
