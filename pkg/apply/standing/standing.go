package standing

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/agenda"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Standing is how far the cluster is from the plan, and why. It is computed from the
// table each time, so that what was fixed is gone from it.
type Standing struct {
	Revision federation.Revision // of the plan; zero before the first
	// Complete means that the cluster matches the plan, and objects to prune are gone.
	Complete bool
	// Tried means that everything was tried, and nothing is under way or about to be.
	// Final means that waiting will not help: only a change in Git or a manual change
	// in the cluster will.
	Tried, Final bool
	// Changes are those made for the revision, and those that failed, sorted. Notes are
	// additional information about them.
	Changes []federation.Change
	Notes   []federation.Finding
	// Findings are the problems of the plan's objects, sorted.
	Findings []federation.Finding
	// Own are the problems of the cluster itself.
	Own []federation.Finding
}

// Of computes the standing of a state at a time. Nothing counts as tried while writes
// to the cluster are not allowed.
func Of(t *state.State, now time.Time, mayWrite bool) Standing {
	plan := agenda.At(t, now)
	x := &report{State: t, now: now}
	s := Standing{
		Revision: t.Plan.Revision,
		Complete: t.Complete(),
		Tried:    plan.Calm && mayWrite,
		Notes:    t.Notes,
		Changes:  x.changesOf(),
		Findings: x.findings(),
		Own:      x.own(),
	}
	s.Final = s.Tried && plan.Final && t.Silent.Err == nil
	return s
}

// report computes one standing.
type report struct {
	*state.State
	now time.Time
}

// changesOf returns the changes that were made, and the current failures.
func (x *report) changesOf() []federation.Change {
	changes := maps.Clone(x.Changes)
	for ref, r := range x.Rows {
		e := x.why(r)
		if e == nil {
			continue
		}
		app := x.Sets[r.PartOf()]
		if r.Want != nil {
			app, ref = r.Want.App, r.Want.Object.Ref
		}
		changes[ref] = federation.Change{Cluster: x.Cluster, App: app, Object: ref, Action: federation.ActionFailed, Err: e}
	}
	for _, e := range x.Clashes {
		changes[e.Object] = federation.Change{Cluster: x.Cluster, App: e.App, Object: e.Object, Action: federation.ActionFailed, Err: e}
	}
	out := slices.Collect(maps.Values(changes))
	slices.SortFunc(out, func(x, y federation.Change) int { return x.Object.Compare(y.Object) })
	return out
}

// why returns the reason why a row does not match the plan: its own failure, or the
// failure of what it depends on.
func (x *report) why(r *state.Row) *refusal.Error {
	if r.Want != nil && x.Settled(r) {
		return nil
	}
	e := r.Failure()
	if e != nil || r.Want == nil {
		return e
	}
	var ground *refusal.Error
	if k := x.Kinds[r.Ref.GroupKind()]; k != nil && k.Mapping == nil {
		ground = k.Last.Err
	}
	if s := x.Spaces[r.Ref.Namespace]; ground == nil && s != nil && s.Last.Err != nil {
		ground = s.Last.Err
	}
	if ground == nil {
		return nil
	}
	e = refusal.New("apply", r.Want.Object.Ref, r.Want.Object.File, ground)
	e.Verb, e.Object, e.File = "apply", r.Want.Object.Ref, r.Want.Object.File
	return e
}

// findings returns the problems of the plan's objects.
func (x *report) findings() []federation.Finding {
	var out []federation.Finding
	for _, e := range x.Clashes {
		out = append(out, e.Finding(x.Cluster, e.App))
	}
	tallies, deleting := x.Tallies(), x.deletingHolders()
	spaces := map[string]string{} // wanted namespaces, each with an app
	for _, r := range x.Sorted() {
		out = append(out, x.rowFindings(r, deleting)...)
		if r.Want != nil && r.Ref.Namespace != "" && !x.Rows[federation.ObjectRef{Kind: "Namespace", Name: r.Ref.Namespace}].Wanted() {
			spaces[r.Ref.Namespace] = cmp.Or(spaces[r.Ref.Namespace], r.Want.App)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(spaces)) {
		if f, ok := x.spaceFinding(name, spaces[name]); ok {
			out = append(out, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.Apps)) {
		out = append(out, x.appFindings(x.Apps[name], tallies[name])...)
	}
	slices.SortFunc(out, federation.Finding.Compare)
	// A finding about the cluster appears once, however many objects it concerns.
	return slices.CompactFunc(out, func(x, y federation.Finding) bool {
		return x.Object == federation.ObjectRef{} && x.Compare(y) == 0
	})
}

// rowFindings returns the problems of one object.
func (x *report) rowFindings(r *state.Row, deleting map[object.Port]*state.Row) []federation.Finding {
	if r.Want == nil {
		return x.leavingFindings(r)
	}
	var out []federation.Finding
	e := x.why(r)
	switch {
	case r.Live != nil && r.Live.Terminating:
		why := "it is created again when it is gone"
		if _, over := x.Over(r); over {
			why = "it ended and is not created again"
		}
		out = append(out, x.deletionFinding(r, r.Want.App, why))
	case e != nil && e.Class == refusal.ClassDeleting:
		f := e.Finding(x.Cluster, r.Want.App)
		f.Severity = federation.SeverityWarning
		out = append(out, f)
	case r.Stopped(x.now):
		f := r.Fight.Refusal(r.Want).Finding(x.Cluster, r.Want.App)
		f.Since = r.Fight.Since
		out = append(out, f)
	case e != nil && e.Class == refusal.ClassNamespace && x.Spaces[r.Ref.Namespace] != nil && !x.Spaces[r.Ref.Namespace].Usable():
		// The namespace has a finding of its own.
	case e != nil && e.Class != refusal.ClassFight:
		out = append(out, e.Finding(x.Cluster, r.Want.App))
	}
	if f, ok := x.failedJobFinding(r); ok {
		out = append(out, f)
	}
	if holder := deletingHolder(r, deleting); holder != nil && e == nil && !r.Settled() {
		out = append(out, federation.Finding{
			ID: federation.FindingNodePortTaken, Severity: federation.SeverityWarning, Cluster: x.Cluster, App: r.Want.App, Object: r.Want.Object.Ref, File: r.Want.Object.File,
			Message: untrusted.Textf("its node port is still held by %s, which is being deleted: %s", holder.Ref, holder.Live.DeletionText()),
			Remedy:  untrusted.Const("wait for the controller that set the finalizer, or remove the finalizer"),
		})
	}
	if r.Live != nil && len(r.Live.Foreign) > 0 {
		out = append(out, x.foreignFinding(r))
	}
	return out
}

// leavingFindings returns the problems of an object that left Git and still exists.
func (x *report) leavingFindings(r *state.Row) []federation.Finding {
	name, ok := x.OwnerOf(r)
	if !ok {
		return nil
	}
	if r.Live.Terminating {
		return []federation.Finding{x.deletionFinding(r, name, "it left Git")}
	}
	if e := r.Failure(); e != nil {
		return []federation.Finding{e.Finding(x.Cluster, name)}
	}
	return nil
}

// failedJobFinding explains how to run a Job again that failed and is gone.
func (x *report) failedJobFinding(r *state.Row) (federation.Finding, bool) {
	e, over := x.Over(r)
	if !over || !e.Failed || r.Live != nil {
		return federation.Finding{}, false
	}
	patch := untrusted.Command(`kubectl -n %s patch configmap %s --type=merge -p %s`,
		federation.SystemNamespace, inventory.ParentName(x.Owner.Federation, r.Want.App), `{"data":{"`+inventory.EndedKey(r.Ref)+`":null}}`)
	return federation.Finding{
		ID: federation.FindingHealth, Severity: federation.SeverityError, Cluster: x.Cluster, App: r.Want.App, Object: r.Want.Object.Ref, File: r.Want.Object.File,
		Message: untrusted.Const("it failed, and its TTL removed it; it is not run again"),
		Remedy:  untrusted.New("change it in Git, or to run it again unchanged: " + patch),
	}, true
}

// deletionFinding returns the finding for an object that is being deleted: a note until
// the deadline, and afterwards a failure that names who must act.
func (x *report) deletionFinding(r *state.Row, app, why string) federation.Finding {
	f := federation.Finding{
		ID: federation.FindingDeleting, Severity: federation.SeverityNote, Cluster: x.Cluster, App: app, Object: r.Ref,
		Message: untrusted.New(why + "; " + r.Live.DeletionText()),
		Remedy:  untrusted.Const("wait for the controller that set the finalizer, or find out why it does not finish"),
		Since:   r.Live.DeletedAt,
	}
	if r.Want != nil {
		f.Object, f.File = r.Want.Object.Ref, r.Want.Object.File
	}
	if x.now.Sub(r.Live.DeletedAt) >= x.Deadline {
		f.Severity = federation.SeverityError
		if len(r.Live.Finalizers) > 0 {
			f.Remedy = untrusted.New("the finalizer " + r.Live.FinalizerText() + " blocks the deletion: find out why its controller does not finish; if the controller is gone, remove the finalizer")
		}
	}
	return f
}

func (x *report) foreignFinding(r *state.Row) federation.Finding {
	var parts []string
	for _, f := range r.Live.Foreign {
		parts = append(parts, fmt.Sprintf("%s (set by %s)", f.Path, f.Manager))
	}
	return federation.Finding{
		ID: federation.FindingForeign, Severity: federation.SeverityWarning, Cluster: x.Cluster, App: r.Want.App,
		Object: r.Want.Object.Ref, File: r.Want.Object.File,
		Message: untrusted.New("fields not in Git: " + strings.Join(parts, ", ")),
		Remedy:  untrusted.Const("add them to Git, or remove them in the cluster; fedsync does not change them"),
	}
}

// deletingHolders returns our Services that are being deleted, by the node ports that
// they still hold.
func (x *report) deletingHolders() map[object.Port]*state.Row {
	out := map[object.Port]*state.Row{}
	for port, rows := range x.PortHolders() {
		for _, r := range rows {
			if r.Live.Terminating {
				out[port] = r
			}
		}
	}
	return out
}

// deletingHolder returns the deleting Service that holds a node port which r should
// take over.
func deletingHolder(r *state.Row, deleting map[object.Port]*state.Row) *state.Row {
	if len(deleting) == 0 {
		return nil
	}
	for _, port := range r.Want.NodePorts() {
		if other := deleting[port]; other != nil && other != r {
			return other
		}
	}
	return nil
}

// own returns the problems of the cluster itself.
func (x *report) own() []federation.Finding {
	e := x.Silent.Err
	if e == nil {
		return nil
	}
	f := federation.Finding{
		// No answer is not yet a failure: the report counts how long it lasts.
		ID: federation.FindingUnreachable, Severity: federation.SeverityWarning, Cluster: x.Cluster,
		Message: untrusted.New("the API server does not answer: " + untrusted.Line(e.Err.Error())),
	}
	switch e.Class { //nolint:exhaustive // examine records only these three
	case refusal.ClassThrottled:
		f.ID, f.Message, f.Remedy = federation.FindingRefused, untrusted.New("the API server is overloaded: "+untrusted.Line(e.Err.Error())), untrusted.New(e.Remedy)
	case refusal.ClassCredentials:
		f.ID, f.Message = federation.FindingCredentials, untrusted.New(e.Err.Error())
	}
	return []federation.Finding{f}
}

// reason returns the API server's message, without the request.
func reason(err error) string {
	if e, ok := errors.AsType[*refusal.Error](err); ok {
		err = e.Err
	}
	return err.Error()
}
