package history

import (
	"slices"
	"sync"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// keptReports is how many revisions can be looked up. A report of 13 clusters with 300
// objects each takes some megabytes, so older reports have no objects, endpoints and
// decisions.
const keptReports = 50

// Reports holds the newest report, and the last one of each of the newest revisions. It
// is safe for concurrent use.
type Reports struct {
	mu    sync.Mutex // protects what follows
	last  *status.Report
	bySHA map[string]*status.Report
	order []federation.Revision // newest first
}

// New returns the reports of a process that has made none yet.
func New() *Reports { return &Reports{bySHA: map[string]*status.Report{}} }

// Add makes r the newest report.
func (rs *Reports) Add(r *status.Report) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.last = r
	sha := r.Revision.SHA
	if sha == "" {
		return
	}
	if len(rs.order) == 0 || rs.order[0].SHA != sha {
		if len(rs.order) > 0 {
			rs.shorten(rs.order[0].SHA)
		}
		// A revision may return, by a push that does not descend from the last.
		rs.order = slices.DeleteFunc(rs.order, func(known federation.Revision) bool { return known.SHA == sha })
		rs.order = slices.Insert(rs.order, 0, r.Revision)
		rs.trim()
	}
	rs.bySHA[sha] = r
}

// Update replaces the report of a revision that is not the newest. A revision that this
// process has never seen as the newest is listed right behind the newest.
func (rs *Reports) Update(r *status.Report) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if _, known := rs.bySHA[r.Revision.SHA]; !known {
		if len(rs.order) == 0 {
			return
		}
		rs.order = slices.Insert(rs.order, 1, r.Revision)
		rs.trim()
	}
	rs.bySHA[r.Revision.SHA] = r
}

// trim forgets the oldest revision if there are too many.
func (rs *Reports) trim() {
	if len(rs.order) > keptReports {
		delete(rs.bySHA, rs.order[keptReports].SHA)
		rs.order = rs.order[:keptReports]
	}
}

// shorten drops the objects, the endpoints and the decisions of a report that is not the
// newest any more: they are not needed, and would take most of the memory.
func (rs *Reports) shorten(sha string) {
	short := *rs.bySHA[sha]
	short.Ports, short.Replicas = []federation.PortDecision{}, []federation.ReplicasDecision{}
	short.Clusters = slices.Clone(short.Clusters)
	for i := range short.Clusters {
		short.Clusters[i].Objects, short.Clusters[i].Endpoints = nil, nil
	}
	rs.bySHA[sha] = &short
}

// Newest returns the newest report; nil before the first.
func (rs *Reports) Newest() *status.Report {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.last
}

// Of returns the last report of a revision.
func (rs *Reports) Of(sha string) (*status.Report, bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r, ok := rs.bySHA[sha]
	return r, ok
}

// Revisions lists the revisions that Of knows, newest first.
func (rs *Reports) Revisions() []federation.Revision {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.Clone(rs.order)
}
