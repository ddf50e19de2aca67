package federation

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Action is what apply did with an object.
type Action string

// The actions.
const (
	ActionCreated    Action = "created"
	ActionConfigured Action = "configured"
	ActionUnchanged  Action = "unchanged"
	ActionAdopted    Action = "adopted" // it existed, was not ours, and is now
	ActionPruned     Action = "pruned"
	ActionFailed     Action = "failed"
)

// Change is what apply did with one object in one cluster.
type Change struct {
	Cluster string    `json:"cluster"`
	App     string    `json:"app"`
	Object  ObjectRef `json:"object"`
	Action  Action    `json:"action"`
	// Drift says what had been changed by somebody else when the change is a
	// repair, as in "spec.ports by kubectl-edit"; empty for a change from Git.
	Drift untrusted.Text `json:"drift,omitzero"`
	Err   error          `json:"-"` // set when, and only when, the action is failed
	Took  time.Duration  `json:"-"`
}
