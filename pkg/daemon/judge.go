package daemon

import (
	"slices"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
)

// judge finds out which clusters the names lead to, by what is known now.
func (l *loop) judge() {
	if l.federation == nil {
		return
	}
	var anonymous []federation.Cluster
	for _, c := range l.federation.Clusters {
		if l.workers.facts.Clusters[c.Name].UID == "" {
			anonymous = append(anonymous, c)
		}
	}
	l.roll = newRoll(rollInput{
		Members:  l.federation.Clusters,
		Leaving:  l.leaving,
		Roster:   l.roster,
		Facts:    l.workers.facts,
		Servers:  l.kubeconfig.Servers(anonymous),
		Revision: l.revision.SHA,
	})
	if l.readOnly {
		return
	}
	for _, name := range l.roll.those(clusterRenamed) {
		l.log.Info("cluster did not leave, it has another name",
			zap.String("cluster", name), zap.String("member", l.roll.Verdicts[name].Member))
		l.leaving = slices.DeleteFunc(slices.Clone(l.leaving), func(c federation.Cluster) bool { return c.Name == name })
		l.workers.release(name)
	}
	l.remember(l.roll.Roster)
}

// unpruned returns the clusters where nothing is pruned now.
func (r roll) unpruned() map[string]bool {
	var all map[string]bool
	for _, name := range r.those(clusterReplaced) {
		if all == nil {
			all = map[string]bool{}
		}
		all[name] = true
	}
	return all
}

// release ends the worker of a cluster that left. What runs there stays.
func (ws *workers) release(name string) {
	w := ws.byName[name]
	if w == nil || !ws.leaving[name] {
		return
	}
	w.stop()
	delete(ws.byName, name)
	delete(ws.leaving, name)
	ws.ending[name] = w
}

// stayOut leaves a cluster alone that is excluded. There is no more to come of the
// order, and the cluster is not equal to it.
func (s *session) stayOut() {
	s.pending = false
	number := s.order.number
	s.worker.mu.Lock()
	known := s.now.tried == number && s.now.final
	s.worker.mu.Unlock()
	if known {
		return // nothing to tell the loop
	}
	s.update(func(o *outcome) { o.tried, o.final = number, true })
}
