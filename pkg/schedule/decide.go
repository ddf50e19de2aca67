package schedule

import (
	"cmp"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/ports"
	"github.com/fedsync/fedsync/pkg/schedule/replicas"
)

// decide decides the node ports of every Service and the replicas of every workload, in
// all clusters.
func (p *pass) decide() {
	p.decidePorts()
	p.decideReplicas()
	p.explainStanding()
}

func (p *pass) decidePorts() {
	in := ports.Input{Range: p.Federation.NodePorts, Clusters: make([]ports.Cluster, len(p.clusters))}
	for i, c := range p.clusters {
		sees := c.facts.State == federation.ClusterReady || c.facts.State == federation.ClusterNotReady
		in.Clusters[i] = ports.Cluster{
			Name:    c.Name,
			Known:   c.facts.PortsKnown && c.facts.Seen,
			Fresh:   c.facts.PortsKnown && c.facts.Synced && sees,
			Lost:    c.standing == replicas.Lost,
			Used:    c.facts.NodePorts,
			Leaving: func(ref federation.ObjectRef) bool { return p.departures(i)[ref] },
		}
	}
	in.Before = p.nodePort
	services := p.affordable()
	for _, s := range services {
		for _, v := range s.variants {
			s.Variants = append(s.Variants, *v)
		}
		in.Services = append(in.Services, s.Service)
	}
	p.ports = ports.Decide(in)
	p.Scheduler.ports = p.ports
	p.findings.Add(p.ports.Findings...)
	for _, s := range services {
		s.decisions = p.ports.Of(s.Ref)
	}
	for _, w := range p.ports.Withheld {
		services[w.Service].withheld[w.Cluster] = &w.Withheld
	}
}

// departures returns the managed Services in a cluster that lose all their node ports by
// this plan: they are pruned there, or change their type.
func (p *pass) departures(i int) map[federation.ObjectRef]bool {
	if found, known := p.departing[i]; known {
		return found
	}
	c := p.clusters[i]
	leaving, stays := map[federation.ObjectRef]bool{}, map[federation.ObjectRef]bool{}
	for _, app := range p.Federation.Apps {
		b := p.bundles[key{c.Name, app.Name}]
		if b == nil || !app.Selector.Matches(c.Cluster) {
			continue
		}
		for _, o := range b.placed {
			if o.object.Ref.Group == "" && o.object.Ref.Kind == "Service" {
				stays[o.object.Ref] = true
				leaving[o.object.Ref] = o.role == nil || o.role.service == nil
			}
		}
		for _, w := range b.withheld {
			stays[w.Object] = true
		}
	}
	for app, refs := range c.facts.Inventory {
		if !c.facts.Synced || p.verdict(app) != federation.PruneAllowed {
			continue
		}
		for _, ref := range refs {
			if ref.Group == "" && ref.Kind == "Service" && !stays[ref] {
				leaving[ref] = true
			}
		}
	}
	p.departing[i] = leaving
	return leaving
}

func (p *pass) decideReplicas() {
	for _, d := range p.workloads {
		if differences, same := d.agree(p.clusters); !same {
			d.refusal = "its renderings state different totals"
			p.findings.Add(federation.Finding{
				ID: federation.FindingReplicas, Severity: federation.SeverityError, App: d.app, Object: d.ref, File: d.variants[0].file,
				Message: untrusted.New("spec.replicas is the total of all clusters, and the overlays differ: " + differences),
				Remedy: untrusted.Textf("set it once, in the base, and set the shares by the weights of the preferences; or set the annotation %s: %s to give each cluster its own count",
					annotationReplicas, replicasPerCluster),
			})
			continue
		}
		if !d.variants[0].wish.stated {
			continue // other controllers set them, in every cluster
		}
		p.unknownPreferences(d)
		w := p.workload(d)
		if len(w.Clusters) == 0 {
			d.shares = nil
			continue // autoscalers set the replicas in every cluster
		}
		w.KeepLast()
		d.decision = len(p.replicas)
		decision := replicas.Decide(w)
		p.short(decision)
		p.undrained(w, decision)
		p.replicas = append(p.replicas, d.withoutScaled(w, decision))
	}
}

// withoutScaled removes from a decision the clusters in which an autoscaler sets the
// replicas. They took part so that the other clusters do not get their share.
func (d *divided) withoutScaled(w replicas.Workload, decision federation.ReplicasDecision) federation.ReplicasDecision {
	shares := decision.Shares[:0]
	for i, s := range decision.Shares {
		for cluster, at := range d.shares {
			if at == i {
				d.shares[cluster] = len(shares)
			}
		}
		if !w.Clusters[i].Scaled {
			shares = append(shares, s)
		}
	}
	decision.Shares = shares
	return decision
}

// unknownPreferences reports names in the preferences that are not clusters. Such a typo
// would only show as an unintended share of another cluster.
func (p *pass) unknownPreferences(d *divided) {
	wish, names := d.variants[0].wish, make([]string, 0)
	for name := range wish.preferences.Clusters {
		if name != replicas.Everywhere && !p.names[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	p.findings.Add(federation.Finding{
		ID: federation.FindingAnnotation, Severity: federation.SeverityWarning, App: d.app, Object: d.ref, File: d.variants[0].file,
		Message: untrusted.New("the preferences name clusters that the federation does not have: " + untrusted.Some(names, 5)),
		Remedy:  untrusted.Const("correct the name, or remove it from the annotation"),
	})
}

// short reports replicas that cannot be placed. While the decision waits for facts, that
// is not known.
func (p *pass) short(d federation.ReplicasDecision) {
	if d.Shortfall <= 0 || len(d.Waits) > 0 {
		return
	}
	p.findings.Add(federation.Finding{
		ID: federation.FindingReplicas, Severity: federation.SeverityError, App: d.App, Object: d.Object, File: d.File,
		Message: untrusted.Textf("%d of %d replicas cannot be placed: %s", d.Shortfall, d.Total, d.Reason),
		Remedy:  untrusted.New("raise the maxima of the preferences, add nodes or clusters, or lower spec.replicas in " + cmp.Or(d.File, "the object")),
	})
}

// workload returns the input of the decision on one workload.
func (p *pass) workload(d *divided) replicas.Workload {
	first := d.variants[0]
	w := replicas.Workload{
		App: d.app, Object: d.ref, File: first.file,
		Key: d.ref.Namespace + "/" + d.ref.Name, Total: first.wish.total, Preferences: first.wish.preferences,
		Frozen: len(p.frozen) > 0, Unsure: p.unsure,
	}
	runs := make([]bool, len(p.clusters))
	for _, v := range d.variants {
		for _, i := range v.clusters {
			runs[i] = true
		}
	}
	pending := p.pending(d.ref)
	d.shares = make([]int, len(p.clusters))
	w.Clusters = make([]replicas.Cluster, 0, len(p.clusters))
	for i := range p.clusters {
		c := &p.clusters[i]
		scaling := p.scaling(i, d.ref)
		if scaling != unscaled && !pending {
			continue
		}
		facts, exists := c.workload(d.ref)
		its := c.standing
		if !runs[i] {
			// An app that could not be rendered for the cluster continues to run there.
			if b := p.bundles[key{c.Name, d.app}]; !exists || b == nil || b.Err == nil {
				continue
			}
			if its == replicas.Up {
				its = replicas.Kept
			}
		}
		d.shares[i] = len(w.Clusters)
		w.Clusters = append(w.Clusters, replicas.Cluster{
			Name: c.Name, Standing: its, Exists: exists,
			Live: facts.Replicas, Ready: facts.Ready, Current: facts.Current,
			Limited: facts.Limited, Capacity: facts.Capacity,
			Drained: its == replicas.Up && c.Drain && p.trafficAway(c.Name),
			Scaled:  scaling != unscaled,
		})
		if scaling != unscaled {
			// The autoscaler's count is not what the cluster would run without it.
			w.Clusters[len(w.Clusters)-1].Current = 0
		}
	}
	return w
}
