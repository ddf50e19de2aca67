package schedule

import (
	"maps"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Scaled says which workloads an autoscaler of ours sets the replicas of, in which
// clusters.
type scaled map[federation.ObjectRef]map[string]bool

// scale notes that an autoscaler in a cluster targets a workload; none is no news.
func (p *pass) scale(cluster int, ref federation.ObjectRef) {
	if ref == (federation.ObjectRef{}) {
		return
	}
	if p.scaled[ref] == nil {
		p.scaled[ref] = map[string]bool{}
	}
	p.scaled[ref][p.clusters[cluster].Name] = true
}

// scaling is whether an autoscaler of ours sets the replicas of a workload in a cluster.
type scaling int

const (
	// unscaled: Git has none there, or the cluster has not accepted it.
	unscaled scaling = iota
	// autoscaled: the replicas are the autoscaler's.
	autoscaled
	// undecided: Git has one, and it is not known yet whether the cluster has.
	undecided
)

// scaling says who sets the replicas of a workload in a cluster. An autoscaler in Git
// counts once the cluster has it: one that is refused scales nothing. The count that an
// autoscaler set last stays if it goes away: it is about to be made again, and to go to
// Git's number and back would stop or start pods for nothing.
func (p *pass) scaling(cluster int, ref federation.ObjectRef) scaling {
	c := &p.clusters[cluster]
	if !p.scaled[ref][c.Name] {
		return unscaled
	}
	switch {
	case !c.facts.Seen:
		return undecided
	case !c.facts.AutoscalersKnown, c.facts.Autoscaled(ref):
		return autoscaled
	}
	if runs, exists := c.facts.Workload(ref); exists && runs.Scaled {
		return autoscaled
	}
	return unscaled
}

// pending reports whether an autoscaler in Git is missing in a cluster for which it is
// meant: it is on its way, or refused. Until all of them are there, the clusters that
// have theirs keep their part of the number in Git, or it would go to the others.
func (p *pass) pending(ref federation.ObjectRef) bool {
	for i := range p.clusters {
		if p.scaled[ref][p.clusters[i].Name] && p.scaling(i, ref) == unscaled {
			return true
		}
	}
	return false
}

// recallScalers takes autoscalers that could not be read now to be as they were in
// the last plan of which everything could: a broken file must not scale down what
// it was there to scale. Before there was such a plan, nothing is scaled down.
func (p *pass) recallScalers() {
	whole := true
	for _, b := range p.bundles {
		whole = whole && b.Err == nil && !b.refused
	}
	if whole {
		p.Scheduler.scaled = p.scaled
		return
	}
	p.unsure = p.Scheduler.scaled == nil
	for ref, clusters := range p.Scheduler.scaled {
		if p.scaled[ref] == nil {
			p.scaled[ref] = map[string]bool{}
		}
		maps.Copy(p.scaled[ref], clusters)
	}
}

// nodePort gives the number that the last plan decided for a port; 0 for none.
func (s *Scheduler) nodePort(service federation.ObjectRef, protocol string, port int32) int32 {
	for _, d := range s.ports.Of(service) {
		if d.Protocol == protocol && d.Port == port {
			return d.NodePort
		}
	}
	return 0
}
