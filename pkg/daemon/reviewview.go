package daemon

import (
	"time"

	"github.com/fedsync/fedsync/pkg/review/reviewer"
	"github.com/fedsync/fedsync/pkg/status"
)

// syncPatience is how long plans wait for a revision on its way to the clusters. A
// revision that takes longer waits for a cluster, not for a processor.
const syncPatience = 10 * time.Second

// view returns the reviewer's view of the loop at the end of a turn. It does no I/O.
func (l *loop) view(report *status.Report) reviewer.View {
	v := reviewer.View{
		Tip: l.found.SHA, Facts: l.members.facts, Excluded: l.roll.Excluded(), Members: l.planMembers(),
		Yielded: l.hasYielded(), Keeper: l.cloud.keeper, Project: l.cloud.project,
	}
	if l.newest == nil || l.newest.sha() != v.Tip {
		return v
	}
	v.Context = l.statusSettings().Context
	late := time.Since(l.newest.firstSeen) > syncPatience
	v.Quiet = l.newest.refusal != nil || l.newest == l.live && !l.live.partly && (report.State != status.Pending || late)
	return v
}

// planMembers returns the members that can be asked about a plan.
func (l *loop) planMembers() map[string]reviewer.Member {
	all := make(map[string]reviewer.Member, len(l.members.byName))
	for name, m := range l.members.byName {
		all[name] = reviewer.Member{Context: m.cluster.Context, Federation: m.federation, Outcomes: m.memberLoop}
	}
	return all
}

// nudge makes the repository and its pull requests be polled now.
func (d *Daemon) nudge() {
	d.source.Nudge()
	if d.reviewer != nil {
		d.reviewer.Nudge()
	}
}

// planOf returns the text of a head's newest plan, for the page.
func (d *Daemon) planOf(head string) (string, bool) {
	if d.reviewer == nil {
		return "", false
	}
	m, ok := d.reviewer.Plans()[head]
	if !ok {
		return "", false
	}
	return m.Page(), true
}
