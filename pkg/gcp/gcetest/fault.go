package gcetest

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// Fault makes calls fail or behave in an unusual way.
type Fault struct {
	// Method is a regular expression for the whole name of a method, such as
	// "backendServices\.(patch|update)" or ".*insert"; empty means all.
	Method string
	// Collection is the part of the method's name before the dot; empty means all.
	Collection string
	// Name is the name of the resource; empty means all.
	Name string
	// Nth is the first matching call that is affected, from 1; 0 means the first.
	Nth int
	// Times is how many calls are affected; 0 means all until Remove.
	Times int
	// Action is what happens to the calls.
	Action Action
}

// Action is what a Fault does: one of the types below.
type Action interface{ plan(*faultPlan) }

// Answer answers the call with an error, without executing it.
type Answer struct {
	Status     int
	Reason     string
	Message    string
	RetryAfter time.Duration // in the header; 0 means none
}

// LoseAnswer executes the call, then breaks the connection instead of answering.
type LoseAnswer struct{}

// DropRequest breaks the connection without executing the call.
type DropRequest struct{}

// SlowOperation makes the operation take this much longer.
type SlowOperation time.Duration

// FailOperation accepts the call and makes its operation end in an error.
type FailOperation struct{ Code, Message string }

// Hang delays the call until the fault is removed or the client gives up. Then the call
// is executed.
type Hang struct{}

// faultPlan is the combined effect of the faults that match a call.
type faultPlan struct {
	refusal *refusal
	broken  bool // no answer
	drop    bool // not executed
	hang    bool
	slow    time.Duration
	failure *compute.OperationErrorErrors
}

func (a Answer) plan(p *faultPlan) {
	p.refusal = &refusal{code: a.Status, reason: a.Reason, message: a.Message, retryAfter: a.RetryAfter}
	if p.refusal.message == "" {
		p.refusal.message = http.StatusText(a.Status)
	}
}
func (LoseAnswer) plan(p *faultPlan)      { p.broken = true }
func (DropRequest) plan(p *faultPlan)     { p.broken, p.drop = true, true }
func (d SlowOperation) plan(p *faultPlan) { p.slow += time.Duration(d) }
func (Hang) plan(p *faultPlan)            { p.hang = true }
func (f FailOperation) plan(p *faultPlan) {
	p.failure = &compute.OperationErrorErrors{Code: f.Code, Message: f.Message}
}

// FaultHandle is an active fault.
type FaultHandle struct {
	server  *Server
	fault   Fault
	method  *regexp.Regexp
	removed chan struct{}
	once    sync.Once

	seen, hits int // protected by server.mu
}

// Fault activates a fault. It panics if Method is not a regular expression.
func (s *Server) Fault(f Fault) *FaultHandle {
	h := &FaultHandle{server: s, fault: f, removed: make(chan struct{})}
	if f.Method != "" {
		h.method = regexp.MustCompile("^(?:" + f.Method + ")$")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, h)
	return h
}

// Remove ends the fault. Calls that hang continue.
func (h *FaultHandle) Remove() {
	h.once.Do(func() { close(h.removed) })
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	h.server.faults = slices.DeleteFunc(h.server.faults, func(o *FaultHandle) bool { return o == h })
}

// Hits returns how many calls the fault has affected.
func (h *FaultHandle) Hits() int {
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	return h.hits
}

// hit reports whether the fault affects this call, and counts it. The caller holds
// server.mu.
func (h *FaultHandle) hit(c Call) bool {
	collection, _, _ := strings.Cut(c.Method, ".")
	if h.method != nil && !h.method.MatchString(c.Method) ||
		h.fault.Collection != "" && h.fault.Collection != collection ||
		h.fault.Name != "" && h.fault.Name != c.Name {
		return false
	}
	h.seen++
	if h.seen < h.fault.Nth || h.fault.Times > 0 && h.hits >= h.fault.Times {
		return false
	}
	h.hits++
	return true
}

// faultFor returns the effect of all faults on a call, after waiting if it hangs.
func (s *Server) faultFor(ctx context.Context, c Call) faultPlan {
	s.mu.Lock()
	var plan faultPlan
	var hanging []*FaultHandle
	for _, h := range s.faults {
		if !h.hit(c) {
			continue
		}
		h.fault.Action.plan(&plan)
		if _, ok := h.fault.Action.(Hang); ok {
			hanging = append(hanging, h)
		}
	}
	s.mu.Unlock()
	for _, h := range hanging {
		select {
		case <-h.removed:
		case <-ctx.Done():
		case <-s.stop:
		}
	}
	return plan
}
