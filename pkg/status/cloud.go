package status

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// keptActions is how many actions a report keeps of those that have ended.
const keptActions = 50

// Cloud is what fedsync knows of Compute Engine, and what it does there.
type Cloud struct {
	Project string `json:"project"`
	// Revision is the one whose plan the balancers were last compared with. A report on
	// another revision does not judge them, and waits. Zero before the first look.
	Revision federation.Revision `json:"revision,omitzero"`
	Looked   time.Time           `json:"looked,omitzero"` // when all of it was last read
	// Error is why it cannot be read now; empty where it can.
	Error untrusted.Text `json:"error,omitzero"`
	Calls int            `json:"calls"` // in the last minute
	// Pending are the actions that are under way or come next, in their order.
	Pending []CloudAction `json:"pending"`
	Done    []CloudAction `json:"done"` // the last 50 that ended, the newest first
}

// CloudAction is one call to Compute Engine that changes something.
type CloudAction struct {
	Time     time.Time      `json:"time,omitzero"` // when it ended, or began where it has not
	Verb     string         `json:"verb"`          // "create", "update", "attach", "detach" or "delete"
	Resource string         `json:"resource"`      // "backend service NAME"
	Fields   []string       `json:"fields,omitempty"`
	Reason   untrusted.Text `json:"reason"`
	Outcome  CloudOutcome   `json:"outcome"`
	Error    untrusted.Text `json:"error,omitzero"` // why it failed
}

// CloudOutcome says how far an action got.
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
	// first seen, sorted. One of them that takes none now is in trouble, not on its way.
	Served []string `json:"served,omitempty"`
}

// shownCloud gives the cloud with no more actions than a report keeps.
func shownCloud(c *Cloud) *Cloud {
	if c == nil {
		return nil
	}
	shown := *c
	shown.Pending = append([]CloudAction{}, c.Pending...)
	shown.Done = append([]CloudAction{}, c.Done[:min(keptActions, len(c.Done))]...)
	return &shown
}
