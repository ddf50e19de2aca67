package daemon

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/diagnose"
	"github.com/fedsync/fedsync/pkg/doctor"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/metrics"
	"github.com/fedsync/fedsync/pkg/status"
)

// This file is the second half of each turn: what the loop reports on a revision, and
// where.

// publish sums up what is known and publishes it to the forge, the page and the metrics.
// Each of them holds the newest report, and none of them blocks. Log entries were
// written where things happened.
func (l *loop) publish() {
	started := time.Now()
	defer func() { l.metrics.Stage(metrics.StageStatus, time.Since(started)) }()
	report := l.report()
	l.reports.Add(&report)
	l.metrics.Report(&report)
	l.count(&report)
	if l.hasYielded() {
		for _, p := range l.posters() {
			p.Withdraw()
		}
	} else {
		l.post(report)
	}
	if l.reviewer != nil {
		l.reviewer.See(l.view(&report))
	}
	if l.onReport != nil {
		l.onReport(&report)
	}
}

// hasYielded reports whether another instance writes this federation now. That
// instance also posts to the forge.
func (l *loop) hasYielded() bool {
	if l.claims == nil {
		return false
	}
	_, yielded := l.claims.Yielded()
	return yielded
}

// report returns the report on the newest revision. While that one is refused, the
// revision in force gets its own report, too.
func (l *loop) report() status.Report {
	in := l.baseInput(l.newest)
	in.Previous = l.reports.Newest()
	switch {
	case l.newest == nil:
	case l.newest.refusal != nil && l.live != nil:
		inForce := l.judgedInput(l.live)
		inForce.Previous, _ = l.reports.Of(l.live.sha())
		r := status.Summarise(inForce)
		l.clean(&r)
		l.reports.Update(&r)
		in.Maintained = &r
		in.Findings = append(in.Findings, l.newest.refusal...)
	case l.newest.refusal != nil:
		in.Findings = append(in.Findings, l.newest.refusal...)
	case l.newest == l.live && !l.live.partly:
		judged := l.judgedInput(l.live)
		judged.Previous = in.Previous
		in = judged
	default:
		in.Rendering = true
	}
	r := status.Summarise(in)
	l.clean(&r)
	return r
}

// clean removes secrets from a report. If the repository's server sends them back, they
// may be anywhere in it. The report is searched only after that has happened.
func (l *loop) clean(r *status.Report) {
	if l.secrets.Found() {
		*r = secret.Value(l.secrets, *r)
	}
}

// baseInput returns the input of a report that does not depend on what became of its
// revision.
func (l *loop) baseInput(rev *revision) status.Input {
	in := status.Input{
		Federation: l.federation(rev),
		Repository: l.source.String(),
		Now:        time.Now(),
		Source:     untrusted.Excerpt(errorText(l.sourceErr)),
		Clusters:   l.members.outcomes,
		Findings:   slices.Concat(l.members.findings, l.findings()),
		Deadline:   l.cfg.StatusDeadline,
		Balancers:  l.members.facts.Balancers,
		Cloud:      l.cloud.report(),
	}
	if l.sourceErr != nil {
		in.SourceRemedy = doctor.SourceRemedy(l.sourceErr)
	}
	if rev != nil {
		in.Snapshot, in.FirstSeen = rev.snapshot, rev.firstSeen
		in.Earlier, _ = l.reports.Of(rev.earlier)
	}
	return in
}

// judgedInput returns baseInput plus the plan and the findings of a revision in force.
func (l *loop) judgedInput(rev *revision) status.Input {
	in := l.baseInput(rev)
	in.Plan = &rev.plan
	in.Findings = slices.Concat(in.Findings, rev.findings(), l.diagnose(rev), l.cloud.state().Findings)
	return in
}

// federation returns the revision's federation or, if it has none, the one whose clusters
// are shown instead.
func (l *loop) federation(rev *revision) *federation.Federation {
	for _, r := range []*revision{rev, l.live, l.wanted} {
		if r != nil && r.federation != nil {
			return r.federation
		}
	}
	return nil
}

// post hands the posters the statuses, and the deployment, that the report's revision
// should have. They post in their own time.
func (l *loop) post(report status.Report) {
	if l.newest == nil || l.newest.searching && l.federation(l.newest) == nil {
		return // the fallback that is searched for determines the context
	}
	if l.poster != nil {
		for _, c := range status.Commits(report, l.statusSettings()) {
			l.poster.Want(c)
		}
	}
	if l.deployer != nil {
		l.deployer.Want(status.Deployment(report))
	}
}

// statusSettings returns the status settings of the newest revision, without secrets.
func (l *loop) statusSettings() federation.CommitStatus {
	settings := federation.CommitStatus{Context: l.newest.context}
	if f := l.federation(l.newest); f != nil {
		settings = f.CommitStatus
		settings.Context = cmp.Or(settings.Context, federation.DefaultStatusContext(f.Folder, f.Name))
	}
	if l.secrets.Found() {
		settings = secret.Value(l.secrets, settings)
	}
	return settings
}

// count counts a sync when it has ended, in success or failure, and again when that
// outcome changes.
func (l *loop) count(r *status.Report) {
	end := syncEnd{r.Revision.SHA, r.State}
	if r.State == status.Pending || end == l.ended {
		return
	}
	l.ended = end
	var err error
	if r.State == status.Failure {
		err = errors.New(r.Description.String())
	}
	l.metrics.Sync(time.Now(), err)
	l.log.Info("sync ended", zap.Stringer("revision", r.Revision), zap.String("state", string(r.State)),
		zap.String("description", r.Description.String()))
}

// syncEnd is a revision and its final state.
type syncEnd struct {
	sha   string
	state status.State
}

// findings returns the findings that belong to no revision and no cluster.
func (l *loop) findings() []federation.Finding {
	all := l.roll.Findings(path.Join(l.source.Path(), federation.FileName))
	if err := l.kubeconfig.Err(); err != nil {
		message := err.Error()
		if !l.readOnly {
			message = "read the kubeconfig: see fedsync's log for the reason" // which names the path
		}
		all = append(all, federation.Finding{
			ID: federation.FindingNoContext, Severity: federation.SeverityError,
			Message: untrusted.New(message), Remedy: untrusted.Const("correct the file; until then, its last readable version stays in use"),
		})
	}
	for _, p := range l.posters() {
		all = append(all, p.Findings()...)
	}
	return all
}

// diagnose returns the findings that take more than one stage to see. It reads what the
// clusters show. It reports nothing on the objects of a cluster that still shows another
// revision, nor on objects of several clusters while there is such a cluster.
func (l *loop) diagnose(rev *revision) []federation.Finding {
	in := diagnose.Input{
		Federation: rev.federation, Plan: rev.plan, Facts: l.members.facts,
		Observations: map[string][]federation.Observation{},
		Now:          time.Now(), Grace: l.grace, Deadline: l.cfg.StatusDeadline,
	}
	others := false
	for name, c := range l.members.outcomes {
		in.Observations[name] = c.Observations
		others = others || c.Revision.SHA != "" && c.Revision.SHA != rev.sha()
	}
	return slices.DeleteFunc(l.diagnoser.Diagnose(in), func(f federation.Finding) bool {
		switch {
		case f.Object.Name == "" && f.App == "":
			return false // it is about the clusters themselves
		case f.Cluster == "":
			return others
		}
		return l.members.outcomes[f.Cluster].Revision.SHA != rev.sha()
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
