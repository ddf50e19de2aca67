package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
)

// In a fight two clients change one field back and forth: FightFlips times within
// fightWindow. We stop for a pause that doubles while the fight lasts.
const (
	FightFlips    = 3
	fightWindow   = 5 * time.Minute
	FightPause    = 5 * time.Minute
	fightPauseMax = time.Hour
)

// WholeObject stands for the path when an object as a whole was changed: it was
// deleted, or lost our label.
const WholeObject = "the object"

// flip is one change by another client to a field that we had set.
type flip struct {
	path string
	at   time.Time
}

// Fight is a field that we do not set for a while.
type Fight struct {
	path, by string
	deleted  bool   // the other client deletes the object
	want     string // what we wanted then: another wish from Git ends the fight
	Since    time.Time
	Until    time.Time
	pause    time.Duration
}

// Stopped reports whether we leave the object unchanged because of a fight.
func (r *Row) Stopped(now time.Time) bool { return r.Fight != nil && now.Before(r.Fight.Until) }

// Flip counts a change by another client, and starts a fight at the third.
func (r *Row) Flip(now time.Time, d Drift) {
	if f := r.Fight; f != nil {
		if now.Sub(f.Until) < fightWindow {
			if slices.Contains(d.Paths, f.path) { // our new try had the same result
				f.by, f.pause = d.By, min(2*f.pause, fightPauseMax)
				f.Until = now.Add(f.pause)
				return
			}
		} else {
			r.Fight = nil // it has been quiet
		}
	}
	recent := r.flips[:0]
	for _, f := range r.flips {
		if now.Sub(f.at) < fightWindow {
			recent = append(recent, f)
		}
	}
	// More paths than these add no information.
	for _, path := range d.Paths[:min(len(d.Paths), 8)] {
		recent = append(recent, flip{path: path, at: now})
		count := 0
		for _, f := range recent {
			if f.path == path {
				count++
			}
		}
		if count >= FightFlips && !r.Stopped(now) {
			r.Fight = &Fight{path: path, by: d.By, deleted: path == WholeObject && r.Remade, want: r.Made, Since: now, Until: now.Add(FightPause), pause: FightPause}
		}
	}
	r.flips = recent
	if r.Fight != nil {
		r.flips = nil
	}
}

// settleFight gives an object another chance when Git wants something different.
func (r *Row) settleFight(want string) {
	if r.Fight != nil && r.Fight.want != want {
		r.Fight, r.flips = nil, nil
	}
}

// Refusal returns why the object is left unchanged.
func (f *Fight) Refusal(d *object.Desired) *refusal.Error {
	until := f.Until.UTC().Format(time.TimeOnly + " MST")
	if f.deleted {
		return &refusal.Error{
			Verb: "apply", Object: d.Object.Ref, File: d.Object.File, Class: refusal.ClassFight,
			Err:    fmt.Errorf("%s keeps deleting it: it is not created again until %s", f.by, until),
			Remedy: "remove it from Git, or stop the client that deletes it: the API server's audit log names it",
		}
	}
	e := &refusal.Error{
		Verb: "apply", Object: d.Object.Ref, File: d.Object.File, Class: refusal.ClassFight,
		Err:    fmt.Errorf("%s keeps changing %s: it is left unchanged until %s", f.by, f.path, until),
		Remedy: fmt.Sprintf("let one of the two own %s: remove it from Git, or stop %s", f.path, f.by),
	}
	if f.path == strings.TrimPrefix(object.ReplicasPath.String(), ".") {
		e.Remedy = "let one of the two own " + f.path + ": remove it from Git, and fedsync leaves the count alone in every cluster; or delete the autoscaler that sets it"
	}
	return e
}
