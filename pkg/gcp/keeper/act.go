package keeper

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// concurrentActions is how many calls run at the same time. An operation takes seconds
// to minutes, and all calls share the client's rate limit.
const concurrentActions = 32

// Deed is an action that was executed, whether or not it succeeded.
type Deed struct {
	At     time.Time
	Action gcp.Action
	Took   time.Duration
	Error  untrusted.Text // empty if it succeeded
}

// deeds holds the last deeds, the newest first.
type deeds struct{ all []Deed }

const keptDeeds = 50

func (d *deeds) add(deed Deed) {
	deed.Action.Want.Spec = gcp.WithoutKey(deed.Action.Want.Spec)
	d.all = append([]Deed{deed}, d.all...)
	d.all = d.all[:min(len(d.all), keptDeeds)]
}

// newest returns the deeds. Later calls of add do not change the returned slice.
func (d *deeds) newest() []Deed { return d.all }

// cancelCalls cancels the calls that are under way if this instance may no longer write:
// another one may begin to. The next read shows what they did.
func (k *Keeper) cancelCalls() {
	if k.work.cut != nil && len(k.work.running) > 0 && !k.mayWrite() {
		k.work.cut()
		k.work.cut = nil
	}
}

// work is the plan that is being executed, and the calls under way, of this plan and of
// earlier ones. The goroutine of Run owns it.
type work struct {
	actions   []gcp.Action
	due       map[int]bool // indexes of actions, as in begun and succeeded
	begun     map[int]bool
	succeeded map[int]bool
	plan      int // number of the plan

	running  map[gcp.ID]call // calls under way
	ctx      context.Context // of the calls under way
	cut      func()          // cancels ctx; nil after that
	outcomes chan outcome    // has room for all calls, so that none waits
	calls    sync.WaitGroup
}

// call is an action that is under way.
type call struct {
	plan   int
	action gcp.Action
	repair bool // see tries.isRepair, when the call began
}

// outcome is the result of one action.
type outcome struct {
	plan, at int
	action   gcp.Action
	took     time.Duration
	err      error
}

func newWork() work {
	return work{running: map[gcp.ID]call{}, outcomes: make(chan outcome, concurrentActions)}
}

// busy returns the calls that are under way.
func (w *work) busy() map[gcp.ID]call { return maps.Clone(w.running) }

// active reports whether a call of the newest plan is under way.
func (w *work) active() bool {
	for _, i := range w.running {
		if i.plan == w.plan {
			return true
		}
	}
	return false
}

// older reports whether a call of an earlier plan is under way.
func (w *work) older() bool {
	for _, i := range w.running {
		if i.plan != w.plan {
			return true
		}
	}
	return false
}

// drop forgets the actions that have not begun.
func (w *work) drop() {
	w.plan++
	w.actions, w.due, w.begun, w.succeeded = nil, nil, nil, nil
}

// take replaces the plan by one from newer observations. Calls that were under way when
// the read began may not show in it. So no action of the new plan that hampers them is
// due, nor are the actions that wait for such an action.
func (w *work) take(p gcp.Planned, due map[int]bool, busy map[gcp.ID]call) {
	w.drop()
	w.actions = p.Actions
	w.due, w.begun, w.succeeded = map[int]bool{}, map[int]bool{}, map[int]bool{}
	for i, a := range p.Actions {
		if due[i] && !hampers(a, busy) && !dependsOnUndue(a, w.due) {
			w.due[i] = true
		}
	}
}

// hampers reports whether an action must not run at the same time as the busy calls: it
// touches or needs a resource of theirs, or removes one that they need.
func hampers(a gcp.Action, busy map[gcp.ID]call) bool {
	if _, same := busy[a.ID]; same {
		return true
	}
	for _, ref := range a.Want.References() {
		if _, needed := busy[ref]; needed {
			return true
		}
	}
	if a.Verb != gcp.Detach && a.Verb != gcp.Delete {
		return false
	}
	for _, other := range busy {
		if slices.Contains(other.action.Want.References(), a.ID) {
			return true
		}
	}
	return false
}

// differs reports whether an action is due that is neither under way nor part of the
// plan that is being executed.
func (w *work) differs(p gcp.Planned, due map[int]bool) bool {
	taken := map[string]bool{}
	for i, a := range w.actions {
		if w.due[i] {
			taken[key(a)+wish(a)] = true
		}
	}
	for i, a := range p.Actions {
		if due[i] && !taken[key(a)+wish(a)] && !hampers(a, w.running) {
			return true
		}
	}
	return false
}

// begin begins the due actions whose predecessors have succeeded. Actions that wait for
// a failed one are left to the next read. Nothing begins if this instance may not write.
func (k *Keeper) begin(ctx context.Context) {
	w := &k.work
	for i, a := range w.actions {
		if len(w.running) >= concurrentActions || ctx.Err() != nil || !k.mayWrite() {
			return
		}
		if _, running := w.running[a.ID]; running || w.begun[i] || !w.due[i] || !allOf(w.succeeded, a.After) {
			continue
		}
		if w.cut == nil {
			w.ctx, w.cut = context.WithCancel(ctx) //nolint:fatcontext // one for the calls of several plans
		}
		k.acted = true
		plan, ctx := w.plan, w.ctx
		w.begun[i], w.running[a.ID] = true, call{plan, a, k.tries.isRepair(a)}
		w.calls.Go(func() {
			began := time.Now()
			err := k.cloud.Do(ctx, a)
			if err != nil && ctx.Err() != nil {
				err = ctx.Err() // it was canceled: err describes no fault of the resource
			}
			w.outcomes <- outcome{plan: plan, at: i, action: a, took: time.Since(began), err: err}
		})
	}
}

// finished records the result of an action. When the last call of all plans, or of the
// earlier plans, has ended, another read is due.
func (k *Keeper) finished(ctx context.Context, o outcome) {
	w := &k.work
	repair := w.running[o.action.ID].repair
	delete(w.running, o.action.ID)
	cut := errors.Is(o.err, context.Canceled)
	if (o.err == nil || cut) && o.action.Verb == gcp.Detach {
		k.left[o.action.Want.Mark.Cluster] = time.Now()
	}
	if cut {
		k.again = true // it may still have taken effect
		return
	}
	k.deeds.add(deedOf(o))
	k.logOutcome(o)
	k.tries.tried(o.action, o.err, repair, time.Now())
	if o.plan == w.plan && o.err == nil {
		w.succeeded[o.at] = true
	}
	k.begin(ctx)
	if o.err == nil && (len(w.running) == 0 || o.plan != w.plan && !w.older()) {
		k.again = true
	}
}

func deedOf(o outcome) Deed {
	d := Deed{At: time.Now(), Action: o.action, Took: o.took}
	if o.err != nil {
		d.Error = untrusted.Excerpt(o.err.Error())
	}
	return d
}

// logOutcome logs the result of an action.
func (k *Keeper) logOutcome(o outcome) {
	a := o.action
	fields := []zap.Field{
		zap.String("verb", string(a.Verb)), zap.Stringer("resource", a.ID),
		zap.Strings("fields", a.Fields), zap.Stringer("reason", a.Reason), zap.Duration("took", o.took),
	}
	switch {
	case o.err == nil:
		k.log.Info("Compute Engine resource changed", fields...)
	case classOf(o.err).Transient() || k.tries.fails(a, o.err):
		k.log.Debug("Compute Engine resource not changed yet", append(fields, zap.Error(o.err))...)
	default:
		k.log.Warn("Compute Engine resource not changed", append(fields, zap.Error(o.err))...)
	}
}

func allOf(succeeded map[int]bool, indices []int) bool {
	for _, i := range indices {
		if !succeeded[i] {
			return false
		}
	}
	return true
}

// classOf returns the class of a Cloud's error.
func classOf(err error) gcp.Class {
	if e, ok := errors.AsType[*gcp.Error](err); ok {
		return e.Class
	}
	return gcp.ClassRetry
}
