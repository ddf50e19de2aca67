// Package schedule decides what runs where.
//
// It takes what render gave for every cluster and app (Bundles) and what the
// clusters report (Facts), and gives a Plan. It is pure: equal input gives an
// equal plan, on any machine and in any order, and it takes milliseconds, so the
// loop runs it again whenever a fact changes that it reads.
//
// Apps are placed by their selectors, and each app gets a verdict on pruning.
// Node ports and replica counts pass through as they stand in Git.
package schedule

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Policy is the operator's word on what a repository may touch. The zero Policy
// allows everything.
type Policy struct {
	Namespaces []string // the only namespaces allowed; empty for all
	Kinds      []string // the only kinds allowed, as KIND or KIND.GROUP; empty for all
}

// Input is all that a plan depends on.
type Input struct {
	Federation *federation.Federation
	Revision   federation.Revision
	Bundles    []federation.Bundle // what was rendered; each (cluster, app) once
	Facts      federation.Facts
	Policy     Policy
}

// Plan says what every cluster of the federation should run.
func Plan(in Input) federation.Plan {
	s := newScheduler(in)
	plan := federation.Plan{Revision: in.Revision}
	for _, c := range in.Federation.Clusters {
		plan.Clusters = append(plan.Clusters, s.cluster(c, s.verdict))
	}
	plan.Findings = slices.Concat(s.findings, unmetSettings(in.Federation))
	return plan
}

// Provisional says what one cluster should run when only its own bundles are
// known yet, so that its apply need not wait for the rest. It never prunes: that
// decision needs every cluster.
func Provisional(in Input, c federation.Cluster) federation.ClusterPlan {
	return newScheduler(in).cluster(c, func(app string) federation.PruneVerdict {
		if app := in.Federation.App(app); app != nil && !app.Prune {
			return federation.PruneOff
		}
		return federation.PruneWaiting
	})
}

type scheduler struct {
	Input

	bundles  map[key]federation.Bundle
	refused  map[key]bool // the policy left something out
	verdicts map[string]federation.PruneVerdict
	findings []federation.Finding
}

type key struct{ cluster, app string }

func newScheduler(in Input) *scheduler {
	s := &scheduler{
		Input:    in,
		bundles:  make(map[key]federation.Bundle, len(in.Bundles)),
		refused:  map[key]bool{},
		verdicts: map[string]federation.PruneVerdict{},
	}
	for _, b := range in.Bundles {
		s.bundles[key{b.Cluster, b.App}] = s.permitted(b)
	}
	return s
}

// cluster gives the plan of one cluster: the apps that the file places there, in
// the file's order, then those that only its inventory knows, by name.
func (s *scheduler) cluster(c federation.Cluster, verdict func(app string) federation.PruneVerdict) federation.ClusterPlan {
	plan := federation.ClusterPlan{
		Cluster:          c.Name,
		Revision:         s.Revision,
		CreateNamespaces: s.Federation.CreateNamespaces,
	}
	facts := s.Facts.Clusters[c.Name]
	inventory := facts.Inventory
	if !facts.Synced {
		// A verdict that was made without this cluster's inventory is not for it,
		// however well the others are known.
		verdict = cautious(verdict)
	}
	known := map[string]bool{}
	for _, app := range s.Federation.Apps {
		known[app.Name] = true
		if !app.Selector.Matches(c) {
			if len(inventory[app.Name]) > 0 {
				plan.Apps = append(plan.Apps, federation.AppPlan{
					App: app.Name, Adoption: app.Adoption, Prune: verdict(app.Name),
				})
			}
			continue
		}
		b, rendered := s.bundles[key{c.Name, app.Name}]
		p := federation.AppPlan{
			App:      app.Name,
			Objects:  b.Objects,
			Adoption: app.Adoption,
			Prune:    verdict(app.Name),
			Broken:   !rendered || b.Err != nil,
		}
		if had := countable(inventory[app.Name]); p.Prune == federation.PruneAllowed &&
			len(p.Objects) == 0 && len(had) > 0 && !s.Federation.PruneAllowed() && !allowsAll(app.PruneLimit, len(had)) {
			// Nothing at all is what a mistake looks like.
			p.Prune = federation.PruneHeld
			s.hold(app.Name, c.Name, fmt.Sprintf("nothing was rendered of app %s for the cluster, which would delete %s", app.Name, list(had)))
		}
		plan.Apps = append(plan.Apps, p)
	}
	for _, app := range slices.Sorted(maps.Keys(inventory)) {
		if !known[app] {
			plan.Apps = append(plan.Apps, federation.AppPlan{
				App: app, Adoption: federation.AdoptNever, Prune: verdict(app),
			})
		}
	}
	return plan
}

// cautious makes a verdict wait that would prune.
func cautious(verdict func(app string) federation.PruneVerdict) func(app string) federation.PruneVerdict {
	return func(app string) federation.PruneVerdict {
		if v := verdict(app); v != federation.PruneAllowed {
			return v
		}
		return federation.PruneWaiting
	}
}

// permitted leaves out of a bundle what the operator's policy does not allow,
// with a finding for each object.
func (s *scheduler) permitted(b federation.Bundle) federation.Bundle {
	if len(s.Policy.Namespaces) == 0 && len(s.Policy.Kinds) == 0 {
		return b
	}
	kept := make([]*federation.Object, 0, len(b.Objects))
	for _, o := range b.Objects {
		reason := s.Policy.refusal(o.Ref)
		if reason == "" {
			kept = append(kept, o)
			continue
		}
		s.refused[key{b.Cluster, b.App}] = true
		s.findings = append(s.findings, federation.Finding{
			ID: "policy", Severity: federation.SeverityError,
			Cluster: b.Cluster, App: b.App, Object: o.Ref, File: o.File,
			Message: reason,
			Remedy:  "remove the object from the repository, or let the operator of fedsync allow it",
		})
	}
	b.Objects = kept
	return b
}

// refusal gives the reason why the policy refuses an object; empty if it does not.
func (p Policy) refusal(ref federation.ObjectRef) string {
	namespace := ref.Namespace
	if ref.Group == "" && ref.Kind == "Namespace" {
		namespace = ref.Name
	}
	switch gk := ref.GroupKind(); {
	case len(p.Kinds) > 0 && !slices.Contains(p.Kinds, gk.Kind) && !slices.Contains(p.Kinds, gk.String()):
		return fmt.Sprintf("kind %s is not allowed here; allowed: %s", gk, strings.Join(p.Kinds, ", "))
	case len(p.Namespaces) > 0 && namespace == "":
		return fmt.Sprintf("objects without a namespace are not allowed here; allowed namespaces: %s", strings.Join(p.Namespaces, ", "))
	case len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, namespace):
		return fmt.Sprintf("namespace %s is not allowed here; allowed: %s", namespace, strings.Join(p.Namespaces, ", "))
	}
	return ""
}

// unmetSettings names what the file asks for and this version does not do, so
// that nobody waits for it.
func unmetSettings(f *federation.Federation) []federation.Finding {
	var findings []federation.Finding
	add := func(setting, instead string) {
		findings = append(findings, federation.Finding{
			ID: "unsupported", Severity: federation.SeverityWarning, File: federation.FileName,
			Message: setting + " has no effect in this version", Remedy: instead,
		})
	}
	if f.GCP != nil {
		add("spec.gcp", "reserve the address and open the firewall by hand")
	}
	if f.OnRemove == federation.OnRemoveDelete {
		add("spec.onRemove: Delete", "a cluster that leaves the file is left as it is")
	}
	if len(f.Failover.ConfirmedLost) > 0 {
		add("spec.failover.confirmLost", "replicas are not moved between clusters")
	}
	return findings
}

// Ignored names the annotations of rendered objects that ask for what this version
// does not do: an object that is meant for some clusters must not go to all of them
// without a word.
func Ignored(bundles []federation.Bundle) []federation.Finding {
	annotations := [][]byte{
		[]byte(`"federation.alpha.kubernetes.io/cluster-selector"`),
		[]byte(`"federation.kubernetes.io/replica-set-preferences"`),
		[]byte(`"federation.kubernetes.io/deployment-preferences"`),
		[]byte(`"fedsync.dev/replicas"`),
	}
	seen := map[*federation.Object]bool{} // clusters share objects
	var findings []federation.Finding
	for _, b := range bundles {
		for _, o := range b.Objects {
			if seen[o] {
				continue
			}
			seen[o] = true
			for _, a := range annotations {
				if bytes.Contains(o.JSON, a) {
					findings = append(findings, federation.Finding{
						ID: "unsupported", Severity: federation.SeverityWarning, App: b.App, Object: o.Ref, File: o.File,
						Message: fmt.Sprintf("the annotation %s has no effect in this version", a),
						Remedy:  "use the app's clusterSelector, and replicas in each cluster's overlay",
					})
				}
			}
		}
	}
	slices.SortFunc(findings, federation.Finding.Compare)
	return slices.CompactFunc(findings, func(a, b federation.Finding) bool { return a == b })
}
