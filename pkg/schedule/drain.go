package schedule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/replicas"
)

// trafficAway reports whether the load balancers no longer send traffic to a drained
// cluster, so that its replicas may be removed. Until the load balancers have been read,
// the answer is no.
func (p *pass) trafficAway(cluster string) bool {
	if !p.Federation.Balances() {
		return true
	}
	return p.Facts.BalancersKnown && !p.balancers().serve[cluster]
}

// balancing is what is known about the clusters behind the load balancers.
type balancing struct {
	states map[ingressOf]map[string]federation.TrafficState // by Ingress and cluster; of duplicates, the first
	serve  map[string]bool                                  // clusters that are not drained from every load balancer
}

// ingressOf identifies an Ingress, with the namespace that the API server would use.
type ingressOf struct{ namespace, name string }

func (p *pass) balancers() *balancing {
	if p.behind != nil {
		return p.behind
	}
	p.behind = &balancing{states: map[ingressOf]map[string]federation.TrafficState{}, serve: map[string]bool{}}
	for i := range p.Facts.Balancers {
		b := &p.Facts.Balancers[i]
		states := make(map[string]federation.TrafficState, len(b.Clusters))
		for _, c := range slices.Backward(b.Clusters) {
			states[c.Cluster] = c.State
		}
		for cluster, state := range states {
			if state != federation.TrafficDrained {
				p.behind.serve[cluster] = true
			}
		}
		of := ingressOf{namespaceOf(b.Ingress), b.Ingress.Name}
		if _, again := p.behind.states[of]; !again {
			p.behind.states[of] = states
		}
	}
	return p.behind
}

// undrained reports that drained clusters keep a workload, or part of it.
func (p *pass) undrained(w replicas.Workload, d federation.ReplicasDecision) {
	f := federation.Finding{
		ID: federation.FindingDrain, Severity: federation.SeverityError, App: d.App, Object: d.Object, File: d.File,
		Remedy: untrusted.Textf("add capacity or clusters, or remove drain from %s", federation.FileName),
	}
	var keeping []string
	for i, s := range d.Shares {
		if w.Clusters[i].Drained && s.Replicas > 0 {
			keeping = append(keeping, fmt.Sprintf("%s keeps %d", s.Cluster, s.Replicas))
		}
	}
	switch {
	case d.Total == 0 || len(d.Waits) > 0:
		return
	case len(w.Refused) > 0:
		f.Message = untrusted.New(untrusted.Some(w.Refused, 5) + ": not drained of it, since no other reachable cluster may run it")
	case d.Shortfall > 0 && len(keeping) > 0:
		f.Message = untrusted.New("not drained: " + strings.Join(keeping, ", ") + ", for which the other clusters have no room")
	default:
		return
	}
	p.findings.Add(f)
}
