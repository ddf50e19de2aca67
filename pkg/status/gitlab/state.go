package gitlab

import (
	"net/http"
	"regexp"
	"time"

	sdk "gitlab.com/gitlab-org/api/client-go"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// stateFrom parses a state of GitLab's. A state that we never post means that another
// client posted under our context; a failure comes closest to those that ended.
func stateFrom(s string) status.State {
	switch sdk.BuildStateValue(s) {
	case sdk.Created, sdk.WaitingForResource, sdk.Preparing, sdk.Pending, sdk.Running, sdk.Manual, sdk.Scheduled:
		return status.Pending
	case sdk.Success:
		return status.Success
	case sdk.Failed, sdk.Canceled, sdk.Skipped:
		return status.Failure
	}
	return status.Failure
}

var transition = regexp.MustCompile(`Cannot transition status via :[a-z_]+ from :([a-z_]+)`)

// stuckIn returns the state that a job is in, if GitLab refused to move it to another.
// GitLab refuses this if the job is in that state already.
func stuckIn(response *sdk.Response, err error) (sdk.BuildStateValue, bool) {
	if err == nil || codeOf(response) != http.StatusBadRequest {
		return "", false
	}
	found := transition.FindStringSubmatch(err.Error())
	if found == nil {
		return "", false
	}
	return sdk.BuildStateValue(found[1]), true
}

// lastOf returns the latest of times; nil ones are unknown.
func lastOf(times ...*time.Time) (last time.Time) {
	for _, t := range times {
		if t != nil && t.After(last) {
			last = *t
		}
	}
	return last
}

// states are GitLab's words for the states that are posted. It has more of them: see
// stateFrom.
var states = forgeclient.States[sdk.BuildStateValue]{Pending: sdk.Pending, Success: sdk.Success, Failure: sdk.Failed}
