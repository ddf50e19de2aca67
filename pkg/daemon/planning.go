package daemon

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/proposal"
	"github.com/fedsync/fedsync/pkg/roll"
	"github.com/fedsync/fedsync/pkg/source"
)

// PlanOptions define what is planned, and by which facts.
type PlanOptions struct {
	Base, Head string // revisions, as source.Source.Propose takes them
	// WorkingTree uses the working tree instead of Head.
	WorkingTree bool
	// Patient asks again until the timeout if a cluster could not be asked about its
	// changes.
	Patient bool
	// Facts are what the clusters report. If nil, the clusters are asked, within the
	// timeout, and then the change is tried there by dry run, within the timeout again.
	Facts   *federation.Facts
	Timeout time.Duration
	Log     *zap.Logger
	Version string
}

// Planning is a plan, and the uncommitted files that it does not cover.
type Planning struct {
	Plan        *plan.Plan
	Uncommitted preview.Uncommitted
}

// Plan returns what a proposed change would do. It writes nothing. It asks the clusters
// that the base names, whatever the change states, since anyone may have written it.
func Plan(ctx context.Context, cfg *config.Config, o PlanOptions) (*Planning, error) {
	d, err := newParts(cfg, Options{Version: o.Version, Log: o.Log})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	proposed, err := d.propose(ctx, o)
	if err != nil {
		return nil, err
	}
	base, err := d.renderSide(ctx, proposed.Base)
	if err != nil {
		return nil, err
	}
	head, err := d.renderSide(ctx, proposed.Merged)
	if err != nil {
		return nil, err
	}
	in := plan.Input{From: proposed.From, Conflicts: proposed.Conflicts, Both: proposed.Both}
	if o.Facts != nil {
		base.Schedule(cfg, *o.Facts, nil)
		in.Facts = plan.Assume(*o.Facts, base.Plan)
		in.Base, in.Head = base.Schedule(cfg, in.Facts, nil), head.Schedule(cfg, in.Facts, nil)
		proposal.CloudUnasked(d.digest(base.Federation), &in)
	} else if err := d.askUntilSure(ctx, &in, base, head, o); err != nil {
		return nil, err
	}
	// A manifest may contain a credential that a Git server sent back.
	planning := &Planning{Plan: secret.Value(d.secrets, plan.Of(in))}
	if o.Head == "HEAD" && !o.WorkingTree {
		planning.Uncommitted = preview.UncommittedFiles(d.source, head.Federation)
	}
	return planning, nil
}

func (d *Daemon) propose(ctx context.Context, o PlanOptions) (*source.Proposal, error) {
	if o.WorkingTree {
		return d.source.ProposeWorkTree(ctx, o.Base)
	}
	return d.source.Propose(ctx, o.Base, o.Head)
}

func (d *Daemon) renderSide(ctx context.Context, snapshot federation.Snapshot) (*proposal.Side, error) {
	return proposal.Render(ctx, d.cfg, d.render, snapshot)
}

// askPause is the pause before the clusters are asked again.
const askPause = 2 * time.Second

// askUntilSure asks once or, if o.Patient, until every cluster that the change
// concerns has answered or the time is up.
func (d *Daemon) askUntilSure(ctx context.Context, in *plan.Input, base, head *proposal.Side, o PlanOptions) error {
	deadline := time.Now().Add(o.Timeout)
	for {
		err := d.askAbout(ctx, in, base, head, o.Timeout)
		if !o.Patient || time.Now().Add(askPause).After(deadline) {
			return err
		}
		if err == nil && plan.Of(*in).Verdict != plan.Unsure || err != nil && !errors.Is(err, preview.ErrNoAnswer) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(askPause):
		}
	}
}

// askAbout schedules both sides by what the members of the base report, and tries the
// difference there by dry run.
func (d *Daemon) askAbout(ctx context.Context, in *plan.Input, base, head *proposal.Side, timeout time.Duration) error {
	a := d.askMembers(ctx, base)
	defer a.end()
	if err := a.wait(timeout, a.known); err != nil {
		return err
	}
	in.Facts = a.facts
	excluded := roll.Of(roll.Input{
		Members: base.Federation.Clusters, Facts: a.facts, Revision: base.Revision.SHA,
		Servers: d.servers(base.Federation.Clusters, a.facts),
	}).Excluded()
	in.Base, in.Head = base.Schedule(d.cfg, in.Facts, excluded), head.Schedule(d.cfg, in.Facts, excluded)
	a.try(*in)
	if err := a.wait(timeout, a.tried); err != nil {
		return err
	}
	in.Answers = a.answers()
	d.askCloud(ctx, in, timeout)
	return ctx.Err()
}

// asking asks clusters what they report, and how they would answer a change.
type asking struct {
	*members

	ctx     context.Context
	cancel  context.CancelFunc
	daemon  *Daemon
	started time.Time
	handed  map[string]bool // the members that were handed the change
}

// askMembers begins to ask the members of the base what they report.
func (d *Daemon) askMembers(ctx context.Context, base *proposal.Side) *asking {
	a := &asking{daemon: d, started: time.Now(), handed: map[string]bool{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	a.members = newMembers(nil, func(f *federation.Federation, c federation.Cluster) memberLoop {
		return d.newMember(f, c, true)
	})
	source, _ := identity.Of(d.source, d.cfg.Revision, base.Federation.Name)
	a.meet(a.ctx, base.Federation, nil, source)
	for _, c := range base.Federation.Clusters {
		a.hand(federation.ClusterPlan{Cluster: c.Name, Revision: base.Revision})
	}
	return a
}

// wait waits until done reports true or the time is up. It fails if the context ended or
// if no member answers.
func (a *asking) wait(timeout time.Duration, done func() bool) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for a.read(); !done(); a.read() {
		select {
		case <-a.ctx.Done():
			return a.ctx.Err()
		case <-timer.C:
			return a.silence()
		case <-a.daemon.changed:
		}
	}
	return a.silence()
}

// known reports whether every member's facts are known, or it does not answer.
func (a *asking) known() bool {
	for _, o := range a.seen {
		if o.Facts.State == federation.ClusterPending || o.Facts.State == federation.ClusterReady && !o.Facts.Synced {
			return false
		}
	}
	return true
}

// try hands each member the objects that the change affects there, for dry runs.
func (a *asking) try(in plan.Input) {
	was := proposal.ByCluster(in.Base.Plan)
	for _, p := range in.Head.Plan.Clusters {
		if a.byName[p.Cluster] == nil {
			continue
		}
		a.hand(proposal.OnlyChanged(was[p.Cluster], p))
		a.handed[p.Cluster] = true
	}
	a.read()
}

// tried reports whether every member that was handed the change has tried it, or does
// not answer.
func (a *asking) tried() bool {
	for name := range a.handed {
		excluded := a.byName[name].Newest().Excluded != ""
		if o := a.seen[name]; !o.Compared && !excluded && o.Facts.State == federation.ClusterReady {
			return false
		}
	}
	return true
}

// answers returns the members' answers to the change.
func (a *asking) answers() map[string]plan.Answer {
	all := make(map[string]plan.Answer, len(a.byName))
	for _, name := range slices.Sorted(maps.Keys(a.byName)) {
		o := a.seen[name]
		if !a.handed[name] {
			continue // it leaves: the change does not concern it
		}
		answer := proposal.AnswerOf(o.Differences)
		switch why := a.byName[name].Newest().Excluded; {
		case why != "":
			answer.Unasked = untrusted.New(why)
		case !o.Compared:
			answer.Unasked = proposal.Silence(o.Facts, a.started)
		}
		all[name] = answer
	}
	return all
}

// end ends the members.
func (a *asking) end() {
	a.cancel()
	a.members.wait()
}
