package daemon

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/diagnose"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/schedule"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/web"
)

// loop decides what is decided in one place. It is level-triggered: whatever
// happened, it looks at the newest revision and the newest facts and hands every
// cluster's worker what its cluster should run. One goroutine runs it and owns
// its fields.
type loop struct {
	*Daemon

	workers   *workers
	scheduler *schedule.Scheduler
	diagnoser diagnose.Diagnoser
	readOnly  bool                 // look only
	settled   func(*status.Report) // told of every report; nil for nobody

	snapshot   federation.Snapshot    // the newest that was read
	firstSeen  time.Time              // of the snapshot
	federation *federation.Federation // the newest that could be read; nil before that
	revision   federation.Revision    // the federation's
	leaving    []federation.Cluster   // clusters that left the federation, to be emptied
	roll       roll                   // which clusters the names lead to, and what may be done there
	bundles    []federation.Bundle    // of the federation's revision
	plan       federation.Plan        // the newest that the workers were handed
	ended      outcomeOf              // the last that was counted

	context   string               // the status context, while no federation could be read
	sourceErr error                // why the repository cannot be read now
	refusal   []federation.Finding // why the snapshot's fedsync.yaml is not followed
	rendering []federation.Finding // what render had to say
}

// The outcome of a push is told at once; a stream of small changes, as of pods
// that become ready, is added up this often. And time itself changes a report:
// "unreachable for 4 minutes", a deadline that has passed.
const (
	tellInterval = 25 * time.Millisecond
	lookInterval = 10 * time.Second
)

func newLoop(d *Daemon, readOnly bool) *loop {
	l := &loop{Daemon: d, scheduler: schedule.New(), readOnly: readOnly}
	l.workers = newWorkers(func(f *federation.Federation, c federation.Cluster) *worker {
		return d.newWorker(f, c, readOnly)
	})
	return l
}

// run goes on until ctx ends.
func (l *loop) run(ctx context.Context) {
	clock := time.NewTicker(l.lookAgain)
	defer clock.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	changed := bell(nil) // not listened to until pace rings
	var took time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-l.events.C:
			l.read(ctx, e)
		case <-l.reload:
			l.workers.reconnect()
		case <-pace.C:
			changed = l.changed
			continue
		case <-changed:
			changed = nil
			// Of a large federation, half the time is left for what else there is to do.
			pace.Reset(max(tellInterval, took))
		case <-clock.C:
		}
		if ctx.Err() != nil {
			return // what was cut short says nothing of the revision
		}
		started := time.Now()
		l.workers.look()
		l.reschedule()
		l.tell()
		took = time.Since(started)
	}
}

// read takes what source found: a new revision, or why there is none. Whatever it
// is, the last good revision goes on being maintained.
func (l *loop) read(ctx context.Context, e source.Event) {
	l.sourceErr = e.Err
	if e.Err != nil {
		l.log.Warn("repository not read", zap.Error(e.Err))
	}
	if e.Snapshot == nil || e.Snapshot.Revision == l.snapshot.Revision {
		return // it holds what it held
	}
	l.metrics.Stage(web.StageSource, e.Took)
	l.sync(ctx, *e.Snapshot)
}

// sync brings one revision to the clusters. This is the whole story; what the
// clusters answer comes back through reschedule.
func (l *loop) sync(ctx context.Context, snapshot federation.Snapshot) {
	started := time.Now()
	l.supersede(snapshot.Revision)
	l.snapshot, l.firstSeen = snapshot, started
	l.log.Info("revision found", zap.Stringer("revision", snapshot.Revision), zap.Bool("forced", snapshot.Forced))

	// Which clusters there are, and which apps they run. A mistake in the file
	// fails the commit and changes nothing in the clusters.
	f, err := render.Load(snapshot)
	if err != nil {
		l.refuse(err)
		return
	}
	l.federation, l.revision, l.refusal = f, snapshot.Revision, nil

	// A worker for each cluster: it connects, watches and applies at its own
	// pace, and nothing of it can hold up the others.
	l.callRoll()
	l.workers.meet(ctx, f, l.leaving)

	// The commit is pending from now on, however long the rest takes.
	l.workers.look()
	l.judge()
	l.tell()

	// Files become objects. A cluster's worker starts on its own as soon as they
	// are known; nothing is pruned yet.
	in := l.input()
	l.bundles, l.rendering = l.renderer.Render(ctx, snapshot, f, func(c federation.Cluster, bundles []federation.Bundle) {
		in.Bundles = bundles
		l.workers.hand(l.scheduler.Provisional(in, c))
	})
	l.metrics.Stage(web.StageRender, time.Since(started))

	// What needs to know every cluster is the plan as a whole: run goes on with
	// reschedule, now and whenever a fact changes.
}

// supersede ends the commit statuses of the revision before.
func (l *loop) supersede(by federation.Revision) {
	if l.poster == nil {
		return
	}
	if l.told.SHA != "" && l.told.SHA != by.SHA {
		l.poster.Supersede(l.told.SHA, by, l.told.Contexts...)
	}
}

// refuse keeps the revision before, and says why on the new one.
func (l *loop) refuse(err error) {
	l.refusal = refusal(err)
	data, _ := fs.ReadFile(l.snapshot.Files, federation.FileName) // that it is missing is the error already
	l.context = federation.StatusContext(data)
	l.log.Warn("revision refused", zap.Stringer("revision", l.snapshot.Revision), zap.Error(err))
}

// refusal gives a finding for each mistake in fedsync.yaml.
func refusal(err error) []federation.Finding {
	if mistakes, ok := errors.AsType[federation.FileErrors](err); ok {
		return mistakes.Findings()
	}
	return []federation.Finding{{
		ID: "federation", Severity: federation.SeverityError, File: federation.FileName,
		Message: err.Error(), Remedy: "mend " + federation.FileName + "; until then the revision before goes on being maintained",
	}}
}

// callRoll finds the clusters that left the file since the last revision and are
// to be emptied.
func (l *loop) callRoll() {
	if l.readOnly {
		return
	}
	now, leaving := l.roster.next(l.federation)
	l.leaving = leaving
	l.remember(now)
}

// dismiss forgets the clusters that have left and are empty by now.
func (l *loop) dismiss() {
	for _, name := range l.workers.emptied() {
		l.leaving = slices.DeleteFunc(l.leaving, func(c federation.Cluster) bool { return c.Name == name })
		l.remember(l.roster.without(name))
		l.log.Info("cluster left and emptied", zap.String("cluster", name))
	}
}

func (l *loop) remember(r roster) {
	if r.equal(l.roster) {
		return
	}
	l.roster = r
	if err := writeJSON(l.rosterFile, r); err != nil {
		l.log.Warn("member clusters not remembered", zap.Error(err))
	}
}

// input is what the schedule reads, as it is now.
func (l *loop) input() schedule.Input {
	return schedule.Input{
		Federation: l.federation,
		Revision:   l.revision,
		Bundles:    l.bundles,
		Facts:      l.workers.facts,
		Policy:     schedule.Policy{Namespaces: l.cfg.AllowNamespaces, Kinds: l.cfg.AllowKinds},
		Leaving:    l.leaving,
		Excluded:   l.roll.excluded(),
		Unpruned:   l.roll.unpruned(),
	}
}

// reschedule plans from scratch, and hands every worker its part. A worker that
// has it already does nothing. A revision that is refused changes nothing: the one
// before is maintained, and its replicas go on being placed where there is room.
func (l *loop) reschedule() {
	if l.federation == nil {
		return
	}
	started := time.Now()
	l.judge()
	l.dismiss()
	l.plan = l.scheduler.Plan(l.input())
	for _, p := range l.plan.Clusters {
		l.workers.hand(p)
	}
	l.metrics.Stage(web.StageSchedule, time.Since(started))
}

// tell adds up what is known and tells the forge, the page and the metrics. The
// log was told where it happened.
func (l *loop) tell() {
	started := time.Now()
	defer func() { l.metrics.Stage(web.StageStatus, time.Since(started)) }()
	report := status.Summarise(status.Input{
		Federation: l.federation,
		Repository: l.source.String(),
		Snapshot:   l.snapshot,
		FirstSeen:  l.firstSeen,
		Now:        time.Now(),
		Source:     errorText(l.sourceErr),
		Clusters:   l.workers.outcomes,
		Plan:       &l.plan,
		Findings:   slices.Concat(l.findings(), l.diagnose()),
		Deadline:   l.cfg.StatusDeadline,
		Previous:   l.reports.newest(),
	})
	l.reports.keep(&report)
	l.metrics.Report(&report)
	l.count(&report)
	if l.poster != nil {
		l.post(report)
	}
	if l.settled != nil {
		l.settled(&report)
	}
}

// post says what statuses the report's revision should have.
func (l *loop) post(report status.Report) {
	settings := federation.CommitStatus{Context: l.context}
	if l.federation != nil {
		settings = l.federation.CommitStatus
	}
	commits := status.Commits(report, settings)
	for _, c := range commits {
		l.poster.Want(c)
	}
	if len(commits) == 0 {
		return
	}
	told := lastTold{SHA: commits[0].SHA}
	for _, c := range commits {
		told.Contexts = append(told.Contexts, c.Context)
	}
	if !told.equal(l.told) {
		l.told = told
		if err := told.write(l.toldFile); err != nil {
			l.log.Warn("newest commit not remembered", zap.Error(err))
		}
	}
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
		err = errors.New(r.Description)
	}
	l.metrics.Sync(time.Now(), err)
	l.log.Info("sync ended", zap.Stringer("revision", r.Revision), zap.String("state", string(r.State)),
		zap.String("description", r.Description))
}

// outcomeOf is what became of a revision.
type outcomeOf struct {
	sha   string
	state status.State
}

// findings are those of all stages.
func (l *loop) findings() []federation.Finding {
	all := slices.Concat(l.rendering, l.plan.Findings, l.workers.findings, l.roll.findings())
	if l.refusal != nil {
		all = append(all, l.refusal...)
	}
	if err := l.kubeconfig.Err(); err != nil {
		all = append(all, federation.Finding{
			ID: "D01", Severity: federation.SeverityError,
			Message: err.Error(), Remedy: "mend the file; until then the one before stays in use",
		})
	}
	if l.poster != nil {
		all = append(all, l.poster.Findings()...)
	}
	return all
}

// diagnose names what takes more than one stage to see.
func (l *loop) diagnose() []federation.Finding {
	if l.federation == nil {
		return nil
	}
	in := diagnose.Input{
		Federation: l.federation, Plan: l.plan, Facts: l.workers.facts,
		Observations: map[string][]federation.Observation{},
		Now:          time.Now(), Grace: l.grace, Deadline: l.cfg.StatusDeadline,
	}
	for name, c := range l.workers.outcomes {
		in.Observations[name] = c.Observations
	}
	return l.diagnoser.Diagnose(in)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
