package daemon

import (
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/status"
)

// report returns a report's part about Google Cloud; nil if Compute Engine is not read.
func (g *googleCloud) report() *status.Cloud {
	if g.project == "" {
		return nil
	}
	state := g.state()
	c := &status.Cloud{
		Project: g.project, Revision: state.Revision, LastRead: state.Looked,
		Error: state.Error, Calls: state.Calls,
	}
	for _, a := range state.Pending {
		c.Pending = append(c.Pending, cloudAction(a, status.CloudWaiting))
	}
	for _, d := range state.Done {
		done := cloudAction(d.Action, status.CloudDone)
		done.Time, done.Error = d.At, d.Error
		if !d.Error.IsZero() {
			done.Outcome = status.CloudFailed
		}
		c.Done = append(c.Done, done)
	}
	return c
}

func cloudAction(a gcp.Action, outcome status.CloudOutcome) status.CloudAction {
	return status.CloudAction{
		Verb: string(a.Verb), Resource: a.ID.String(), Fields: a.Fields, Reason: a.Reason, Outcome: outcome,
	}
}
