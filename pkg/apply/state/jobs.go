package state

import (
	"maps"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Kubernetes deletes a Job with a TTL (spec.ttlSecondsAfterFinished) some time after it
// ended. Creating it again would run it again, and again after its next TTL. So the
// inventory records how it ended, and for which rendering, and it is not created until
// its rendering changes.
//
// A Job that failed for good is treated alike: its backoffLimit bounds the tries, and a
// Job that is run after each TTL has no bound. Its failure is reported until Git
// changes it, or a user removes its record.
//
// A Job without a TTL is gone only if a user deleted it, which is the usual way to run
// it again: it is created again. With a TTL it cannot be known who deleted it: the
// event is the same, and fedsync may not have been running.

// NoteEnd records that the row's Job ended for the rendering that Git wants. The live
// object v shows that, or showed it before it was deleted.
func (t *State) NoteEnd(r *Row, v object.Live) {
	if v.End == object.Runs || r.Want == nil {
		return
	}
	if r.Made != r.Want.Wish() && (v.PartOf != r.Want.PartOf || !t.Reader.Hasher.Matches(v.View, r.Want.Unstructured().Object)) {
		return // it ended for an earlier rendering
	}
	r.Ended = inventory.Ended{Failed: v.End == object.Failed, Digest: r.Want.Object.Digest}
	if recorded(t, r) == r.Ended {
		r.Ended = inventory.Ended{}
	}
}

// recorded returns what the inventory records about the end of the row's Job.
func recorded(t *State, r *Row) inventory.Ended {
	a := t.Apps[r.Want.App]
	if a == nil || !a.Parent.Exists() {
		return inventory.Ended{}
	}
	return a.Parent.Ended[inventory.EndedKey(r.Ref)]
}

// Over returns how the row's Job ended, if it ended for the rendering that Git wants
// and is gone or being deleted.
func (t *State) Over(r *Row) (inventory.Ended, bool) {
	if r.Want == nil || r.Ref.GroupKind() != object.JobKind || r.Live != nil && !r.Live.Terminating {
		return inventory.Ended{}, false
	}
	for _, e := range []inventory.Ended{r.Ended, recorded(t, r)} {
		if e.Digest == r.Want.Object.Digest {
			return e, true
		}
	}
	return inventory.Ended{}, false
}

// recall copies the record of how the row's Job ended from the inventory of another
// app, which may have had the Job before. A Job that moves to another app does not run
// again.
func recall(t *State, r *Row, from *App) {
	if r.Want == nil || r.Want.App == from.Name || r.Ref.GroupKind() != object.JobKind || from.Parent.Refusal() != nil {
		return
	}
	if e := from.Parent.Ended[inventory.EndedKey(r.Ref)]; e.Digest == r.Want.Object.Digest && recorded(t, r) != e {
		r.Ended = e
	}
}

// Settled reports whether the row needs no work: the cluster shows what Git wants, or
// showed it for as long as it lasts.
func (t *State) Settled(r *Row) bool {
	if r.Settled() {
		return true
	}
	_, over := t.Over(r)
	return over
}

// jobsOf returns how Jobs of the app ended, unless its inventory records it, and the
// renderings of all its Jobs by their keys. With only, the inventory should list no
// other Jobs; it is false where it is not known what the app has.
func jobsOf(t *State, a *App) (ended map[string]inventory.Ended, wanted map[string]string, only bool) {
	ended, wanted = map[string]inventory.Ended{}, map[string]string{}
	for _, r := range t.Rows {
		if r.Want == nil || r.Want.App != a.Name || r.Ref.GroupKind() != object.JobKind {
			continue
		}
		key := inventory.EndedKey(r.Ref)
		wanted[key] = r.Want.Object.Digest
		if r.Ended != (inventory.Ended{}) {
			ended[key] = r.Ended
		}
	}
	prune := a.Plan.Prune
	only = a.Named && !a.Plan.Broken && len(a.Plan.Withheld) == 0 && (prune == federation.PruneAllowed || prune == federation.PruneOff)
	return ended, wanted, only
}

// IsRecorded reports whether the app's inventory records which of its Jobs ended, and
// no others.
func (t *State) IsRecorded(a *App) bool {
	if !a.Parent.Exists() || !a.Has.Kinds[object.JobKind] && len(a.Parent.Ended) == 0 {
		return true
	}
	var w write.ParentWish
	w.Ended, w.Jobs, w.OnlyJobs = jobsOf(t, a)
	return maps.Equal(w.EndedAfter(a.Parent), a.Parent.Ended)
}

// forgetRecorded drops from memory how Jobs ended where the inventory records it, so
// that removing a record makes the Job run again.
func forgetRecorded(t *State, a *App) {
	if !a.Parent.Exists() || len(a.Parent.Ended) == 0 {
		return
	}
	for _, r := range t.Rows {
		if r.Want != nil && r.Want.App == a.Name && r.Ended != (inventory.Ended{}) && recorded(t, r) == r.Ended {
			r.Ended = inventory.Ended{}
		}
	}
}
