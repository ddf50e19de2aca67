package federation

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Action is what apply did to an object.
type Action string

// The actions.
const (
	ActionCreated    Action = "created"
	ActionConfigured Action = "configured"
	ActionUnchanged  Action = "unchanged"
	ActionAdopted    Action = "adopted" // it existed and is now managed by fedsync
	ActionPruned     Action = "pruned"
	ActionFailed     Action = "failed"
)

// Change is what apply did to one object in one cluster.
type Change struct {
	Cluster string    `json:"cluster"`
	App     string    `json:"app"`
	Object  ObjectRef `json:"object"`
	Action  Action    `json:"action"`
	// Drift names what another client had changed if this change repairs it, such as
	// "spec.ports by kubectl-edit"; empty for a change from Git.
	Drift untrusted.Text `json:"drift,omitzero"`
	Err   error          `json:"-"` // non-nil if and only if the action is failed
	Took  time.Duration  `json:"-"`
}
