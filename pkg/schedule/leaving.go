package schedule

import (
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// leave returns the plans of the clusters that left the file and are to be emptied.
// Emptying half of the clusters or more in one plan, and more than one, is held.
func (p *pass) leave() []federation.ClusterPlan {
	if len(p.Leaving) == 0 {
		return nil
	}
	verdict := federation.PruneAllowed
	members := len(p.Federation.Clusters) + len(p.Leaving)
	if !p.Federation.PruneAllowed() && takesPlacement(len(p.Leaving), members, federation.PruneLimit{Percent: 10}) {
		verdict = federation.PruneHeld
		names := make([]string, len(p.Leaving))
		for i, c := range p.Leaving {
			names[i] = c.Name
		}
		p.findings.Add(federation.Finding{
			ID: federation.FindingHeld, Severity: federation.SeverityError, File: p.Federation.File(),
			Message: untrusted.Textf("held: %d of %d clusters left the file and would be emptied: %s", len(names), members, strings.Join(names, ", ")),
			Remedy: untrusted.Textf("put them back, set onRemove: Orphan, or push the annotation %s: Allowed on %s",
				federation.AnnotationPrune, federation.FileName),
		})
	}
	plans := make([]federation.ClusterPlan, 0, len(p.Leaving))
	for _, c := range p.Leaving {
		if p.Excluded[c.Name] != "" {
			plans = append(plans, p.excluded(c.Name))
			continue
		}
		facts := p.Facts.Clusters[c.Name]
		plan := federation.ClusterPlan{Cluster: c.Name, Revision: p.Revision, Early: !facts.Synced}
		for _, app := range slices.Sorted(maps.Keys(facts.Inventory)) {
			its := verdict
			if !facts.Synced {
				its = federation.PruneWaiting
			}
			plan.Apps = append(plan.Apps, federation.AppPlan{App: app, Adoption: federation.AdoptNever, Prune: its})
		}
		plans = append(plans, plan)
		p.findings.Add(federation.Finding{
			ID: federation.FindingLeaving, Severity: federation.SeverityWarning, Cluster: c.Name, File: p.Federation.File(),
			Message: untrusted.Textf("the cluster left the file and is being emptied; it is %s", facts.State),
			Remedy:  untrusted.Const("if it will not come back, set onRemove: Orphan to forget it"),
		})
	}
	return plans
}
