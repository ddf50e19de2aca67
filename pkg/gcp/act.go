package gcp

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Calls that run at the same time: an operation takes seconds to minutes, and the
// client's rate limit is shared by all of them.
const concurrentActions = 16

// Deed is an action that was done, or tried.
type Deed struct {
	At     time.Time
	Action Action
	Took   time.Duration
	Error  string // empty where it succeeded
}

// deeds are the last ones, the newest first.
type deeds struct{ all []Deed }

const keptDeeds = 50

func (d *deeds) add(deed Deed) {
	deed.Action.Want.Spec = withoutKey(deed.Action.Want.Spec)
	d.all = append([]Deed{deed}, d.all...)
	d.all = d.all[:min(len(d.all), keptDeeds)]
}

// newest returns them as they are now: what add does later makes another slice.
func (d *deeds) newest() []Deed { return d.all }

// withoutKey drops the private key: what is reported must not hold it at all.
func withoutKey(s Spec) Spec {
	if c, ok := s.(Certificate); ok {
		c.Key = ""
		return c
	}
	return s
}

// outcome is what came of one action.
type outcome struct {
	at   int
	took time.Duration
	err  error
}

// act executes those actions that are due, each as soon as those before it have
// succeeded, and returns how many did. Those that follow from one that failed, or
// that is not due, are left to the next round. When this instance may write no
// longer, nothing more is begun.
func (k *Keeper) act(ctx context.Context, s sight, due map[int]bool) (done int) {
	actions := s.planned.Actions
	succeeded := make([]bool, len(actions))
	begun := make([]bool, len(actions))
	outcomes := make(chan outcome)
	var calls sync.WaitGroup
	defer calls.Wait()
	running := 0
	start := func() {
		for i, a := range actions {
			if running >= concurrentActions || ctx.Err() != nil || !k.mayWrite() {
				return
			}
			if begun[i] || !due[i] || !allOf(succeeded, a.After) {
				continue
			}
			begun[i] = true
			running++
			calls.Go(func() { outcomes <- k.do(ctx, i, a) })
		}
	}
	for start(); running > 0; start() {
		o := <-outcomes
		running--
		a := actions[o.at]
		k.deeds.add(deedOf(a, o))
		k.told(a, o)
		k.tries.tried(a, o.err, time.Now())
		if o.err == nil {
			succeeded[o.at] = true
			done++
			if a.Verb == Detach {
				k.left[a.Want.Mark.Cluster] = time.Now()
			}
		}
	}
	return done
}

func (k *Keeper) do(ctx context.Context, at int, a Action) outcome {
	began := time.Now()
	err := k.cloud.Do(ctx, a)
	return outcome{at: at, took: time.Since(began), err: err}
}

func deedOf(a Action, o outcome) Deed {
	d := Deed{At: time.Now(), Action: a, Took: o.took}
	if o.err != nil {
		d.Error = o.err.Error()
	}
	return d
}

// told logs what was done.
func (k *Keeper) told(a Action, o outcome) {
	fields := []zap.Field{
		zap.String("verb", string(a.Verb)), zap.Stringer("resource", a.ID),
		zap.Strings("fields", a.Fields), zap.String("reason", a.Reason), zap.Duration("took", o.took),
	}
	switch {
	case o.err == nil:
		k.log.Info("changed on Compute Engine", fields...)
	case errors.Is(o.err, context.Canceled):
	case classOf(o.err).passes():
		k.log.Debug("not changed on Compute Engine yet", append(fields, zap.Error(o.err))...)
	default:
		k.log.Warn("not changed on Compute Engine", append(fields, zap.Error(o.err))...)
	}
}

func allOf(succeeded []bool, indices []int) bool {
	for _, i := range indices {
		if !succeeded[i] {
			return false
		}
	}
	return true
}

// classOf returns the class of a Cloud's error.
func classOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassRetry
}

// passes reports whether an error of this class is part of the order of things, and
// is gone after another look.
func (c Class) passes() bool { return c == ClassOrder || c == ClassChanged || c == ClassConflict }
