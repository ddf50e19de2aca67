package proposal

import (
	"context"
	"slices"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/schedule"
	"github.com/fedsync/fedsync/pkg/wire"
)

// Side is one side of a proposed change.
type Side struct {
	plan.Side

	bundles   []federation.Bundle
	rendering []federation.Finding
}

// Render renders a revision. If its fedsync.yaml is refused, the side has no clusters, and
// findings that state the reason.
func Render(ctx context.Context, cfg *config.Config, with preview.RenderFunc, snapshot federation.Snapshot) (*Side, error) {
	s := &Side{Side: plan.Side{Revision: snapshot.Revision}}
	f, err := render.Load(snapshot)
	if err != nil {
		s.Refused, s.Federation, s.rendering = true, &federation.Federation{}, preview.Refusal(snapshot, err)
		return s, nil
	}
	s.Federation = f
	s.bundles, s.rendering, err = preview.Once(ctx, cfg, with, snapshot, f)
	return s, err
}

// Schedule schedules the side by facts, without the excluded clusters.
func (s *Side) Schedule(cfg *config.Config, facts federation.Facts, excluded map[string]string) plan.Side {
	if s.Refused {
		s.Findings = s.rendering
		return s.Side
	}
	s.Plan = schedule.New().Plan(schedule.Input{
		Federation: s.Federation, Revision: s.Revision, Bundles: s.bundles, Facts: facts, Policy: wire.Policy(cfg), Excluded: excluded,
	})
	s.Findings = slices.Concat(s.rendering, s.Plan.Findings)
	return s.Side
}

// ByCluster returns the plans of the clusters by name.
func ByCluster(p federation.Plan) map[string]federation.ClusterPlan {
	all := make(map[string]federation.ClusterPlan, len(p.Clusters))
	for _, c := range p.Clusters {
		all[c.Cluster] = c
	}
	return all
}

// OnlyChanged returns a cluster's plan without the objects that are the same in before.
func OnlyChanged(before, after federation.ClusterPlan) federation.ClusterPlan {
	had := map[federation.ObjectRef]string{}
	for _, app := range before.Apps {
		for _, o := range app.Objects {
			had[o.Ref] = o.Digest
		}
	}
	after.Apps = slices.Clone(after.Apps)
	for i := range after.Apps {
		app := &after.Apps[i]
		var changed []*federation.Object
		app.Withheld = slices.Clone(app.Withheld)
		for _, o := range app.Objects {
			if had[o.Ref] == o.Digest {
				app.Withheld = append(app.Withheld, federation.Withheld{Object: o.Ref, File: o.File, Reason: "it does not change"})
				continue
			}
			changed = append(changed, o)
		}
		app.Objects = changed
	}
	return after
}

// AnswerOf returns a cluster's answer to a dry run.
func AnswerOf(differences []apply.Difference) (answer plan.Answer) {
	for _, d := range differences {
		if d.Action == federation.ActionAdopted {
			answer.Adopted = append(answer.Adopted, d.Object)
		}
		if f, failed := d.Finding(); failed {
			answer.Findings = append(answer.Findings, f)
		}
	}
	return answer
}

// Silence returns why a cluster was not queried.
func Silence(f federation.ClusterFacts, since time.Time) untrusted.Text {
	switch {
	case f.State == federation.ClusterReady || f.State == federation.ClusterPending:
		return untrusted.Textf("no answer within %s", time.Since(since).Round(time.Second))
	case !f.Error.IsZero():
		return untrusted.Textf("%s: %s", f.Failure, f.Error)
	}
	return untrusted.Const("it does not answer")
}
