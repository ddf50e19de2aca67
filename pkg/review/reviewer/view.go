package reviewer

import (
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp/keeper"
	"github.com/fedsync/fedsync/pkg/member"
)

// A View is what the loop tells the reviewer at the end of a turn. It is a value that
// nobody changes.
type View struct {
	Tip     string // the newest revision that was found; empty before
	Quiet   bool   // no revision is on its way to the clusters
	Context string // of the tip's commit statuses
	Yielded bool   // another instance speaks of this federation

	Facts    federation.Facts
	Excluded map[string]string
	Members  map[string]Member

	Keeper  *keeper.Keeper // nil where there is none
	Project string         // where it keeps the load balancers
}

// A Member is one cluster's side, as it is known.
type Member struct {
	Context, Federation string
	Outcomes            interface{ Outcome() member.Outcome }
}

// See takes what the loop shows. It never blocks.
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
