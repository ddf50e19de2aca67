package post

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// Findings reports what prevents statuses from being posted. It belongs in the next
// report.
func (p *Poster) Findings() []federation.Finding {
	p.mu.Lock()
	defer p.mu.Unlock()
	var findings []federation.Finding
	name := p.provider.Name()
	since, failure := p.failing()
	if failure != nil {
		findings = append(findings, p.failureFinding(failure, since))
	}
	findings = append(findings, p.refusalFinding(failure)...)
	if p.keeping.err != nil {
		findings = append(findings, outboxFinding(name, p.keeping.err, p.keeping.since))
	}
	rejected := false
	for _, k := range p.order() {
		e := p.entries[k]
		if e.rejected != nil && !rejected && e.waits(p.trim) {
			rejected = true // only the newest is reported
			findings = append(findings, rejection(name, k, e))
		}
		if e.by == "" && e.count >= budget-1 {
			findings = append(findings, federation.Finding{
				ID: federation.FindingStatusBudget, Severity: federation.SeverityWarning,
				Message: untrusted.Textf("%s: %d statuses %q were posted for %.7s: no more are posted until another commit takes its place",
					name, e.count, k.context, k.sha),
				Remedy: untrusted.Const("see the page for the current state; find out why it changes so often"),
			})
		}
	}
	return findings
}

// failing returns the newest failure of a request about a waiting status, and since when
// such requests have failed; nil if none does. The caller holds mu.
func (p *Poster) failing() (since time.Time, failure error) {
	for _, k := range p.order() {
		e := p.entries[k]
		if e.failure == nil || !e.waits(p.trim) {
			continue
		}
		if failure == nil {
			failure = e.failure
		}
		if since.IsZero() || e.since.Before(since) {
			since = e.since
		}
	}
	return since, failure
}

func (p *Poster) failureFinding(failure error, since time.Time) federation.Finding {
	name, written := p.provider.Name(), "commit statuses"
	if p.options.Deployments {
		written = "deployments"
	}
	f := federation.Finding{
		ID: federation.FindingStatus, Severity: federation.SeverityWarning, Since: since,
		Message: untrusted.Textf("%s: statuses cannot be posted and are queued: %v", name, failure),
		Remedy:  untrusted.Const("none is lost: the newest of each commit is posted when the forge is back"),
	}
	if errors.Is(failure, status.ErrUnauthorized) {
		f.Message = untrusted.Textf("%s: forge token rejected, statuses are queued: %v", name, failure)
		f.Remedy = untrusted.New("put a token with permission to write " + written + " to this repository into the token file; no restart is needed")
	}
	if m, ok := status.Moved(failure); ok {
		f.Message = untrusted.Textf("%s: statuses cannot be posted and are queued: %v", name, m)
		f.Remedy = m.Remedy()
	}
	return f
}

// outboxFinding names the reason without the path, which is only for the log.
func outboxFinding(name string, err error, since time.Time) federation.Finding {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		err = link.Err
	}
	return federation.Finding{
		ID: federation.FindingStatusOutbox, Severity: federation.SeverityWarning, Since: since,
		Message: untrusted.Textf("%s: queued statuses cannot be saved, and a restart would lose them: %v", name, err),
		Remedy:  untrusted.Const("free space in fedsync's cache folder or make it writable; see fedsync's log for the path; statuses are still posted until then"),
	}
}

func rejection(name string, k key, e *entry) federation.Finding {
	f := federation.Finding{
		ID: federation.FindingStatusRejected, Severity: federation.SeverityWarning, Since: e.rejectedSince,
		Message: untrusted.Textf("%s: the status %q of %.7s is not accepted: %v", name, k.context, k.sha, e.rejected),
		Remedy:  untrusted.Const("fedsync retries ever more rarely; check that the repository on the forge is the one that is synced"),
	}
	if errors.Is(e.rejected, status.ErrFull) {
		f.Remedy = untrusted.Const("see the page for the current state, and push another commit: this one accepts no more statuses")
	}
	return f
}
