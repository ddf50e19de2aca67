package gcetest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// operation is an accepted mutation.
type operation struct {
	id      string
	name    string
	project string
	scope   string
	method  string // "backendServices.patch"
	kind    string // operationType
	target  *resource
	request string // request id
	delete  bool
	about   uint64 // id of the target

	status                string
	inserted, begun, over time.Time
	failure               *compute.OperationErrorErrors
	timer                 *time.Timer
	done                  chan struct{} // closed at DONE
}

// The states of an operation.
const (
	statusPending = "PENDING"
	statusRunning = "RUNNING"
	statusDone    = "DONE"
)

// accept starts the operation that brings r to its next state. The caller has checked that
// this is allowed. The operation is pending for half of its time.
func (s *Server) accept(q *request, r *resource, next state, kind string) *operation {
	s.ids++
	op := &operation{
		id:      s.nextID(),
		name:    fmt.Sprintf("operation-%d-%08x", s.clock().UnixMilli(), s.ids),
		project: q.key.project, scope: q.key.scope, method: q.method.name, kind: kind,
		target: r, request: q.requestID, delete: next.doc == nil,
		status: statusPending, inserted: s.clock(), done: make(chan struct{}),
	}
	about := cmp.Or(next.doc.text("id"), r.now.doc.text("id"))
	op.about, _ = strconv.ParseUint(about, 10, 64)
	r.next, r.op = next, op
	s.forget()
	s.operations[op.key()] = op
	s.operationOrder = append(s.operationOrder, op)
	if op.request != "" {
		s.requests[requestKey{op.project, op.request}] = op
	}
	took := q.fault.slow + s.operationTime(op.method)
	op.failure = q.fault.failure
	op.timer = time.AfterFunc(took/2, func() { s.run(op, took-took/2) })
	return op
}

// forget drops the older half of the operations if there are too many.
func (s *Server) forget() {
	if len(s.operationOrder) < mostKept {
		return
	}
	for _, op := range s.operationOrder[:mostKept/2] {
		delete(s.operations, op.key())
		delete(s.requests, requestKey{op.project, op.request})
	}
	s.operationOrder = slices.Delete(s.operationOrder, 0, mostKept/2)
}

type requestKey struct{ project, id string }

func (s *Server) operationTime(method string) time.Duration {
	if s.options.OperationTime == nil {
		return 4 * time.Millisecond
	}
	return s.options.OperationTime(method)
}

// run makes a pending operation a running one.
func (s *Server) run(op *operation, left time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	op.status, op.begun = statusRunning, s.clock()
	r := op.target
	if r.now.doc == nil && op.failure == nil {
		s.put(r, r.next) // an insert can be read from now on
	}
	op.timer = time.AfterFunc(left, func() { s.finish(op) })
}

// finish ends a running operation, in success or in the failure that a fault requested.
// A failed operation has no effect.
func (s *Server) finish(op *operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	op.status, op.over = statusDone, s.clock()
	r := op.target
	switch {
	case op.failure != nil && !r.ready, op.failure == nil && op.delete:
		delete(s.resources, r.key)
		s.put(r, state{})
	case op.failure == nil && r.ready:
		s.record(op, changed(r.now.doc, r.next.doc))
		s.put(r, r.next)
	case op.failure == nil:
		s.generation++ // the insert is ready
		s.touched()
	}
	if op.failure == nil && (op.delete || !r.ready) {
		s.record(op, nil)
	}
	r.ready = r.ready || op.failure == nil
	r.op, r.next = nil, state{}
	close(op.done)
}

func (op *operation) key() key { return key{op.project, op.scope, "operations", op.name} }

// answer returns the operation as the API shows it.
func (op *operation) answer() *compute.Operation {
	out := &compute.Operation{
		Kind: "compute#operation", Name: op.name, OperationType: op.kind, Status: op.status,
		TargetLink: op.target.key.url(), InsertTime: timestamp(op.inserted),
		SelfLink: op.key().url(), User: "stand-in@gcetest.invalid", ClientOperationId: op.request,
	}
	out.Id, _ = strconv.ParseUint(op.id, 10, 64)
	out.TargetId = op.about
	if zone := op.key().zone(); zone != "" {
		out.Zone = publicHost + "projects/" + op.project + "/zones/" + zone
	}
	if !op.begun.IsZero() {
		out.StartTime = timestamp(op.begun)
	}
	if op.status == statusDone {
		out.Progress, out.EndTime = 100, timestamp(op.over)
		if op.failure != nil {
			out.Error = &compute.OperationError{Errors: []*compute.OperationErrorErrors{op.failure}}
			out.HttpErrorStatusCode, out.HttpErrorMessage = http.StatusBadRequest, "BAD REQUEST"
		}
	}
	return out
}

// longestWait bounds one call of wait.
const longestWait = 2 * time.Minute

// waitOperation answers when the operation is done, or after longestWait.
func waitOperation(q *request) (any, *refusal) {
	op := q.server.operation(q)
	if op == nil {
		return nil, notFound(q.key)
	}
	limit := time.NewTimer(longestWait)
	defer limit.Stop()
	select {
	case <-op.done:
	case <-limit.C:
	case <-q.http.Context().Done():
	case <-q.server.stop:
	}
	q.server.mu.Lock()
	defer q.server.mu.Unlock()
	return op.answer(), nil
}

func (s *Server) operation(q *request) *operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.operations[q.key]
}

func getOperation(q *request) (any, *refusal) {
	op := q.server.operations[q.key]
	if op == nil {
		return nil, notFound(q.key)
	}
	return op.answer(), nil
}

func listOperations(q *request) (any, *refusal) {
	var all []document
	for _, op := range q.server.operationOrder {
		if op.project == q.key.project && op.scope == q.key.scope {
			all = append(all, documentOf(op.answer()))
		}
	}
	return q.page(all, "compute#operationList")
}
