package status

import (
	"errors"
	"fmt"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// The identities of findings about posting. They are warnings: what cannot be
// told is no failure of what was done.
const (
	idStatus         = "status"
	idStatusRejected = "status-rejected"
	idStatusBudget   = "status-budget"
)

// rejectionShown is how long a status that was given up is spoken of.
const rejectionShown = time.Hour

// Findings says what keeps statuses from being posted. It belongs into the next
// report.
func (p *Poster) Findings() []federation.Finding {
	p.mu.Lock()
	defer p.mu.Unlock()
	var findings []federation.Finding
	name := p.provider.Name()
	if p.failure != nil {
		findings = append(findings, p.failureFinding(name))
	}
	if !p.rejected.Since.IsZero() && time.Since(p.rejected.Since) < rejectionShown {
		findings = append(findings, p.rejected)
	}
	for _, k := range p.order() {
		if e := p.entries[k]; e.by == "" && e.count >= budget-1 {
			findings = append(findings, federation.Finding{
				ID: idStatusBudget, Severity: federation.SeverityWarning,
				Message: fmt.Sprintf("%s: %d statuses %q were posted for %.7s: no more until another commit takes its place",
					name, e.count, k.context, k.sha),
				Remedy: "read the page for the state as it is; find out why it changes so often",
			})
		}
	}
	return findings
}

func (p *Poster) failureFinding(name string) federation.Finding {
	f := federation.Finding{
		ID: idStatus, Severity: federation.SeverityWarning, Since: p.failing,
		Message: fmt.Sprintf("%s: statuses cannot be posted and wait: %v", name, p.failure),
		Remedy:  "none is lost: the newest of each commit is posted when the forge is back",
	}
	if errors.Is(p.failure, ErrUnauthorized) {
		f.Message = fmt.Sprintf("%s: forge token refused, statuses wait: %v", name, p.failure)
		f.Remedy = "put a token with permission to write commit statuses to this repository into the token file; no restart is needed"
	}
	return f
}

func rejection(name string, c Commit, err error, now time.Time) federation.Finding {
	return federation.Finding{
		ID: idStatusRejected, Severity: federation.SeverityWarning, Since: now,
		Message: fmt.Sprintf("%s: the status %q of %.7s was given up: %v", name, c.Context, c.SHA, err),
		Remedy:  "check that the forge's repository is the one that is synced; a commit that was pushed away gets no status",
	}
}
