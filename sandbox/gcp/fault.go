package gcp

import (
	"fmt"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// Fault is a [gcetest.Fault] as JSON.
type Fault struct {
	Method     string `json:"method,omitempty"` // a regular expression, such as "backendServices\\.(patch|update)"
	Collection string `json:"collection,omitempty"`
	Name       string `json:"name,omitempty"`
	Nth        int    `json:"nth,omitempty"`
	Times      int    `json:"times,omitempty"`

	Action     string `json:"action"`               // one of the actions below
	Status     int    `json:"status,omitempty"`     // of answer
	Reason     string `json:"reason,omitempty"`     // of answer
	Message    string `json:"message,omitempty"`    // of answer and failOperation
	RetryAfter string `json:"retryAfter,omitempty"` // of answer: "1s"
	Time       string `json:"time,omitempty"`       // of slowOperation: "2s"
	Code       string `json:"code,omitempty"`       // of failOperation
}

// The actions, as in gcetest.
const (
	actionAnswer        = "answer"
	actionLoseAnswer    = "loseAnswer"
	actionDropRequest   = "dropRequest"
	actionSlowOperation = "slowOperation"
	actionFailOperation = "failOperation"
	actionHang          = "hang"
)

// fault converts f.
func (f Fault) fault() (gcetest.Fault, error) {
	action, err := f.action()
	if err != nil {
		return gcetest.Fault{}, err
	}
	return gcetest.Fault{
		Method: f.Method, Collection: f.Collection, Name: f.Name,
		Nth: f.Nth, Times: f.Times, Action: action,
	}, nil
}

func (f Fault) action() (gcetest.Action, error) {
	switch f.Action {
	case actionAnswer:
		if f.Status < 400 || f.Status > 599 {
			return nil, fmt.Errorf("status: %d is not an error status: want 400 to 599", f.Status)
		}
		after, err := duration("retryAfter", f.RetryAfter)
		return gcetest.Answer{Status: f.Status, Reason: f.Reason, Message: f.Message, RetryAfter: after}, err
	case actionLoseAnswer:
		return gcetest.LoseAnswer{}, nil
	case actionDropRequest:
		return gcetest.DropRequest{}, nil
	case actionSlowOperation:
		took, err := duration("time", f.Time)
		return gcetest.SlowOperation(took), err
	case actionFailOperation:
		if f.Code == "" {
			return nil, fmt.Errorf("code: action %q needs one, such as QUOTA_EXCEEDED", f.Action)
		}
		return gcetest.FailOperation{Code: f.Code, Message: f.Message}, nil
	case actionHang:
		return gcetest.Hang{}, nil
	}
	return nil, fmt.Errorf("action: unknown action %q: want %s, %s, %s, %s, %s or %s", f.Action,
		actionAnswer, actionLoseAnswer, actionDropRequest, actionSlowOperation, actionFailOperation, actionHang)
}

func duration(field, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s: %q is not a duration: want one such as 1.5s", field, text)
	}
	return d, nil
}
