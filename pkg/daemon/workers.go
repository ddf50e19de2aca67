package daemon

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// workers are those of all member clusters. The loop owns them.
type workers struct {
	newWorker func(*federation.Federation, federation.Cluster) *worker
	byName    map[string]*worker
	leaving   map[string]bool    // those whose clusters left the file, to be emptied
	ending    map[string]*worker // the last that was stopped of each name
	running   sync.WaitGroup

	// What look saw.
	facts    federation.Facts
	outcomes map[string]status.ClusterInput
	findings []federation.Finding
}

func newWorkers(newWorker func(*federation.Federation, federation.Cluster) *worker) *workers {
	return &workers{newWorker: newWorker, byName: map[string]*worker{}, ending: map[string]*worker{}}
}

// meet gives every cluster of the federation a worker, and every one that leaves
// it to be emptied, and ends those of clusters that left it and stay as they are.
// They end with ctx. It waits for none: a
// worker whose cluster hangs takes its time to end, and its successor waits for it.
func (ws *workers) meet(ctx context.Context, f *federation.Federation, leaving []federation.Cluster) {
	members := map[string]federation.Cluster{}
	ws.leaving = map[string]bool{}
	for _, c := range f.Clusters {
		members[c.Name] = c
	}
	for _, c := range leaving {
		members[c.Name], ws.leaving[c.Name] = c, true
	}
	for name, w := range ws.byName {
		// Another federation's name is another inventory: begin anew.
		c, member := members[name]
		if member && w.fenced() {
			continue // a new one would claim what the other instance writes
		}
		if !member || c.Context != w.cluster.Context || w.federation != f.Name || w.nodePorts != f.NodePorts {
			w.stop()
			delete(ws.byName, name)
			ws.ending[name] = w
		}
	}
	for name, c := range members {
		if ws.byName[name] != nil {
			continue
		}
		w := ws.newWorker(f, c)
		ws.byName[name] = w
		before := ws.ending[name]
		delete(ws.ending, name)
		ctx, stop := context.WithCancel(ctx)
		w.stop, w.ended = stop, make(chan struct{})
		ws.running.Go(func() {
			defer close(w.ended)
			defer stop()
			if before != nil {
				<-before.ended
			}
			w.run(ctx)
		})
	}
}

// hand gives a cluster's worker what its cluster should run.
func (ws *workers) hand(p federation.ClusterPlan) {
	if w := ws.byName[p.Cluster]; w != nil && w.take(p) {
		// What look saw came of the order before.
		if o, ok := ws.outcomes[p.Cluster]; ok {
			o.Current = false
			ws.outcomes[p.Cluster] = o
		}
	}
}

// reconnect makes every worker look whether its connection is still the one that
// the kubeconfig gives.
func (ws *workers) reconnect() {
	for _, w := range ws.byName {
		w.reconnect.ring()
	}
}

// look asks every worker what came of its orders, once for all who read it.
func (ws *workers) look() {
	ws.facts = federation.Facts{Clusters: make(map[string]federation.ClusterFacts, len(ws.byName))}
	ws.outcomes = make(map[string]status.ClusterInput, len(ws.byName))
	ws.findings = nil
	for _, name := range slices.Sorted(maps.Keys(ws.byName)) {
		o := ws.byName[name].outcome()
		ws.facts.Clusters[name] = o.facts
		ws.outcomes[name] = status.ClusterInput{
			Facts:        o.facts,
			Applied:      o.applied,
			Current:      o.current(),
			Changes:      o.changes,
			Synced:       o.changing,
			Observations: o.observations,
		}
		for _, f := range o.findings {
			if ws.leaving[name] && f.Severity == federation.SeverityError {
				f.Severity = federation.SeverityWarning // it is no member any more
			}
			ws.findings = append(ws.findings, f)
		}
	}
}

// emptied ends the workers of clusters that left and of which nothing of ours is
// left, and gives their names.
func (ws *workers) emptied() []string {
	var names []string
	for name := range ws.leaving {
		w := ws.byName[name]
		o := w.outcome()
		if !o.current() || o.blind || w.newestOrder().Early || len(o.facts.Inventory) > 0 {
			continue
		}
		ws.release(name)
		names = append(names, name)
	}
	return names
}

// settled says whether nothing more is to come of any cluster by itself.
func (ws *workers) settled() bool {
	for name, w := range ws.byName {
		o := w.outcome()
		if ws.leaving[name] && o.facts.State != federation.ClusterReady {
			continue // nobody waits for a cluster that left and does not answer
		}
		if !o.settled() {
			return false
		}
	}
	return true
}

// looked says whether every cluster has been compared with its order, or does not
// answer. The orders must have been made of all that is known by now.
func (ws *workers) looked() bool {
	for name, w := range ws.byName {
		o := w.outcome()
		away := o.facts.State != federation.ClusterPending && o.facts.State != federation.ClusterReady
		if (o.handed == 0 || o.tried != o.handed || o.facts.Synced != ws.facts.Clusters[name].Synced) && !away {
			return false
		}
	}
	return true
}

// wait returns when every worker has ended.
func (ws *workers) wait() { ws.running.Wait() }
