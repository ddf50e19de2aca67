package schedule

import (
	"maps"

	"github.com/fedsync/fedsync/pkg/federation"
)

// scaled records the workloads whose replicas an autoscaler in Git sets, and in which
// clusters.
type scaled map[federation.ObjectRef]map[string]bool

// scale records that an autoscaler for a cluster targets a workload. It ignores an empty
// reference.
func (p *pass) scale(cluster int, ref federation.ObjectRef) {
	if ref == (federation.ObjectRef{}) {
		return
	}
	if p.scaled[ref] == nil {
		p.scaled[ref] = map[string]bool{}
	}
	p.scaled[ref][p.clusters[cluster].Name] = true
}

// scaling is whether an autoscaler in Git sets the replicas of a workload in a cluster.
type scaling int

const (
	// unscaled: Git has no autoscaler, or the cluster has not accepted it.
	unscaled scaling = iota
	// autoscaled: an autoscaler sets the replicas.
	autoscaled
	// undecided: Git has an autoscaler, and it is not known whether the cluster has it.
	undecided
)

// scaling returns who sets the replicas of a workload in a cluster. An autoscaler in Git
// counts as soon as the cluster has it, since a refused one scales nothing. If it is
// deleted, the count that it set last stays: it is about to be created again, and a
// temporary change to Git's number would stop or start pods for nothing.
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

// pending reports whether an autoscaler in Git is missing in one of its clusters: it is
// about to be created, or refused. While any is missing, the clusters that have theirs
// keep their part of the number in Git. Otherwise the others would get that part.
func (p *pass) pending(ref federation.ObjectRef) bool {
	for i := range p.clusters {
		if p.scaled[ref][p.clusters[i].Name] && p.scaling(i, ref) == unscaled {
			return true
		}
	}
	return false
}

// recallScalers assumes that autoscalers that cannot be read now are as they were in the
// last complete plan: a broken file must not scale down a workload that it autoscales.
// Before the first complete plan, nothing is scaled down.
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

// nodePort returns the number that the last plan decided for a port; 0 for none.
func (s *Scheduler) nodePort(service federation.ObjectRef, protocol string, port int32) int32 {
	for _, d := range s.ports.Of(service) {
		if d.Protocol == protocol && d.Port == port {
			return d.NodePort
		}
	}
	return 0
}
