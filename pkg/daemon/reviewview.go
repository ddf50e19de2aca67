package daemon

import (
	"maps"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"

	"github.com/fedsync/fedsync/pkg/gcp/keeper"
	"github.com/fedsync/fedsync/pkg/status"
)

// syncPatience is how long plans stand back behind a revision that is on its way to the
// clusters. One that takes longer waits for a cluster, and not for a processor.
const syncPatience = 10 * time.Second

// A view is what the loop tells the reviewer at the end of a turn. It is a value that
// nobody changes.
type view struct {
	tip     string // the newest revision that was found; empty before
	quiet   bool   // no revision is on its way to the clusters
	context string // of the tip's commit statuses
	yielded bool   // another instance speaks of this federation

	facts    federation.Facts
	excluded map[string]string
	members  map[string]*running

	keeper  *keeper.Keeper // nil where there is none
	project string         // where it keeps the load balancers
}

// view is made at the end of each turn, and asks nobody.
func (l *loop) view(report *status.Report) view {
	v := view{
		tip: l.found.SHA, facts: l.members.facts, excluded: l.roll.Excluded(), members: maps.Clone(l.members.byName),
		yielded: l.hasYielded(), keeper: l.cloud.keeper, project: l.cloud.project,
	}
	if l.newest == nil || l.newest.sha() != v.tip {
		return v
	}
	v.context = l.statusSettings().Context
	late := time.Since(l.newest.firstSeen) > syncPatience
	v.quiet = l.newest.refusal != nil || l.newest == l.live && !l.live.partly && (report.State != status.Pending || late)
	return v
}

// see takes what the loop shows. It never blocks.
func (r *reviewer) see(v view) {
	r.mu.Lock()
	r.seen = v
	r.mu.Unlock()
	r.news.Ring()
}

func (r *reviewer) view() view {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}
