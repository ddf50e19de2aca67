package gcetest

import (
	"fmt"
	"slices"
	"time"
)

// Call is a call that was made.
type Call struct {
	Time      time.Time
	Duration  time.Duration
	Method    string // "backendServices.patch"; "unknown" if there is no such method
	Project   string
	Zone      string // empty for global ones
	Name      string // of the resource; empty for lists
	RequestID string
	Status    int    // 0 if the connection was broken instead
	Reason    string // of a refusal
}

// Change is a completed mutation. It is recorded when its operation ends.
type Change struct {
	Time      time.Time
	Method    string // "backendServices.patch"
	RequestID string
	Operation string   // name
	Fields    []string // that an update changed, sorted
}

// mostKept bounds the calls and operations that are remembered: a sandbox may run for
// days.
const mostKept = 1 << 18

// Calls returns the log of calls, oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// ResetCalls empties the log of calls.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func (s *Server) logCall(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) >= mostKept {
		s.calls = slices.Delete(s.calls, 0, mostKept/2)
	}
	s.calls = append(s.calls, c)
	if s.options.Log != nil {
		where := c.Project
		if c.Zone != "" {
			where += "/" + c.Zone
		}
		fmt.Fprintf(s.options.Log, "%s %s %s/%s %d %s\n", c.Time.Format("15:04:05.000"), c.Method, where, c.Name, c.Status, c.Reason)
	}
}

// History returns every change of each resource since the start, by the path
// "projects/P/global/backendServices/N". It includes deleted resources.
func (s *Server) History() map[string][]Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string][]Change, len(s.history))
	for path, changes := range s.history {
		out[path] = slices.Clone(changes)
	}
	return out
}

// record records a change. The caller holds s.mu.
func (s *Server) record(op *operation, fields []string) {
	slices.Sort(fields)
	path := op.target.key.path()
	s.history[path] = append(s.history[path], Change{
		Time: s.clock(), Method: op.method, RequestID: op.request, Operation: op.name, Fields: fields,
	})
}
