package apply

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
)

// A fight is the same field changed back and forth: fightFlips times within
// fightWindow. We stop for a pause that doubles while it goes on.
const (
	fightFlips    = 3
	fightWindow   = 5 * time.Minute
	fightPause    = 5 * time.Minute
	fightPauseMax = time.Hour
)

// wholeObject stands for the path where an object as a whole was changed: it was deleted,
// or lost our label.
const wholeObject = "the object"

// flip is one change by somebody else of a field that we had set.
type flip struct {
	path string
	at   time.Time
}

// fight is a field that we no longer set, for a while.
type fight struct {
	path, by string
	deleted  bool   // what somebody does to it is to delete it
	want     string // what we wanted then: another wish from Git is another chance
	since    time.Time
	until    time.Time
	pause    time.Duration
}

// stopped says whether we leave the object alone because of a fight.
func (r *row) stopped(now time.Time) bool { return r.fight != nil && now.Before(r.fight.until) }

// flip counts a change by somebody else, and starts a fight at the third.
func (r *row) flip(now time.Time, d drift) {
	if f := r.fight; f != nil {
		if now.Sub(f.until) < fightWindow {
			if slices.Contains(d.paths, f.path) { // our new try was answered as before
				f.by, f.pause = d.by, min(2*f.pause, fightPauseMax)
				f.until = now.Add(f.pause)
				return
			}
		} else {
			r.fight = nil // it has been quiet
		}
	}
	recent := r.flips[:0]
	for _, f := range r.flips {
		if now.Sub(f.at) < fightWindow {
			recent = append(recent, f)
		}
	}
	// More paths than these tell nothing new.
	for _, path := range d.paths[:min(len(d.paths), 8)] {
		recent = append(recent, flip{path: path, at: now})
		count := 0
		for _, f := range recent {
			if f.path == path {
				count++
			}
		}
		if count >= fightFlips && !r.stopped(now) {
			r.fight = &fight{path: path, by: d.by, deleted: path == wholeObject && r.remade, want: r.made, since: now, until: now.Add(fightPause), pause: fightPause}
		}
	}
	r.flips = recent
	if r.fight != nil {
		r.flips = nil
	}
}

// settleFight gives an object another chance when Git wants something else of it.
func (r *row) settleFight(want string) {
	if r.fight != nil && r.fight.want != want {
		r.fight, r.flips = nil, nil
	}
}

func (f *fight) error(d *object.Desired) *refusal.Error {
	until := f.until.UTC().Format(time.TimeOnly + " MST")
	if f.deleted {
		return &refusal.Error{
			Verb: "apply", Object: d.Object.Ref, File: d.Object.File, Class: refusal.ClassFight,
			Err:    fmt.Errorf("%s keeps deleting it: it is not created again until %s", f.by, until),
			Remedy: "take it out of Git, or stop who deletes it: the audit log of the API server names them",
		}
	}
	e := &refusal.Error{
		Verb: "apply", Object: d.Object.Ref, File: d.Object.File, Class: refusal.ClassFight,
		Err:    fmt.Errorf("%s keeps changing %s: left as it is until %s", f.by, f.path, until),
		Remedy: fmt.Sprintf("let one of the two own %s: take it out of Git, or stop %s", f.path, f.by),
	}
	if f.path == strings.TrimPrefix(object.ReplicasPath.String(), ".") {
		e.Remedy = "let one of the two own " + f.path + ": take it out of Git, and the count is left to others in every cluster; or delete the autoscaler that sets it"
	}
	return e
}
