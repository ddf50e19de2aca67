package schedule

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// trafficAway reports whether the load balancers send nothing to a cluster that is
// drained, so that its replicas may go. Before they have been looked at, they may.
func (p *pass) trafficAway(cluster string) bool {
	if !p.Federation.Balances() {
		return true
	}
	for i := range p.Facts.Balancers {
		if c, behind := p.Facts.Balancers[i].Cluster(cluster); behind && c.State != federation.TrafficDrained {
			return false
		}
	}
	return p.Facts.BalancersKnown
}

// keepLast drains no cluster if nothing but drained clusters may run the workload:
// its replicas would have nowhere to go. Whether the others have room for them does
// not matter here: as long as they have not, shift keeps what is Ready, and a choice
// that followed the room would change it, and so itself.
func (w *workload) keepLast() {
	for i := range w.clusters {
		c := &w.clusters[i]
		if (c.standing == up || c.standing == unknown) && !c.drained && w.mayRun(c) {
			return
		}
	}
	for i := range w.clusters {
		c := &w.clusters[i]
		if c.drained && w.mayRun(c) {
			c.drained = false
			w.refused = append(w.refused, c.name)
		}
	}
}

// mayRun reports whether the preferences let the cluster run the workload.
func (w *workload) mayRun(c *placed) bool {
	prefs, named := w.preferences.of(c.name)
	return named && prefs.Max > 0 && (prefs.Weight > 0 || prefs.Min > 0)
}

// undrained says that clusters keep a workload, or some of it, although they are
// drained.
func (p *pass) undrained(w workload, d federation.ReplicasDecision) {
	f := federation.Finding{
		ID: "drain", Severity: federation.SeverityError, App: d.App, Object: d.Object, File: d.File,
		Remedy: fmt.Sprintf("add room or clusters, or take drain out of %s", federation.FileName),
	}
	var keeping []string
	for i, s := range d.Shares {
		if w.clusters[i].drained && s.Replicas > 0 {
			keeping = append(keeping, fmt.Sprintf("%s keeps %d", s.Cluster, s.Replicas))
		}
	}
	switch {
	case d.Total == 0 || len(d.Waits) > 0:
		return
	case len(w.refused) > 0:
		f.Message = list(w.refused) + ": not drained of it, since no other cluster in reach may run it"
	case d.Shortfall > 0 && len(keeping) > 0:
		f.Message = "not drained: " + strings.Join(keeping, ", ") + ", for which the others have no room"
	default:
		return
	}
	p.findings = append(p.findings, f)
}
