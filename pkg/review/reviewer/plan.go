package reviewer

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/proposal"
	"github.com/fedsync/fedsync/pkg/review"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/status"
)

const (
	// planTimeout is how long one plan may take: fetching, rendering and querying.
	planTimeout = time.Minute
	// askTimeout is how long the clusters may take to answer.
	askTimeout = 20 * time.Second
)

// plan plans a pull request. Its result is meaningless if the context has ended.
func (r *Reviewer) plan(ctx context.Context, pr status.PullRequest, v View, earlier review.Made) (m review.Made) {
	started := time.Now()
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("planning a pull request panicked", zap.Int64("pull request", pr.Number), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			m = review.Not(pr.Head, v.Tip, untrusted.Const("planning it panicked; fedsync's log has the details"), true, time.Now())
		}
		m.Took = time.Since(started)
	}()
	timed, cancel := context.WithTimeout(ctx, planTimeout)
	defer cancel()
	p, err := r.planned(timed, pr, v)
	if err == nil {
		err = timed.Err()
	}
	if err != nil {
		return r.notPlanned(ctx, pr, v, err)
	}
	r.log.Info("pull request planned", zap.Int64("pull request", pr.Number), zap.String("head", pr.Head),
		zap.String("verdict", string(p.Verdict)), zap.Stringer("summary", p.Summary), zap.Duration("took", time.Since(started)))
	return review.Of(p, v.Facts, earlier, time.Now())
}

// notPlanned returns why there is no plan.
func (r *Reviewer) notPlanned(ctx context.Context, pr status.PullRequest, v View, err error) review.Made {
	if ctx.Err() != nil {
		return review.Made{Head: pr.Head}
	}
	r.log.Warn("pull request not planned", zap.Int64("pull request", pr.Number), zap.String("head", pr.Head), zap.Error(err))
	why, lasting := untrusted.New(err.Error()), false
	if errors.Is(err, context.DeadlineExceeded) {
		why, lasting = untrusted.Textf("it took longer than %s", planTimeout), true
	}
	if _, large := errors.AsType[*objectdb.LimitError](err); large {
		lasting = true
	}
	if _, unrelated := errors.AsType[*source.UnrelatedError](err); unrelated {
		lasting = true
	}
	m := review.Not(pr.Head, v.Tip, why, lasting, time.Now())
	if _, moved := errors.AsType[*source.MovedError](err); moved {
		m.Moved = true
		r.nudged.Ring() // there is a newer head
	}
	return m
}

// planned makes the plan, by the facts of the View.
func (r *Reviewer) planned(ctx context.Context, pr status.PullRequest, v View) (*plan.Plan, error) {
	proposed, err := r.source.ProposeRef(ctx, pr.Ref, pr.Head)
	if err != nil {
		return nil, err
	}
	base, err := r.bases.of(ctx, proposed.Base, r.renderSide)
	if err != nil {
		return nil, err
	}
	head, err := r.renderSide(ctx, proposed.Merged)
	if err != nil {
		return nil, err
	}
	in := plan.Input{From: proposed.From, Conflicts: proposed.Conflicts, Both: proposed.Both, Facts: v.Facts}
	in.Base, in.Head = base.Schedule(r.cfg, in.Facts, v.Excluded), head.Schedule(r.cfg, in.Facts, v.Excluded)
	in.Answers = r.try(ctx, v, in)
	r.cloud(ctx, &in, v)
	return secret.Value(r.secrets, plan.Of(in)), nil
}

func (r *Reviewer) renderSide(ctx context.Context, snapshot federation.Snapshot) (*proposal.Side, error) {
	return proposal.Render(ctx, r.cfg, r.renderer.RenderInSteps, snapshot)
}

// baseSides caches the rendered base, which all pull requests have in common.
type baseSides struct {
	mu  sync.Mutex // held while the base is rendered; protects what follows
	sha string
	its *proposal.Side
}

// of returns a side that the caller may schedule.
func (b *baseSides) of(ctx context.Context, snapshot federation.Snapshot, renderSide func(context.Context, federation.Snapshot) (*proposal.Side, error)) (*proposal.Side, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sha != snapshot.Revision.SHA {
		its, err := renderSide(ctx, snapshot)
		if err != nil {
			return nil, err
		}
		b.sha, b.its = snapshot.Revision.SHA, its
	}
	own := *b.its
	return &own, nil
}

// trier is a member that can try a plan by a dry run.
type trier interface {
	Try(ctx context.Context, plan federation.ClusterPlan) ([]apply.Difference, error)
}

// try queries the members of the base, and no other clusters, about the difference. It uses
// their existing connections.
func (r *Reviewer) try(ctx context.Context, v View, in plan.Input) map[string]plan.Answer {
	timed, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	was := proposal.ByCluster(in.Base.Plan)
	contexts := map[string]string{}
	for _, c := range in.Base.Federation.Clusters {
		contexts[c.Name] = c.Context
	}
	var mu sync.Mutex
	answers := map[string]plan.Answer{}
	var asking sync.WaitGroup
	for _, p := range in.Head.Plan.Clusters {
		at, isMember := contexts[p.Cluster]
		if !isMember {
			continue
		}
		asking.Go(func() {
			answer := plan.Answer{Unasked: untrusted.Const("trying it there panicked; fedsync's log has the details")}
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				answers[p.Cluster] = answer
			}()
			defer r.recovered(p.Cluster)
			answer = r.ask(timed, v, proposal.OnlyChanged(was[p.Cluster], p), known{at, in.Base.Federation.Name})
		})
	}
	asking.Wait()
	return answers
}

// recovered prevents a proposed change from crashing the daemon.
func (r *Reviewer) recovered(cluster string) {
	if p := recover(); p != nil {
		r.log.Error("trying a change panicked", zap.String("cluster", cluster), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
	}
}

// known is what a cluster's connection must belong to for the cluster to be queried.
type known struct{ context, federation string }

// ask queries one cluster.
func (r *Reviewer) ask(ctx context.Context, v View, changed federation.ClusterPlan, its known) plan.Answer {
	if why := v.Excluded[changed.Cluster]; why != "" {
		return plan.Answer{Unasked: untrusted.New(why)}
	}
	m, connected := v.Members[changed.Cluster]
	if !connected || m.Context != its.context || m.Federation != its.federation {
		return plan.Answer{Unasked: untrusted.Const("fedsync is not connected to it yet")}
	}
	cluster, can := m.Outcomes.(trier)
	facts := m.Outcomes.Outcome().Facts
	if !can || facts.State != federation.ClusterReady {
		return plan.Answer{Unasked: proposal.Silence(facts, facts.Since)}
	}
	if !slices.ContainsFunc(changed.Apps, func(a federation.AppPlan) bool { return len(a.Objects) > 0 }) {
		return plan.Answer{}
	}
	differences, err := cluster.Try(ctx, changed)
	// Refusals count even if the time ran out: a change may be so large that there is never
	// enough time for all of it.
	answer := proposal.AnswerOf(differences)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		answer.Unasked = untrusted.Textf("%s (%s)", untrusted.Line(strings.TrimSuffix(err.Error(), ": "+context.DeadlineExceeded.Error())), askTimeout)
	case err != nil:
		answer.Unasked = untrusted.Excerpt(err.Error())
	}
	return answer
}
