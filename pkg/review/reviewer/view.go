package reviewer

import (
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp/keeper"
	"github.com/fedsync/fedsync/pkg/member"
)

// A View is what the loop passes to the reviewer at the end of a turn. It is never modified.
type View struct {
	Tip     string // the newest revision that was found; empty before the first
	Quiet   bool   // no revision is being applied to the clusters
	Context string // of the tip's commit statuses
	Yielded bool   // another instance posts about this federation

	Facts    federation.Facts
	Excluded map[string]string
	Members  map[string]Member

	Keeper  *keeper.Keeper // nil if there is none
	Project string         // the project of its load balancers
}

// A Member is what is known about one cluster.
type Member struct {
	Context, Federation string
	Outcomes            interface{ Outcome() member.Outcome }
}

// See passes a View to the reviewer. It never blocks.
func (r *Reviewer) See(v View) {
	r.mu.Lock()
	r.seen = v
	r.mu.Unlock()
	r.news.Ring()
}

func (r *Reviewer) view() View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}
