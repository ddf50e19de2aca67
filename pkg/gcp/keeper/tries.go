package keeper

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// How long an action that failed pauses: twice as long each time, from the first to
// the last. What can only change by somebody's hand pauses long at once; another
// wish ends every pause.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	longPause  = 5 * time.Minute
)

// A fight: the same resource had to be put back so often within fightWindow though
// what is wanted stayed the same. Then it is left for fightPause.
const (
	fightRepairs = 3
	fightWindow  = 10 * time.Minute
	fightPause   = time.Hour
)

// tries is what the last calls answered: it paces, and tells of, what does not
// succeed. Nothing of it says what there is: that is looked at.
type tries struct {
	failed  map[string]failed // by action
	repairs map[gcp.ID]*repairs
	settled map[gcp.ID]string // what each resource was wanted to be when it last was so
}

type failed struct {
	action gcp.Action
	wish   string // what was wanted: another wish is another try
	err    error
	times  int
	first  time.Time
	until  time.Time
}

type repairs struct {
	wish  string
	at    []time.Time
	until time.Time // it is left alone until then
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

// dependsOnUndue reports whether something that has to go first is not due.
func dependsOnUndue(a gcp.Action, due map[int]bool) bool {
	return slices.ContainsFunc(a.After, func(i int) bool { return !due[i] })
}

// retries reports whether the pause of something that failed has ended since a time.
func (t *tries) retries(since, now time.Time) bool {
	for _, f := range t.failed {
		if f.until.After(since) && !now.Before(f.until) {
			return true
		}
	}
	return false
}

// tried takes down what came of an action. Whether it was a repair is told by what was
// known when it began: a look may have shown meanwhile what it did.
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
	f.until = now.Add(pause(classOf(err), f.times))
	t.failed[k] = f
}

// fails reports whether an action has failed before for the same reason.
func (t *tries) fails(a gcp.Action, err error) bool {
	f, known := t.failed[key(a)]
	return known && f.wish == wish(a) && classOf(f.err) == classOf(err)
}

func pause(c gcp.Class, times int) time.Duration {
	switch c {
	case gcp.ClassForbidden, gcp.ClassInvalid, gcp.ClassQuota:
		return longPause
	case gcp.ClassConflict, gcp.ClassChanged, gcp.ClassOrder, gcp.ClassRetry:
	}
	return min(firstPause<<min(times-1, 10), lastPause)
}

// saw takes a plan from a look that was just made: what is planned no more has
// succeeded or is wanted no more, and what is as wanted is settled.
func (t *tries) saw(p gcp.Planned, want gcp.Wanted, now time.Time) {
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

// wishOf identifies what a resource is wanted to be. What is written at a pace of its
// own, such as rates, is part of it: a change of a wish is no repair.
func wishOf(r gcp.Resource) string { return fmt.Sprintf("%v %v", r.Mark, gcp.WithoutKey(r.Spec)) }

// isRepair reports whether an action puts back what was as it is wanted before.
func (t *tries) isRepair(a gcp.Action) bool {
	settled, known := t.settled[a.ID]
	return known && settled == wishOf(a.Want)
}

// repaired counts an action that put something back.
func (t *tries) repaired(a gcp.Action, now time.Time) {
	r := t.repairs[a.ID]
	if r == nil || r.wish != wishOf(a.Want) {
		r = &repairs{wish: wishOf(a.Want)}
		t.repairs[a.ID] = r
	}
	r.last = a
	if len(r.at) == 0 || now.Sub(r.at[len(r.at)-1]) > lookGap { // several calls of one repair count once
		r.at = append(r.at, now)
	}
	if len(r.at) >= fightRepairs {
		r.until, r.at = now.Add(fightPause), nil
	}
}

// fights are the resources that are left alone, in order.
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

// failures are the actions that fail, in order.
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
