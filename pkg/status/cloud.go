package status

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// keptActions is how many ended actions a report holds.
const keptActions = 50

// Cloud is what fedsync knows about Compute Engine, and its actions there.
type Cloud struct {
	Project string `json:"project"`
	// Revision is the one whose plan the balancers were last compared with. A report on
	// another revision does not judge them, and waits. It is zero before the first
	// comparison.
	Revision federation.Revision `json:"revision,omitzero"`
	LastRead time.Time           `json:"looked,omitzero"` // when all of it was last read
	// Error is why Compute Engine cannot be read now; empty if it can.
	Error untrusted.Text `json:"error,omitzero"`
	Calls int            `json:"calls"` // in the last minute
	// Pending are the actions that are running or come next, in order.
	Pending []CloudAction `json:"pending"`
	Done    []CloudAction `json:"done"` // the last 50 that ended, newest first
}

// CloudAction is one call to Compute Engine that changes something.
type CloudAction struct {
	Time     time.Time      `json:"time,omitzero"` // when it ended, or else when it began
	Verb     string         `json:"verb"`          // "create", "update", "attach", "detach" or "delete"
	Resource string         `json:"resource"`      // "backend service NAME"
	Fields   []string       `json:"fields,omitempty"`
	Reason   untrusted.Text `json:"reason"`
	Outcome  CloudOutcome   `json:"outcome"`
	Error    untrusted.Text `json:"error,omitzero"` // why it failed
}

// CloudOutcome is how far an action got.
type CloudOutcome string

// The outcomes of an action.
const (
	CloudWaiting CloudOutcome = "waiting" // for its turn, or for another action
	CloudRunning CloudOutcome = "running"
	CloudDone    CloudOutcome = "done"
	CloudFailed  CloudOutcome = "failed"
)

// Balancer is the load balancer of one Ingress in a report.
type Balancer struct {
	federation.Balancer
	// Served are the clusters that have taken traffic since the report's revision was
	// first seen, sorted. One of them that takes none now has failed; any other may still
	// start.
	Served []string `json:"served,omitempty"`
}

// shownCloud returns the cloud with at most as many ended actions as a report holds.
func shownCloud(c *Cloud) *Cloud {
	if c == nil {
		return nil
	}
	shown := *c
	shown.Pending = append([]CloudAction{}, c.Pending...)
	shown.Done = append([]CloudAction{}, c.Done[:min(keptActions, len(c.Done))]...)
	return &shown
}
