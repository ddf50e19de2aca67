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

// What the loop says of a revision, and to whom: the second half of each of its turns.

// tell adds up what is known and tells the forge, the page and the metrics: each of
// them keeps the newest, and nobody is waited for. The log was told where it happened.
func (l *loop) tell() {
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
	if l.settled != nil {
		l.settled(&report)
	}
}

// hasYielded reports whether another instance writes this federation now: the forge
// is its to tell as well.
func (l *loop) hasYielded() bool {
	if l.claims == nil {
		return false
	}
	_, yielded := l.claims.Yielded()
	return yielded
}

// report speaks of the newest revision. While that one is refused, the revision in
// force has a report of its own, too.
func (l *loop) report() status.Report {
	in := l.known(l.newest)
	in.Previous = l.reports.Newest()
	switch {
	case l.newest == nil:
	case l.newest.refusal != nil && l.live != nil:
		inForce := l.judged(l.live)
		inForce.Previous, _ = l.reports.Of(l.live.sha())
		r := status.Summarise(inForce)
		l.clean(&r)
		l.reports.Update(&r)
		in.Maintained = &r
		in.Findings = append(in.Findings, l.newest.refusal...)
	case l.newest.refusal != nil:
		in.Findings = append(in.Findings, l.newest.refusal...)
	case l.newest == l.live && !l.live.partly:
		judged := l.judged(l.live)
		judged.Previous = in.Previous
		in = judged
	default:
		in.Rendering = true
	}
	r := status.Summarise(in)
	l.clean(&r)
	return r
}

// clean takes the secrets out of a report. A repository whose server sends them back may
// have them anywhere; it is looked through only after that was seen.
func (l *loop) clean(r *status.Report) {
	if l.secrets.Found() {
		*r = secret.Value(l.secrets, *r)
	}
}

// known is what a report adds up whatever has come of its revision.
func (l *loop) known(rev *revision) status.Input {
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

// judged is known with what is judged by a revision that is in force.
func (l *loop) judged(rev *revision) status.Input {
	in := l.known(rev)
	in.Plan = &rev.plan
	in.Findings = slices.Concat(in.Findings, rev.findings(), l.diagnose(rev), l.cloud.state().Findings)
	return in
}

// federation returns a revision's own, or the one whose clusters are shown meanwhile.
func (l *loop) federation(rev *revision) *federation.Federation {
	for _, r := range []*revision{rev, l.live, l.wanted} {
		if r != nil && r.federation != nil {
			return r.federation
		}
	}
	return nil
}

// post says what statuses, and what deployment, the report's revision should have. The
// posters post them on their own time.
func (l *loop) post(report status.Report) {
	if l.newest == nil || l.newest.searching && l.federation(l.newest) == nil {
		return // what its context is follows from the one that is searched for
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

// statusSettings are those of the newest revision, without secrets.
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

// count counts a sync when it has come to an end: a revision is live, or has
// failed, and again when that changes.
func (l *loop) count(r *status.Report) {
	end := outcomeOf{r.Revision.SHA, r.State}
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

// outcomeOf is what became of a revision.
type outcomeOf struct {
	sha   string
	state status.State
}

// findings are those of what belongs to no revision and no cluster.
func (l *loop) findings() []federation.Finding {
	all := l.roll.Findings(path.Join(l.source.Path(), federation.FileName))
	if err := l.kubeconfig.Err(); err != nil {
		message := err.Error()
		if !l.readOnly {
			message = "read the kubeconfig: fedsync's log says what is wrong with it" // and where it is
		}
		all = append(all, federation.Finding{
			ID: federation.FindingNoContext, Severity: federation.SeverityError,
			Message: untrusted.New(message), Remedy: untrusted.Const("correct the file; until then the one before stays in use"),
		})
	}
	for _, p := range l.posters() {
		all = append(all, p.Findings()...)
	}
	return all
}

// diagnose names what takes more than one stage to see. It reads what the clusters
// show, so nothing is said of the objects of one that shows another revision still,
// nor of those of several while there is such a one.
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
