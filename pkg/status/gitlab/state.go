package gitlab

import (
	"net/http"
	"regexp"
	"time"

	sdk "gitlab.com/gitlab-org/api/client-go"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// stateFrom reads a state of GitLab's. Those we never post mean that somebody else
// posted under our context; a failure is what those that ended come closest to.
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

// stuckIn returns the state that a job is in, where GitLab refused to move it to
// another. That is how it says that the job is there already.
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

// lastOf returns the latest of times, some of which are not known.
func lastOf(times ...*time.Time) (last time.Time) {
	for _, t := range times {
		if t != nil && t.After(last) {
			last = *t
		}
	}
	return last
}

// states are GitLab's words. It has more for what goes on, or ended otherwise: see stateFrom.
var states = forgeclient.States[sdk.BuildStateValue]{Pending: sdk.Pending, Success: sdk.Success, Failure: sdk.Failed}
