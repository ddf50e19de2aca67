package keeper

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// How long a failed action pauses. Each pause is twice as long as the one before, from
// firstPause to lastPause. A failure that only a user can fix pauses for longPause at
// once. A new wish ends every pause.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	longPause  = 5 * time.Minute
)

// A fight begins when a resource had to be repaired fightRepairs times within
// fightWindow for the same wish. The resource is then left unchanged for fightPause.
const (
	fightRepairs = 3
	fightWindow  = 10 * time.Minute
	fightPause   = time.Hour
)

// tries holds the results of the last calls. It paces the actions that fail, and reports
// them. It never replaces a read of the resources.
type tries struct {
	failed  map[string]failed // by action
	repairs map[gcp.ID]*repairs
	settled map[gcp.ID]string // the wish of each resource when it was last fulfilled
}

type failed struct {
	action gcp.Action
	wish   string // a failure counts only for this wish
	err    error
	times  int
	first  time.Time
	until  time.Time
}

type repairs struct {
	wish  string
	at    []time.Time
	until time.Time // it is left unchanged until then
	last  gcp.Action
}

func newTries() tries {
	return tries{failed: map[string]failed{}, repairs: map[gcp.ID]*repairs{}, settled: map[gcp.ID]string{}}
}

// wish identifies what an action wants.
func wish(a gcp.Action) string {
	w := fmt.Sprintf("%s %v %v %v", a.Verb, a.Want.Mark, gcp.WithoutKey(a.Want.Spec), a.Endpoints)
	if g, ok := a.Want.Spec.(gcp.Group); ok && a.Verb != gcp.Create {
		g.Endpoints = nil
		w = fmt.Sprintf("%s %v %v", a.Verb, g, a.Endpoints)
	}
	return w
}

func key(a gcp.Action) string {
	first := gcp.Endpoint{}
	if len(a.Endpoints) > 0 {
		first = a.Endpoints[0]
	}
	return fmt.Sprint(a.Verb, " ", a.ID, first)
}

// due returns the indices of the actions that may be tried now.
func (t *tries) due(p gcp.Planned, now time.Time) map[int]bool {
	due := map[int]bool{}
	for i, a := range p.Actions {
		f, known := t.failed[key(a)]
		if known && f.wish == wish(a) && now.Before(f.until) {
			continue
		}
		if r := t.repairs[a.ID]; r != nil && now.Before(r.until) && t.isRepair(a) {
			continue
		}
		if !dependsOnUndue(a, due) {
			due[i] = true
		}
	}
	return due
}

// dependsOnUndue reports whether an action that has to come first is not due.
func dependsOnUndue(a gcp.Action, due map[int]bool) bool {
	return slices.ContainsFunc(a.After, func(i int) bool { return !due[i] })
}

// retries reports whether the pause of a failed action has ended since a time.
func (t *tries) retries(since, now time.Time) bool {
	for _, f := range t.failed {
		if f.until.After(since) && !now.Before(f.until) {
			return true
		}
	}
	return false
}

// tried records the result of an action. The caller states whether it was a repair when
// it began: a later read may already show its effect.
func (t *tries) tried(a gcp.Action, err error, repair bool, now time.Time) {
	k := key(a)
	if err == nil {
		delete(t.failed, k)
		if repair {
			t.repaired(a, now)
		}
		return
	}
	f := t.failed[k]
	if f.wish != wish(a) {
		f = failed{wish: wish(a), first: now}
	}
	f.action, f.err = a, err
	f.times++
	f.until = now.Add(max(pause(classOf(err), f.times), retryAfter(err)))
	t.failed[k] = f
}

// fails reports whether an action has already failed for the same reason.
func (t *tries) fails(a gcp.Action, err error) bool {
	f, known := t.failed[key(a)]
	return known && f.wish == wish(a) && classOf(f.err) == classOf(err)
}

// retryAfter returns how long Compute Engine asks the client to wait, at most longPause.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*gcp.Error](err); ok {
		return min(e.After, longPause)
	}
	return 0
}

func pause(c gcp.Class, times int) time.Duration {
	switch c {
	case gcp.ClassForbidden, gcp.ClassInvalid, gcp.ClassQuota:
		return longPause
	case gcp.ClassConflict, gcp.ClassChanged, gcp.ClassOrder, gcp.ClassRetry:
	}
	return min(firstPause<<min(times-1, 10), lastPause)
}

// update records a plan from a new read. An action that is no longer planned has succeeded
// or is no longer wanted, and a resource without actions is settled.
func (t *tries) update(p gcp.Planned, want gcp.Wanted, now time.Time) {
	planned := map[string]bool{}
	touched := map[gcp.ID]bool{}
	for _, a := range p.Actions {
		planned[key(a)] = true
		touched[a.ID] = true
	}
	for k := range t.failed {
		if !planned[k] {
			delete(t.failed, k)
		}
	}
	for id, r := range want.Resources {
		if !touched[id] {
			t.settled[id] = wishOf(r)
		}
	}
	for id := range t.settled {
		if _, wanted := want.Resources[id]; !wanted {
			delete(t.settled, id)
			delete(t.repairs, id)
		}
	}
	for id, r := range t.repairs {
		r.at = slices.DeleteFunc(r.at, func(at time.Time) bool { return now.Sub(at) > fightWindow })
		if len(r.at) == 0 && now.After(r.until) {
			delete(t.repairs, id)
		}
	}
}

// wishOf identifies the wanted state of a resource. It includes values that change over
// time, such as rates: so an action for a new value is not a repair.
func wishOf(r gcp.Resource) string { return fmt.Sprintf("%v %v", r.Mark, gcp.WithoutKey(r.Spec)) }

// isRepair reports whether an action restores a state that was wanted, and existed,
// before.
func (t *tries) isRepair(a gcp.Action) bool {
	settled, known := t.settled[a.ID]
	return known && settled == wishOf(a.Want)
}

// repaired counts a repair.
func (t *tries) repaired(a gcp.Action, now time.Time) {
	r := t.repairs[a.ID]
	if r == nil || r.wish != wishOf(a.Want) {
		r = &repairs{wish: wishOf(a.Want)}
		t.repairs[a.ID] = r
	}
	r.last = a
	if len(r.at) == 0 || now.Sub(r.at[len(r.at)-1]) > readGap { // several calls of one repair count as one
		r.at = append(r.at, now)
	}
	if len(r.at) >= fightRepairs {
		r.until, r.at = now.Add(fightPause), nil
	}
}

// fights returns the resources that are left unchanged because of a fight, in order.
func (t *tries) fights(now time.Time) []*repairs {
	var all []*repairs
	for _, r := range t.repairs {
		if now.Before(r.until) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *repairs) int { return a.last.ID.Compare(b.last.ID) })
	return all
}

// failures returns the actions that fail, in order.
func (t *tries) failures() []failed {
	var all []failed
	for _, f := range t.failed {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b failed) int {
		if c := a.action.ID.Compare(b.action.ID); c != 0 {
			return c
		}
		return strings.Compare(string(a.action.Verb), string(b.action.Verb))
	})
	return all
}
