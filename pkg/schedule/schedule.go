// Package schedule decides what runs where.
//
// It takes what render gave for every cluster and app (Bundles) and what the
// clusters report (Facts), and gives a Plan: which cluster runs which object, one
// node port for each port of a Service over all clusters, and the replicas of each
// workload divided among them, each with its reason. It is pure: equal input gives
// an equal plan, on any machine and in any order, and it takes milliseconds, so the
// loop runs it again whenever a fact changes that it reads.
//
// Plan tells it in order: placement.go, ports.go, workload.go, prune.go; standing.go
// says which clusters count, and write.go puts the numbers into the objects.
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
	Bundles    []federation.Bundle // what was rendered; each (cluster, app) once
	Facts      federation.Facts
	Policy     Policy
	// Leaving are clusters that left the file and are to be emptied.
	Leaving []federation.Cluster
	// Excluded are clusters that are not to be written, and why: they have no
	// share, and what is known of them counts for nothing.
	Excluded map[string]string
	// Unpruned are clusters where nothing is pruned now.
	Unpruned map[string]bool
}

// included returns the input without the members that are excluded.
func (in Input) included() Input {
	if len(in.Excluded) == 0 {
		return in
	}
	f := *in.Federation
	f.Clusters = slices.DeleteFunc(slices.Clone(f.Clusters), func(c federation.Cluster) bool { return in.Excluded[c.Name] != "" })
	in.Federation = &f
	return in
}

// excluded returns the plan of a cluster that is not to be written.
func (in Input) excluded(cluster string) federation.ClusterPlan {
	return federation.ClusterPlan{Cluster: cluster, Revision: in.Revision, Excluded: in.Excluded[cluster]}
}

// Scheduler plans, and remembers what it read in objects and wrote into them for
// the next plan, which is mostly the same. Two things it remembers matter: the node
// ports that it decided, so that an edit by hand is put back and not followed, and
// the autoscalers of the last plan that was whole. Apart from these another
// Scheduler gives the same plans. It is not safe for concurrent use.
type Scheduler struct {
	library *library
	written memory[writing, *federation.Object]
	ports   ports.Result // of the last plan
	scaled  scaled       // of the last whole plan; nil before it
}

// New makes a Scheduler.
func New() *Scheduler {
	return &Scheduler{library: newLibrary(), written: newMemory[writing, *federation.Object]()}
}

// Plan says what every cluster of the federation should run.
func (s *Scheduler) Plan(in Input) federation.Plan {
	p := s.decisions(in.included())
	plan := federation.Plan{Revision: in.Revision, Ports: p.ports.Decisions, Replicas: p.replicas, Ingresses: p.ingresses}
	next := 0 // of p.clusters, which are those of the file without the excluded
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

// decisions decides what runs where, and writes it into no object yet.
func (s *Scheduler) decisions(in Input) *pass {
	p := s.begin(in)
	p.stand()
	p.place()
	p.recallScalers()
	p.decide()
	return p
}

// forget drops what a whole plan did not read or write.
func (s *Scheduler) forget(p *pass) {
	s.library.keep(p.read)
	s.library.marks = p.marks
	s.written.forget()
}

// Provisional says what one cluster should run as far as that is certain when
// only its own bundles are known, so that its apply need not wait for the rest: the
// apps in which no node port and no replica count is to be decided. It never
// prunes, which needs every cluster too. Apps that it leaves out stay as they are.
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

// pass is one call of Plan on its way.
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
	scaled    scaled                                // workloads that an autoscaler of ours targets
	unsure    bool                                  // some of it may be missing
	departing map[int]map[federation.ObjectRef]bool // by cluster, as far as it was asked for
	holders   map[int]map[federation.ObjectRef]bool // of node ports, by cluster, as far as they were asked for
	behind    *balancing                            // the load balancers; nil until asked for
	frozen    []string                              // clusters whose going is taken for our own fault

	ports     ports.Result
	replicas  []federation.ReplicasDecision
	ingresses []federation.IngressDecision
	classes   map[ingressIn]string // that were decided
}

type key struct{ cluster, app string }

// bundle is what was rendered of an app for a cluster, and what of it is placed
// there.
type bundle struct {
	federation.Bundle
	placed   []placement
	withheld []federation.Withheld
	refused  bool // something was left out that may not be written
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

// cluster gives the plan of one cluster: the apps that the file places there, in
// the file's order, then those that only its inventory knows, by name.
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
		// A verdict that was made without this cluster's inventory is not for it,
		// however well the others are known.
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

// App gives the plan of an app in a cluster that the app's selector chooses.
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
		// Nothing at all is what a mistake looks like.
		plan.Prune = federation.PruneHeld
		p.hold(app.Name, c.Name, fmt.Sprintf("nothing was rendered of app %s for the cluster, which would delete %s", app.Name, untrusted.Some(had, 5)))
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
