package schedule

import (
	"maps"

	"github.com/fedsync/fedsync/pkg/federation"
)

// scaled says which workloads an autoscaler of ours sets the replicas of, in which
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
	for _, d := range s.ports.of(service) {
		if d.Protocol == protocol && d.Port == port {
			return d.NodePort
		}
	}
	return 0
}
