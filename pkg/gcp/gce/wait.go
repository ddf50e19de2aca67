package gce

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// request is the id by which Compute Engine identifies a call: a repeat with the same id
// has no further effect.
type request struct {
	id string
	at time.Time
}

// requestAge is how long an id is reused. Compute Engine forgets it some time later.
const requestAge = 10 * time.Minute

// requestID returns the id for an action: the one of an earlier attempt whose outcome is
// not known, or a new one.
func (c *Client) requestID(a gcp.Action) (key, id string) {
	key = actionKey(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.requests, func(_ string, r request) bool { return time.Since(r.at) > requestAge })
	r, found := c.requests[key]
	if !found {
		r = request{id: uuid.NewString(), at: time.Now()}
		c.requests[key] = r
	}
	return key, r.id
}

// forget drops the id of an action whose outcome is known: a later repeat is a new
// action.
func (c *Client) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.requests, key)
}

// actionKey identifies what an action does.
func actionKey(a gcp.Action) string {
	spec := a.Want.Spec
	if s, ok := spec.(gcp.Certificate); ok {
		s.Key = "" // the mark holds the digest
		spec = s
	}
	data, err := json.Marshal([]any{a.Verb, a.ID, a.Fields, a.Want.Mark, a.Want.Fingerprint, spec, a.Endpoints})
	if err != nil {
		data = fmt.Append(nil, a.Verb, a.ID)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// mutation is one call that starts an operation.
type mutation struct {
	method  string
	project string
	zone    string // empty: global
	call    func(ctx context.Context, requestID string) (*compute.Operation, error)
}

// run makes the call and waits for its operation. It returns how that failed; nil if it
// succeeded.
func (c *Client) run(ctx context.Context, m mutation, requestID string) *answer {
	var op *compute.Operation
	err := c.pace.retry(ctx, c.pace.total, func() error {
		return c.once(ctx, mutationTimeout, m.method, func(ctx context.Context) error {
			var err error
			op, err = m.call(ctx, requestID)
			return err
		})
	})
	if err != nil {
		a := readAnswer(err)
		return &a
	}
	op, err = c.wait(ctx, m, op)
	if err != nil {
		a := readAnswer(err)
		if a.absent() {
			// The operation is no longer known; the resource may exist.
			a = answer{status: http.StatusPreconditionFailed, message: "its operation cannot be found"}
		}
		return &a
	}
	if a, failed := readOperation(op); failed {
		return &a
	}
	return nil
}

// mutationCall is a call of the API that starts an operation.
type mutationCall[T any] interface {
	RequestId(id string) T
	Context(ctx context.Context) T
	Do(opts ...googleapi.CallOption) (*compute.Operation, error)
}

// send returns a mutation that makes the call.
func send[T mutationCall[T]](method, project, zone string, call T) mutation {
	return mutation{method, project, zone, func(ctx context.Context, requestID string) (*compute.Operation, error) {
		return call.RequestId(requestID).Context(ctx).Do()
	}}
}

// wait returns the operation when it is done. The API's own wait may return at once, so
// two calls are at least pace.poll apart.
func (c *Client) wait(ctx context.Context, m mutation, op *compute.Operation) (*compute.Operation, error) {
	ctx, cancel := context.WithTimeout(ctx, c.pace.operation)
	defer cancel()
	for op.Status != "DONE" {
		started := time.Now()
		name := op.Name
		err := c.pace.retry(ctx, c.pace.total, func() error {
			return c.once(ctx, waitTimeout, waitMethod(m.zone), func(ctx context.Context) error {
				var err error
				if m.zone != "" {
					op, err = c.api.ZoneOperations.Wait(m.project, m.zone, name).Context(ctx).Do()
				} else {
					op, err = c.api.GlobalOperations.Wait(m.project, name).Context(ctx).Do()
				}
				return err
			})
		})
		if err != nil {
			return nil, err
		}
		if op.Status == "DONE" {
			break
		}
		if err := sleep.For(ctx, c.pace.poll-time.Since(started)); err != nil {
			return nil, err
		}
	}
	for _, w := range op.Warnings {
		c.log.Debug("compute engine warns", zap.String("method", m.method), zap.String("code", w.Code))
	}
	return op, nil
}

func waitMethod(zone string) string {
	if zone != "" {
		return "zoneOperations.wait"
	}
	return "globalOperations.wait"
}
