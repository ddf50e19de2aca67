package diagnose

import (
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// autoscalers reports autoscalers that set replicas that Git states: fedsync and the
// autoscaler revert each other's writes.
func (x *diagnosis) autoscalers() {
	for _, m := range x.seen() {
		if !m.facts.AutoscalersKnown {
			continue
		}
		for _, a := range m.facts.Autoscalers {
			if a.Ours || m.plans(a.Object()) {
				continue // in Git, or about to be pruned
			}
			w := m.plannedAs(a.Target)
			if w == nil || w.pods == nil || w.pods.replicas == nil {
				continue
			}
			name := "HorizontalPodAutoscaler " + a.Name
			if a.Owner != "" {
				name += " of " + a.Owner
			}
			x.found = append(x.found, found{folds: true, Finding: federation.Finding{
				ID: federation.FindingAutoscaler, Severity: federation.SeverityNote,
				Cluster: m.name, App: w.app, Object: w.Ref, File: w.File,
				Message: untrusted.Textf("%s, which is not in Git, sets the replicas that Git states", name),
				Remedy:  untrusted.Textf("remove spec.replicas from %s to leave the count to autoscalers in every cluster; or add the autoscaler to Git", w.File),
			}})
		}
	}
}
