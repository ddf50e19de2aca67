package daemon

import (
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A revision is one revision of the repository and everything that results from it.
// The loop stores these results nowhere else, so one revision's result cannot be
// reported as another's. Outcomes of members name their revision themselves.
type revision struct {
	snapshot  federation.Snapshot
	firstSeen time.Time
	earlier   string // the SHA of the revision that was in force before it; empty for none

	federation *federation.Federation // nil if fedsync.yaml is refused
	refusal    []federation.Finding   // why it is refused
	context    string                 // of the commit status, if nothing else sets it
	searching  bool                   // for the fallback of a refused revision
	policy     []federation.Finding   // what the operator does not grant the file

	// The following is set when it is rendered, after which it is in force. Partly means
	// that slow apps are missing, which stay as they are in the clusters.
	partly    bool
	bundles   []federation.Bundle
	rendering []federation.Finding // from render
	plan      federation.Plan      // the newest; made again whenever a fact changes
}

// sha identifies the revision; a nil revision has none.
func (r *revision) sha() string {
	if r == nil {
		return ""
	}
	return r.snapshot.Revision.SHA
}

// findings returns the findings of the stages that know only the revision.
func (r *revision) findings() []federation.Finding {
	return slices.Concat(r.refusal, r.policy, r.rendering, r.plan.Findings)
}

// unpruned returns plans that prune nothing yet: an app that is still being rendered may
// contain what another app lost, or define the kinds of its objects.
func unpruned(plans []federation.ClusterPlan) []federation.ClusterPlan {
	plans = slices.Clone(plans)
	for i := range plans {
		plans[i].Apps = slices.Clone(plans[i].Apps)
		for j := range plans[i].Apps {
			if app := &plans[i].Apps[j]; app.Prune == federation.PruneAllowed {
				app.Prune = federation.PruneWaiting
			}
		}
	}
	return plans
}

// A part is what is certain of a revision in one cluster, while the revision is
// still being rendered for others.
type part struct {
	revision *revision
	cluster  federation.Cluster
	bundles  []federation.Bundle
	plan     federation.ClusterPlan
}

// over returns what the cluster should run until the whole is rendered: the apps of the
// part, and all other apps as in the revision in force. It prunes nothing: what one app
// lost may be in another that is not decided yet.
func (p part) over(inForce federation.ClusterPlan) federation.ClusterPlan {
	plan := p.plan
	plan.Apps = slices.Clone(plan.Apps)
	plan.Addresses = inForce.Addresses // the load balancers are those of the revision in force
	taken := map[federation.ObjectRef]bool{}
	for _, app := range p.plan.Apps {
		for _, o := range app.Objects {
			taken[o.Ref] = true
		}
	}
	for _, app := range inForce.Apps {
		if slices.ContainsFunc(p.plan.Apps, func(a federation.AppPlan) bool { return a.App == app.App }) {
			continue
		}
		if app.Prune == federation.PruneAllowed {
			app.Prune = federation.PruneWaiting
		}
		app.Objects = slices.DeleteFunc(slices.Clone(app.Objects), func(o *federation.Object) bool { return taken[o.Ref] })
		plan.Apps = append(plan.Apps, app)
	}
	return plan
}
