package doctor

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// judgeCloud reports what a daemon would wait for on Google Cloud: an examination cannot
// wait.
func (e *Examination) judgeCloud() {
	r := e.Comparison.Report
	if r.Cloud == nil {
		return
	}
	if !r.Cloud.Error.IsZero() {
		for i := range e.Findings {
			if f := &e.Findings[i]; f.ID == federation.FindingCloud && f.Cluster == "" && f.Object == (federation.ObjectRef{}) {
				f.Severity = federation.SeverityError
			}
		}
		return
	}
	if n := len(r.Cloud.Pending); n > 0 {
		e.find(federation.Finding{
			ID: federation.FindingBalancer, Severity: federation.SeverityWarning,
			Message: untrusted.Textf("fedsync would make %d changes on Compute Engine", n),
			Remedy:  untrusted.Const("fedsync diff prints them; a running fedsync makes them"),
		})
	}
	for _, b := range r.Balancers {
		for _, c := range b.Clusters {
			dead := c.State == federation.TrafficUnhealthy || c.State == federation.TrafficNone
			if !b.Complete || !dead || status.PlacedNowhere(r.Replicas, b.App, c.Cluster) {
				continue
			}
			e.find(federation.Finding{
				ID: federation.FindingTraffic, Severity: federation.SeverityWarning, Cluster: c.Cluster, App: b.App, Object: b.Ingress, File: b.File,
				Message: untrusted.New(strings.TrimSuffix(fmt.Sprintf("takes no traffic: %s: %s", c.State, c.Reason), ": ")),
			})
		}
	}
}
