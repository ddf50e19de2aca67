package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/schedule"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/worktree"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/contexts"
	"github.com/fedsync/fedsync/pkg/wire"
)

// Rendering is what a revision says without asking any cluster.
type Rendering struct {
	Federation  *federation.Federation
	Snapshot    federation.Snapshot
	Plan        federation.Plan
	Findings    []federation.Finding
	Uncommitted Uncommitted
}

// Render reads and renders one revision, and schedules it for clusters that report
// these facts; without any they are Ready and empty.
func Render(ctx context.Context, cfg *config.Config, facts federation.Facts) (*Rendering, error) {
	secrets := secret.New()
	src, err := wire.NewSource(cfg, secrets, zap.NewNop())
	if err != nil {
		return nil, err
	}
	snapshot, err := src.Snapshot(ctx, cfg.Revision)
	if err != nil {
		return nil, err
	}
	f, err := render.Load(snapshot)
	if err != nil {
		return nil, err
	}
	r, err := rendering(ctx, cfg, snapshot, f, facts)
	if err != nil {
		return nil, err
	}
	r.Uncommitted, r.Findings = uncommittedFiles(src, f), secret.Value(secrets, r.Findings)
	return r, nil
}

// rendering renders a snapshot and plans it.
func rendering(ctx context.Context, cfg *config.Config, snapshot federation.Snapshot, f *federation.Federation, facts federation.Facts) (*Rendering, error) {
	renderer := wire.NewRenderer(cfg, zap.NewNop())
	defer renderer.Close()
	bundles, findings, err := renderOnce(ctx, cfg, renderer.RenderInSteps, snapshot, f)
	if err != nil {
		return nil, err
	}
	plan := schedule.New().Plan(schedule.Input{
		Federation: f, Revision: snapshot.Revision, Bundles: bundles, Facts: facts, Policy: wire.Policy(cfg),
	})
	return &Rendering{Federation: f, Snapshot: snapshot, Plan: plan, Findings: slices.Concat(findings, plan.Findings)}, nil
}

// renderOnce renders a snapshot as a whole, with what the operator does not grant its file.
func renderOnce(ctx context.Context, cfg *config.Config, with renderFunc, snapshot federation.Snapshot, f *federation.Federation) ([]federation.Bundle, []federation.Finding, error) {
	bundles, findings := with(ctx, snapshot, f, nil, nil)
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return bundles, slices.Concat(contexts.Patterns(cfg.StatusContexts).Settle(f, snapshot.Files), findings), nil
}

// Uncommitted is what of a work tree no commit has.
type Uncommitted struct {
	Files   []string // those that the federation would read, and whose changes are not in the revision
	Unknown string   // why they are not known; empty where they are
}

// uncommittedFiles compares a work tree with its commit. It is a courtesy to whoever forgot
// to commit: what is asked for is answered where it cannot be done, as in a sparse checkout.
func uncommittedFiles(src *source.Source, f *federation.Federation) Uncommitted {
	path, local := src.LocalPath()
	if !local {
		return Uncommitted{}
	}
	under := []string{f.File()}
	for _, app := range f.Apps {
		under = append(under, app.Path)
	}
	files, err := worktree.Uncommitted(path, under)
	if err != nil {
		return Uncommitted{Unknown: untrusted.Line(err.Error())}
	}
	return Uncommitted{Files: files}
}

// errNoAnswer is returned when not one cluster could be asked.
var errNoAnswer = errors.New("no cluster answers")

// Comparison is what every cluster runs, and what an apply of the revision would
// change there.
type Comparison struct {
	Report *status.Report
	Facts  federation.Facts // what the clusters reported
	Plan   federation.Plan  // what was planned by these facts
	// Differences are those of each cluster that could be compared, by name; of
	// one that could not, there is no entry.
	Differences map[string][]apply.Difference
	// Findings are those of the rendering, the plan and the comparing. The report
	// has more, about what runs.
	Findings    []federation.Finding
	Uncommitted Uncommitted
}

// Look asks every cluster what it runs and what an apply would change, and changes
// nothing. It waits for each cluster's answer, for at most the timeout. Its error
// says that not even one cluster could be asked.
func Look(ctx context.Context, cfg *config.Config, timeout time.Duration, log *zap.Logger) (*Comparison, error) {
	d, err := newParts(cfg, Options{Log: log})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	snapshot, err := d.source.Snapshot(ctx, cfg.Revision)
	if err != nil {
		return nil, err
	}
	f, err := render.Load(snapshot)
	if err != nil {
		return nil, err
	}
	c, err := d.look(ctx, snapshot, timeout)
	if err != nil {
		return nil, err
	}
	c.Uncommitted = uncommittedFiles(d.source, f)
	return c, nil
}

// look is Look for a snapshot. With errNoAnswer it gives what can be said all the
// same.
func (d *Daemon) look(ctx context.Context, snapshot federation.Snapshot, timeout time.Duration) (*Comparison, error) {
	d.events.put(source.Event{Snapshot: &snapshot})
	loopCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := newLoop(d, true)
	l.settled = func(*status.Report) {
		if l.live != nil && l.members.looked() {
			cancel()
		}
	}
	l.run(loopCtx)
	l.members.wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	report := d.reports.Newest()
	if report == nil || l.live == nil {
		return nil, fmt.Errorf("nothing could be looked at within %s", timeout)
	}
	if l.lookAtCloudOnce(ctx, timeout); l.cloud.project != "" {
		r := l.report()
		report = &r
	}
	c := &Comparison{
		Report:      report,
		Facts:       l.members.facts,
		Plan:        l.live.plan,
		Differences: map[string][]apply.Difference{},
		Findings:    slices.Concat(l.live.findings(), l.members.findings, l.findings()),
	}
	for _, name := range slices.Sorted(maps.Keys(l.members.outcomes)) {
		c.Findings = append(c.Findings, l.members.outcomes[name].Findings...)
	}
	c.Findings = secret.Value(d.secrets, federation.ShortFindings(c.Findings))
	for name, o := range l.members.seen {
		if o.Compared {
			c.Differences[name] = o.Differences
		}
	}
	return c, l.members.silence()
}

// silence returns errNoAnswer, with the reasons, where not one member was to be seen when
// look asked them.
func (ms *members) silence() error {
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(ms.seen)) {
		facts := ms.seen[name].Facts
		switch {
		case facts.Synced || facts.State == federation.ClusterReady:
			return nil
		case !facts.Error.IsZero():
			reasons = append(reasons, fmt.Sprintf("%s: %s", name, facts.Error))
		default:
			reasons = append(reasons, fmt.Sprintf("%s: %s", name, facts.State))
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", errNoAnswer, strings.Join(reasons, "; "))
}
