package daemon

import (
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/roll"
)

// judge determines which clusters the names lead to, by the current facts.
func (l *loop) judge() {
	if l.met == nil {
		return
	}
	sha := l.wanted.sha()
	if l.live != nil {
		sha = l.live.sha()
	}
	l.roll = roll.Of(roll.Input{
		Members:  l.met.Clusters,
		Leaving:  l.leaving,
		Roster:   l.roster,
		Facts:    l.members.facts,
		Servers:  l.servers(l.met.Clusters, l.members.facts),
		Revision: sha,
	})
	if l.readOnly {
		return
	}
	renamed := l.roll.Renamed()
	for _, name := range slices.Sorted(maps.Keys(renamed)) {
		l.log.Info("cluster was renamed and did not leave", zap.String("cluster", name), zap.String("member", renamed[name]))
		l.leaving = slices.DeleteFunc(slices.Clone(l.leaving), func(c federation.Cluster) bool { return c.Name == name })
		l.members.release(name)
	}
	l.remember(l.roll.Roster)
}

// servers returns the servers of the clusters whose uid is not known, from the kubeconfig.
func (d *Daemon) servers(clusters []federation.Cluster, facts federation.Facts) map[string]string {
	return d.kubeconfig.Servers(slices.DeleteFunc(slices.Clone(clusters), func(c federation.Cluster) bool {
		return facts.Clusters[c.Name].UID != ""
	}))
}
