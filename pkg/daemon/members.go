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

// memberLoop is one member cluster's own loop.
type memberLoop interface {
	// Want gives it what its cluster should run, and reports whether that is news.
	Want(plan federation.ClusterPlan) bool
	Newest() member.Order
	Outcome() member.Outcome
	// Reconnect has it look whether its connection is still the one configured.
	Reconnect()
	Run(ctx context.Context)
}

// members are the clusters that are kept, each by a loop of its own. The daemon's
// loop owns them.
type members struct {
	newMember func(*federation.Federation, federation.Cluster) memberLoop
	claims    *claim.Writer // nil where nothing is written
	byName    map[string]*running
	leaving   map[string]bool     // those whose clusters left the file, to be emptied
	ending    map[string]*running // those that were stopped and have not ended
	running   sync.WaitGroup

	// What look saw.
	facts    federation.Facts
	outcomes map[string]status.ClusterInput
	findings []federation.Finding      // about the clusters themselves, whatever they run
	seen     map[string]member.Outcome // what all of these were made of
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

// meet gives every cluster of the federation a member, and every one that leaves it
// to be emptied, and ends those of clusters that left it and stay as they are. They
// end with ctx. It waits for none: one whose cluster hangs takes its time to end, and
// its successor waits for it.
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

// hand gives a member what its cluster should run.
func (ms *members) hand(p federation.ClusterPlan) {
	if m := ms.byName[p.Cluster]; m != nil && m.Want(p) {
		// What look saw came of the order before.
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

// reconnect makes every member look whether its connection is still the one that
// the kubeconfig gives.
func (ms *members) reconnect() {
	for _, m := range ms.byName {
		m.Reconnect()
	}
}

// look asks every member what came of its orders, once for all who read it.
func (ms *members) look() {
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
				continue // the probes say more
			}
			if ms.leaving[f.Cluster] {
				f = lenient([]federation.Finding{f})[0]
			}
			ms.findings = append(ms.findings, f)
		}
	}
}

// lenient returns the findings on a cluster that is no member any more.
func lenient(findings []federation.Finding) []federation.Finding {
	for i := range findings {
		if findings[i].Severity == federation.SeverityError {
			findings[i].Severity = federation.SeverityWarning
		}
	}
	return findings
}

// emptied ends the members of clusters that left and of which nothing of ours is
// left, and gives their names.
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

// settled reports whether nothing more was to come of any cluster by itself, when
// look saw it and as far as nothing was handed out since.
func (ms *members) settled() bool {
	for name := range ms.byName {
		o := ms.seen[name]
		if ms.leaving[name] && o.Facts.State != federation.ClusterReady {
			continue // nobody waits for a cluster that left and does not answer
		}
		if !o.Settled() {
			return false
		}
	}
	return true
}

// looked reports whether every cluster had been compared with its order, or did not
// answer, when look saw it and as far as nothing was handed out since.
func (ms *members) looked() bool {
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
