package apply

import (
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A Job with a TTL (spec.ttlSecondsAfterFinished) is deleted by Kubernetes some time after
// it ended. To create it again would run it again, and again after its next TTL. So how
// it ended, and for which rendering, is written into the inventory, and it is not created
// until its rendering is another one.
//
// A Job that failed for good is treated alike: its backoffLimit says how often it may be
// tried, and a Job that is run after each TTL has none. Its failure is reported until
// Git changes it, or somebody removes its record.
//
// A Job without a TTL goes only where somebody deletes it, which is the usual way to have
// it run again: it is created again. With a TTL nobody can tell who deleted it: the
// event is the same, and fedsync may not have been there to see it.

// noteEnd notes that the row's Job shows, or showed before it was deleted, that it ended
// for the rendering that Git wants; t.mu is held.
func (t *table) noteEnd(r *row, v object.Live) {
	if v.End == object.Runs || r.want == nil {
		return
	}
	if r.made != r.want.Wish() && (v.PartOf != r.want.PartOf || !t.reader.Hasher.Matches(v.View, r.want.Unstructured().Object)) {
		return // it ended for an earlier rendering
	}
	r.ended = inventory.Ended{Failed: v.End == object.Failed, Digest: r.want.Object.Digest}
	if t.recorded(r) == r.ended {
		r.ended = inventory.Ended{}
	}
}

// recorded is what the inventory says of the end of the row's Job.
func (t *table) recorded(r *row) inventory.Ended {
	a := t.apps[r.want.App]
	if a == nil || !a.parent.Exists() {
		return inventory.Ended{}
	}
	return a.parent.Ended[inventory.EndedKey(r.ref)]
}

// over returns how the row's Job ended, where it ended for the rendering that Git wants
// and is gone, or about to go.
func (t *table) over(r *row) (inventory.Ended, bool) {
	if r.want == nil || r.ref.GroupKind() != object.JobKind || r.live != nil && !r.live.Terminating {
		return inventory.Ended{}, false
	}
	for _, e := range []inventory.Ended{r.ended, t.recorded(r)} {
		if e.Digest == r.want.Object.Digest {
			return e, true
		}
	}
	return inventory.Ended{}, false
}

// recall notes what the inventory of another app, which may have had the row's Job before,
// says of its end: it has not to be run again for being moved.
func (t *table) recall(r *row, from *app) {
	if r.want == nil || r.want.App == from.name || r.ref.GroupKind() != object.JobKind || from.parent.Refusal() != nil {
		return
	}
	if e := from.parent.Ended[inventory.EndedKey(r.ref)]; e.Digest == r.want.Object.Digest && t.recorded(r) != e {
		r.ended = e
	}
}

// settled reports whether there is nothing to be done for the row: the cluster shows what
// Git wants, or showed it for as long as that lasts.
func (t *table) settled(r *row) bool {
	if r.settled() {
		return true
	}
	_, over := t.over(r)
	return over
}

// jobsOf returns how Jobs of the app ended, as far as that is not in its inventory yet,
// the renderings of all its Jobs by their keys, and whether the inventory may list just
// those: not where it is not known what the app has.
func (t *table) jobsOf(a *app) (ended map[string]inventory.Ended, wanted map[string]string, just bool) {
	ended, wanted = map[string]inventory.Ended{}, map[string]string{}
	for _, r := range t.rows {
		if r.want == nil || r.want.App != a.name || r.ref.GroupKind() != object.JobKind {
			continue
		}
		key := inventory.EndedKey(r.ref)
		wanted[key] = r.want.Object.Digest
		if r.ended != (inventory.Ended{}) {
			ended[key] = r.ended
		}
	}
	prune := a.plan.Prune
	just = a.named && !a.plan.Broken && len(a.plan.Withheld) == 0 && (prune == federation.PruneAllowed || prune == federation.PruneOff)
	return ended, wanted, just
}

// records finds the inventories that do not say which Jobs ended, or speak of such that
// left Git.
func (x *reckoning) records() {
	for _, a := range x.sortedApps() {
		if a.flight != nil || !x.isWide(a) || x.isRecorded(a) {
			continue
		}
		if a.last.err != nil {
			x.againAt(a.last, task{typ: taskWiden, app: a})
			continue
		}
		x.holds = true
		x.tasks = append(x.tasks, task{typ: taskWiden, app: a})
	}
}

// isRecorded reports whether the app's inventory says which of its Jobs ended, and
// speaks of no others.
func (t *table) isRecorded(a *app) bool {
	if !a.parent.Exists() || !a.has.Kinds[object.JobKind] && len(a.parent.Ended) == 0 {
		return true
	}
	var w write.ParentWish
	w.Ended, w.Jobs, w.JustJobs = t.jobsOf(a)
	return maps.Equal(w.EndedAfter(a.parent), a.parent.Ended)
}

// forgetRecorded drops what is remembered of ended Jobs beside the inventory that says it:
// who removes a record has the Job run again.
func (t *table) forgetRecorded(a *app) {
	if !a.parent.Exists() || len(a.parent.Ended) == 0 {
		return
	}
	for _, r := range t.rows {
		if r.want != nil && r.want.App == a.name && r.ended != (inventory.Ended{}) && t.recorded(r) == r.ended {
			r.ended = inventory.Ended{}
		}
	}
}

// Ended returns the Jobs of the plan that ended and were deleted after that, sorted, as
// an observer of the cluster would tell of them if they were still there.
func (a *Applier) Ended() []federation.Observation {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []federation.Observation
	for _, r := range t.rows {
		e, over := t.over(r)
		if !over || r.live != nil {
			continue
		}
		o := federation.Observation{
			Cluster: a.Cluster, App: r.want.App, Object: r.ref, Health: federation.Healthy,
			Message: untrusted.Const("completed; its TTL removed it"),
		}
		if e.Failed {
			o.Health, o.Message = federation.Degraded, untrusted.Const("failed; its TTL removed it")
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(x, y federation.Observation) int { return x.Object.Compare(y.Object) })
	return out
}

// failedJobFinding says of a Job that failed and is gone how to have it run again.
func (a *Applier) failedJobFinding(r *row) (federation.Finding, bool) {
	e, over := a.table.over(r)
	if !over || !e.Failed || r.live != nil {
		return federation.Finding{}, false
	}
	patch := untrusted.Command(`kubectl -n %s patch configmap %s --type=merge -p %s`,
		federation.SystemNamespace, inventory.ParentName(a.Federation, r.want.App), `{"data":{"`+inventory.EndedKey(r.ref)+`":null}}`)
	return federation.Finding{
		ID: federation.FindingHealth, Severity: federation.SeverityError, Cluster: a.Cluster, App: r.want.App, Object: r.want.Object.Ref, File: r.want.Object.File,
		Message: untrusted.Const("it failed, and its TTL removed it; it is not run again"),
		Remedy:  untrusted.New("change it in Git, or to run it again as it is: " + patch),
	}, true
}
