package daemon

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/status"
)

// memberLoop is the loop of one member cluster.
type memberLoop interface {
	// Want hands over what the cluster should run, and reports whether that is news.
	Want(plan federation.ClusterPlan) bool
	Newest() member.Order
	Outcome() member.Outcome
	// Reconnect makes it check whether its connection is still the one configured.
	Reconnect()
	Run(ctx context.Context)
}

// members are the member clusters, each with its own loop. The daemon's loop owns them.
type members struct {
	newMember func(*federation.Federation, federation.Cluster) memberLoop
	claims    *claim.Writer // nil for read-only
	byName    map[string]*running
	leaving   map[string]bool     // whose clusters left the file and are to be emptied
	ending    map[string]*running // which were stopped and have not ended
	running   sync.WaitGroup

	// The result of read.
	facts    federation.Facts
	outcomes map[string]status.ClusterInput
	findings []federation.Finding      // about the clusters themselves, whatever they run
	seen     map[string]member.Outcome // the source of all of these
}

// running is a member that runs.
type running struct {
	memberLoop
	cluster    federation.Cluster
	federation string // its name
	nodePorts  federation.PortRange
	stop       func()
	ended      chan struct{} // closed when it has ended
}

func newMembers(claims *claim.Writer, newMember func(*federation.Federation, federation.Cluster) memberLoop) *members {
	return &members{newMember: newMember, claims: claims, byName: map[string]*running{}, ending: map[string]*running{}}
}

// meet gives a member to every cluster of the federation and to every cluster that
// leaves it to be emptied. It ends the members of clusters that left and stay as they
// are. Members end with ctx. meet does not wait: a member whose cluster hangs may take
// long to end, and its successor waits for it.
func (ms *members) meet(ctx context.Context, f *federation.Federation, leaving []federation.Cluster, source string) {
	clusters := map[string]federation.Cluster{}
	ms.leaving = map[string]bool{}
	for _, c := range f.Clusters {
		clusters[c.Name] = c
	}
	for _, c := range leaving {
		clusters[c.Name], ms.leaving[c.Name] = c, true
	}
	if ms.claims != nil {
		ms.claims.Members(f.Name, source, slices.Sorted(maps.Keys(clusters)))
	}
	for name, m := range ms.ending {
		select {
		case <-m.ended:
			delete(ms.ending, name)
		default:
		}
	}
	for name, m := range ms.byName {
		// Another federation's name is another inventory: begin from scratch.
		c, kept := clusters[name]
		if !kept || c.Context != m.cluster.Context || m.federation != f.Name || m.nodePorts != f.NodePorts {
			ms.end(name)
		}
	}
	for name, c := range clusters {
		if ms.byName[name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		m := &running{
			memberLoop: ms.newMember(f, c), cluster: c, federation: f.Name, nodePorts: f.NodePorts,
			stop: stop, ended: make(chan struct{}),
		}
		ms.byName[name] = m
		before := ms.ending[name]
		delete(ms.ending, name)
		ms.running.Go(func() {
			defer close(m.ended)
			defer stop()
			if before != nil {
				<-before.ended
			}
			m.Run(ctx)
		})
	}
}

// end stops a member.
func (ms *members) end(name string) {
	m := ms.byName[name]
	m.stop()
	delete(ms.byName, name)
	ms.ending[name] = m
}

// hand hands a member what its cluster should run.
func (ms *members) hand(p federation.ClusterPlan) {
	if m := ms.byName[p.Cluster]; m != nil && m.Want(p) {
		// The outcome that read saw is of the previous order.
		if seen, ok := ms.seen[p.Cluster]; ok {
			seen.Handed = m.Newest().Number
			ms.seen[p.Cluster] = seen
		}
		if o, ok := ms.outcomes[p.Cluster]; ok {
			o.Current = false
			ms.outcomes[p.Cluster] = o
		}
	}
}

// reconnect makes every member check whether its connection is still the one in the
// kubeconfig.
func (ms *members) reconnect() {
	for _, m := range ms.byName {
		m.Reconnect()
	}
}

// read reads every member's outcome, so that everyone sees the same in one turn.
func (ms *members) read() {
	ms.facts = federation.Facts{Clusters: make(map[string]federation.ClusterFacts, len(ms.byName))}
	ms.outcomes = make(map[string]status.ClusterInput, len(ms.byName))
	ms.seen = make(map[string]member.Outcome, len(ms.byName))
	ms.findings = nil
	for _, name := range slices.Sorted(maps.Keys(ms.byName)) {
		o := ms.byName[name].Outcome()
		ms.seen[name] = o
		ms.facts.Clusters[name] = o.Facts
		in := status.ClusterInput{
			Facts:        o.Facts,
			Applied:      o.Applied,
			Current:      o.Current(),
			Revision:     o.Revision,
			Changes:      o.Changes,
			Observations: o.Observations,
		}
		if ms.leaving[name] {
			ms.findings = append(ms.findings, lenient(slices.Concat(o.Findings, o.Own))...)
		} else {
			in.Findings = o.Findings
			ms.findings = append(ms.findings, o.Own...)
		}
		ms.outcomes[name] = in
	}
	if ms.claims != nil {
		for _, f := range ms.claims.Findings() {
			if f.ID != federation.FindingFenced && ms.facts.Clusters[f.Cluster].State != federation.ClusterReady {
				continue // the probes' finding has more detail
			}
			if ms.leaving[f.Cluster] {
				f = lenient([]federation.Finding{f})[0]
			}
			ms.findings = append(ms.findings, f)
		}
	}
}

// lenient turns errors into warnings, for a cluster that is no longer a member.
func lenient(findings []federation.Finding) []federation.Finding {
	for i := range findings {
		if findings[i].Severity == federation.SeverityError {
			findings[i].Severity = federation.SeverityWarning
		}
	}
	return findings
}

// emptied ends the members of clusters that left and have nothing of ours any more,
// and returns their names.
func (ms *members) emptied() []string {
	var names []string
	for name := range ms.leaving {
		m := ms.byName[name]
		o := m.Outcome()
		if !o.Current() || o.Blind || m.Newest().Early || len(o.Facts.Inventory) > 0 {
			continue
		}
		ms.release(name)
		names = append(names, name)
	}
	return names
}

// release ends the member of a cluster that left. What runs there stays.
func (ms *members) release(name string) {
	if ms.byName[name] != nil && ms.leaving[name] {
		ms.end(name)
		delete(ms.leaving, name)
	}
}

// settled reports whether no cluster's outcome would change by itself any more, as of
// the last read and with nothing handed out since.
func (ms *members) settled() bool {
	for name := range ms.byName {
		o := ms.seen[name]
		if ms.leaving[name] && o.Facts.State != federation.ClusterReady {
			continue // it left and does not answer: do not wait for it
		}
		if !o.Settled() {
			return false
		}
	}
	return true
}

// compared reports whether every cluster was compared with its order, or does not answer,
// as of the last read and with nothing handed out since.
func (ms *members) compared() bool {
	for name := range ms.byName {
		o := ms.seen[name]
		away := o.Facts.State != federation.ClusterPending && o.Facts.State != federation.ClusterReady
		if (o.Handed == 0 || o.Begun != o.Handed || !o.Tried) && !away {
			return false
		}
	}
	return true
}

// wait returns when every member has ended.
func (ms *members) wait() { ms.running.Wait() }
