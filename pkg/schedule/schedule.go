// Package schedule decides what runs where.
//
// Its input is what render returned for every cluster and app (Bundles) and what the
// clusters report (Facts). Its output is a Plan: which cluster runs which object, one
// node port for each port of a Service in all clusters, and the division of each
// workload's replicas, each with its reason. It is pure: equal input yields an equal
// plan, on any machine and in any order of the input. Planning takes milliseconds, so
// the loop plans again whenever a relevant fact changes.
//
// Start reading at Plan. In its order, standing.go decides which clusters count,
// placement.go places objects, decide.go decides node ports and replicas, write.go
// writes the numbers into the objects, and prune.go decides on deletions.
package schedule

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/ports"
)

// Input is all that a plan depends on.
type Input struct {
	Federation *federation.Federation
	Revision   federation.Revision
	Bundles    []federation.Bundle // what was rendered; unique by cluster and app
	Facts      federation.Facts
	Policy     Policy
	// Leaving are clusters that left the file and are to be emptied.
	Leaving []federation.Cluster
	// Excluded maps clusters that must not be written to the reason. They have no
	// share, and their facts are ignored.
	Excluded map[string]string
	// Unpruned are clusters in which nothing is pruned now.
	Unpruned map[string]bool
}

// included returns the input without the excluded members.
func (in Input) included() Input {
	if len(in.Excluded) == 0 {
		return in
	}
	f := *in.Federation
	f.Clusters = slices.DeleteFunc(slices.Clone(f.Clusters), func(c federation.Cluster) bool { return in.Excluded[c.Name] != "" })
	in.Federation = &f
	return in
}

// excluded returns the plan of a cluster that must not be written.
func (in Input) excluded(cluster string) federation.ClusterPlan {
	return federation.ClusterPlan{Cluster: cluster, Revision: in.Revision, Excluded: in.Excluded[cluster]}
}

// Scheduler makes plans. It caches what it read from objects and wrote into them for
// the next plan, which is mostly the same. Only two things that it remembers affect
// the plan: the node ports that it decided, so that a manual edit is reverted and not
// adopted, and the autoscalers of the last complete plan. Apart from these, another
// Scheduler returns the same plans. It is not safe for concurrent use.
type Scheduler struct {
	library *library
	written memory[writing, *federation.Object]
	ports   ports.Result // of the last plan
	scaled  scaled       // of the last complete plan; nil before the first
}

// New returns a Scheduler.
func New() *Scheduler {
	return &Scheduler{library: newLibrary(), written: newMemory[writing, *federation.Object]()}
}

// Plan returns what every cluster of the federation should run.
func (s *Scheduler) Plan(in Input) federation.Plan {
	p := s.decisions(in.included())
	plan := federation.Plan{Revision: in.Revision, Ports: p.ports.Decisions, Replicas: p.replicas, Ingresses: p.ingresses}
	next := 0 // index in p.clusters, which are the clusters of the file without the excluded ones
	for _, c := range in.Federation.Clusters {
		if in.Excluded[c.Name] != "" {
			plan.Clusters = append(plan.Clusters, in.excluded(c.Name))
			continue
		}
		its := p.cluster(next, p.verdict)
		its.Addresses = p.addresses(next)
		plan.Clusters = append(plan.Clusters, its)
		next++
	}
	plan.Clusters = append(plan.Clusters, p.leave()...)
	plan.Findings = p.findings.Findings()
	s.forget(p)
	return plan
}

// decisions decides what runs where, without writing it into the objects.
func (s *Scheduler) decisions(in Input) *pass {
	p := s.begin(in)
	p.assessClusters()
	p.place()
	p.recallScalers()
	p.decide()
	return p
}

// forget drops what a complete plan did not read or write.
func (s *Scheduler) forget(p *pass) {
	s.library.retain(p.read)
	s.library.marks = p.marks
	s.written.forget()
}

// Provisional returns the part of a cluster's plan that is certain when only the
// cluster's own bundles are known, so that its apply need not wait for the others. These
// are the apps without node ports and replica counts to be decided. The plan never
// prunes, since that depends on every cluster. Apps that it omits stay unchanged.
func (s *Scheduler) Provisional(in Input, c federation.Cluster) federation.ClusterPlan {
	if in.Excluded[c.Name] != "" {
		return in.excluded(c.Name)
	}
	p := s.begin(in)
	p.clusters = []member{{Cluster: c, facts: in.Facts.Of(c.Name)}}
	p.place()
	plan := p.cluster(0, func(app string) federation.PruneVerdict {
		if app := p.apps[app]; app != nil && !app.Prune {
			return federation.PruneOff
		}
		return federation.PruneWaiting
	})
	plan.Apps = slices.DeleteFunc(plan.Apps, func(a federation.AppPlan) bool {
		b := p.bundles[key{c.Name, a.App}]
		return b != nil && slices.ContainsFunc(b.placed, placement.decided)
	})
	plan.Provisional = true
	return plan
}

// pass is the state of one call of Plan.
type pass struct {
	*Scheduler
	Input

	clusters []member
	names    map[string]bool            // of the clusters
	apps     map[string]*federation.App // of the file
	bundles  map[key]*bundle
	verdicts map[string]federation.PruneVerdict
	findings federation.Gathering

	marks     map[key]marked   // of the bundles
	read      map[key]contents // of the bundles
	services  []*service
	workloads []*divided
	scaled    scaled                                // workloads that an autoscaler in Git targets
	unsure    bool                                  // scaled may be incomplete
	departing map[int]map[federation.ObjectRef]bool // by cluster; computed on demand
	holders   map[int]map[federation.ObjectRef]bool // of node ports, by cluster; computed on demand
	behind    *balancing                            // the load balancers; nil until they are needed
	frozen    []string                              // clusters whose absence is attributed to fedsync's own network

	ports     ports.Result
	replicas  []federation.ReplicasDecision
	ingresses []federation.IngressDecision
	classes   map[ingressIn]string // the decided classes
}

type key struct{ cluster, app string }

// bundle is what was rendered of an app for a cluster, and which part of it is placed
// there.
type bundle struct {
	federation.Bundle
	placed   []placement
	withheld []federation.Withheld
	refused  bool // objects that must not be written were omitted
}

func (s *Scheduler) begin(in Input) *pass {
	p := &pass{
		Scheduler: s,
		Input:     in,
		apps:      make(map[string]*federation.App, len(in.Federation.Apps)),
		bundles:   make(map[key]*bundle, len(in.Bundles)),
		verdicts:  map[string]federation.PruneVerdict{},
		marks:     make(map[key]marked, len(in.Bundles)),
		read:      make(map[key]contents, len(in.Bundles)),
		scaled:    scaled{},
		classes:   map[ingressIn]string{},
		departing: map[int]map[federation.ObjectRef]bool{},
		holders:   map[int]map[federation.ObjectRef]bool{},
	}
	for i := range in.Federation.Apps {
		if app := &in.Federation.Apps[i]; p.apps[app.Name] == nil {
			p.apps[app.Name] = app
		}
	}
	for _, b := range in.Bundles {
		p.bundles[key{b.Cluster, b.App}] = p.permitted(b)
	}
	return p
}

// cluster returns the plan of one cluster: the apps that the file places there, in
// the file's order, and then the apps that are only in its inventory, by name.
func (p *pass) cluster(i int, verdict func(app string) federation.PruneVerdict) federation.ClusterPlan {
	c := p.clusters[i]
	plan := federation.ClusterPlan{
		Cluster:          c.Name,
		Revision:         p.Revision,
		CreateNamespaces: p.Federation.CreateNamespaces,
		Early:            !c.facts.Synced,
	}
	inventory := c.facts.Inventory
	if !c.facts.Synced || p.Unpruned[c.Name] {
		// A verdict that was made without this cluster's inventory must not delete
		// anything here, even if it is certain for the other clusters.
		verdict = cautious(verdict)
	}
	known := map[string]bool{}
	for _, app := range p.Federation.Apps {
		known[app.Name] = true
		if !app.Selector.Matches(c.Cluster) {
			if _, left := inventory[app.Name]; left {
				plan.Apps = append(plan.Apps, federation.AppPlan{
					App: app.Name, Adoption: app.Adoption, Prune: verdict(app.Name),
				})
			}
			continue
		}
		plan.Apps = append(plan.Apps, p.app(i, app, verdict))
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

// app returns the plan of an app in a cluster that the app's selector matches.
func (p *pass) app(i int, app federation.App, verdict func(app string) federation.PruneVerdict) federation.AppPlan {
	c := p.clusters[i]
	b := p.bundles[key{c.Name, app.Name}]
	plan := federation.AppPlan{App: app.Name, Adoption: app.Adoption, Prune: verdict(app.Name)}
	if b == nil || b.Err != nil {
		plan.Broken = true
		return plan
	}
	plan.Objects, plan.Withheld = p.write(i, b)
	if had := countable(c.facts.Inventory[app.Name]); plan.Prune == federation.PruneAllowed &&
		len(b.Objects) == 0 && len(had) > 0 && !p.Federation.PruneAllowed() && !allowsAll(app.PruneLimit, len(had)) {
		// An empty rendering is more likely a mistake.
		plan.Prune = federation.PruneHeld
		p.hold(app.Name, c.Name, fmt.Sprintf("app %s renders no objects for the cluster, which would delete %s", app.Name, untrusted.Some(had, 5)))
	}
	return plan
}

// cautious returns verdict with PruneWaiting instead of PruneAllowed.
func cautious(verdict func(app string) federation.PruneVerdict) func(app string) federation.PruneVerdict {
	return func(app string) federation.PruneVerdict {
		if v := verdict(app); v != federation.PruneAllowed {
			return v
		}
		return federation.PruneWaiting
	}
}
