package apply

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Standing is how far the cluster is from the plan, and why. It is computed from
// the table each time, so that what was corrected is gone from it.
type Standing struct {
	Revision federation.Revision // of the plan; zero before the first
	// Complete says that the cluster is as the plan says, and what was to go is
	// gone.
	Complete bool
	// Tried says that everything was tried, and nothing is under way or about to
	// be; Final, that by itself nothing more will come of it: only a change in Git
	// or somebody's hand in the cluster can do better.
	Tried, Final bool
	// Changes are those made for the revision, and what could not be, sorted; Notes
	// say more about them.
	Changes []federation.Change
	Notes   []federation.Finding
	// Findings are what is wrong with the plan's objects, sorted.
	Findings []federation.Finding
	// Own are what is wrong with the cluster itself.
	Own []federation.Finding
}

// Standing computes how things stand at a time.
func (a *Applier) Standing(now time.Time) Standing {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	plan := t.agendaAt(now)
	s := Standing{
		Revision: t.plan.Revision,
		Complete: t.complete(),
		Tried:    plan.calm && a.mayWrite(),
		Notes:    t.notes,
	}
	s.Final = s.Tried && plan.final && t.silent.err == nil
	s.Changes = a.changesOf()
	s.Findings = a.findings(now)
	s.Own = a.own()
	return s
}

// changesOf are the changes that were made, and the failures that stand.
func (a *Applier) changesOf() []federation.Change {
	t := a.table
	changes := maps.Clone(t.changes)
	for ref, r := range t.rows {
		e := t.why(r)
		if e == nil {
			continue
		}
		app := t.sets[r.partOf()]
		if r.want != nil {
			app, ref = r.want.App, r.want.Object.Ref
		}
		changes[ref] = federation.Change{Cluster: a.Cluster, App: app, Object: ref, Action: federation.ActionFailed, Err: e}
	}
	for _, e := range t.clashes {
		changes[e.Object] = federation.Change{Cluster: a.Cluster, App: e.App, Object: e.Object, Action: federation.ActionFailed, Err: e}
	}
	out := slices.Collect(maps.Values(changes))
	slices.SortFunc(out, func(x, y federation.Change) int { return x.Object.Compare(y.Object) })
	return out
}

// failure is why the row is not as it should be; nil where it is, or where nothing
// has been tried.
func (r *row) failure() *refusal.Error {
	switch {
	case r.want != nil && r.settled():
		return nil
	case r.want == nil && (r.live == nil || r.live.Terminating):
		return nil
	}
	return r.last.err
}

// why is the reason why a row is not as it should be: its own failure, or that of
// what it stands on.
func (t *table) why(r *row) *refusal.Error {
	if r.want != nil && t.settled(r) {
		return nil
	}
	e := r.failure()
	if e != nil || r.want == nil {
		return e
	}
	var ground *refusal.Error
	if k := t.kinds[r.ref.GroupKind()]; k != nil && k.mapping == nil {
		ground = k.last.err
	}
	if s := t.spaces[r.ref.Namespace]; ground == nil && s != nil && s.last.err != nil {
		ground = s.last.err
	}
	if ground == nil {
		return nil
	}
	e = refusal.New("apply", r.want.Object.Ref, r.want.Object.File, ground)
	e.Verb, e.Object, e.File = "apply", r.want.Object.Ref, r.want.Object.File
	return e
}

// findings are what is wrong with the plan's objects; t.mu is held.
func (a *Applier) findings(now time.Time) []federation.Finding {
	t := a.table
	var out []federation.Finding
	for _, e := range t.clashes {
		out = append(out, e.Finding(a.Cluster, e.App))
	}
	tallies, deleting := t.tallies(), t.deletingHolders()
	spaces := map[string]string{} // that are wanted, to an app
	for _, r := range t.sorted() {
		out = append(out, a.rowFindings(r, deleting, now)...)
		if r.want != nil && r.ref.Namespace != "" && !t.rows[federation.ObjectRef{Kind: "Namespace", Name: r.ref.Namespace}].wanted() {
			spaces[r.ref.Namespace] = cmp.Or(spaces[r.ref.Namespace], r.want.App)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(spaces)) {
		if f, ok := a.spaceFinding(name, spaces[name]); ok {
			out = append(out, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.apps)) {
		out = append(out, a.appFindings(t.apps[name], tallies[name])...)
	}
	slices.SortFunc(out, federation.Finding.Compare)
	// What is said of the cluster is said once, whatever number of objects it is about.
	return slices.CompactFunc(out, func(x, y federation.Finding) bool {
		return x.Object == federation.ObjectRef{} && x.Compare(y) == 0
	})
}

// rowFindings are what is wrong with one object.
func (a *Applier) rowFindings(r *row, deleting map[object.Port]*row, now time.Time) []federation.Finding {
	t := a.table
	if r.want == nil {
		return a.leavingFindings(r, now)
	}
	var out []federation.Finding
	e := t.why(r)
	switch {
	case r.live != nil && r.live.Terminating:
		why := "it is created again when it is gone"
		if _, over := t.over(r); over {
			why = "it ended, and is not created again"
		}
		out = append(out, a.deletionFinding(r, r.want.App, why, now))
	case e != nil && e.Class == refusal.ClassDeleting:
		f := e.Finding(a.Cluster, r.want.App)
		f.Severity = federation.SeverityWarning
		out = append(out, f)
	case r.stopped(now):
		f := r.fight.error(r.want).Finding(a.Cluster, r.want.App)
		f.Since = r.fight.since
		out = append(out, f)
	case e != nil && e.Class == refusal.ClassNamespace && t.spaces[r.ref.Namespace] != nil && !t.spaces[r.ref.Namespace].usable():
		// The namespace has a finding of its own.
	case e != nil && e.Class != refusal.ClassFight:
		out = append(out, e.Finding(a.Cluster, r.want.App))
	}
	if f, ok := a.failedJobFinding(r); ok {
		out = append(out, f)
	}
	if holder := deletingHolder(r, deleting); holder != nil && e == nil && !r.settled() {
		out = append(out, federation.Finding{
			ID: federation.FindingNodePortTaken, Severity: federation.SeverityWarning, Cluster: a.Cluster, App: r.want.App, Object: r.want.Object.Ref, File: r.want.Object.File,
			Message: untrusted.Textf("its node port is still held by %s, which is being deleted: %s", holder.ref, holder.live.DeletionText()),
			Remedy:  untrusted.Const("let who set the finalizer finish, or remove it"),
		})
	}
	if r.live != nil && len(r.live.Foreign) > 0 {
		out = append(out, a.foreignFinding(r))
	}
	return out
}

// usable reports whether objects can be made in the namespace, as far as is known.
func (s *space) usable() bool { return !s.known && s.last.err == nil || s.exists && !s.terminating }

// deletingHolders returns the Services of ours that are being deleted, by the node
// ports that they still have.
func (t *table) deletingHolders() map[object.Port]*row {
	out := map[object.Port]*row{}
	for port, rows := range t.portHolders() {
		for _, r := range rows {
			if r.live.Terminating {
				out[port] = r
			}
		}
	}
	return out
}

// deletingHolder returns the one of them that has a node port which r is to take
// over.
func deletingHolder(r *row, deleting map[object.Port]*row) *row {
	if len(deleting) == 0 {
		return nil
	}
	for _, port := range r.want.NodePorts() {
		if other := deleting[port]; other != nil && other != r {
			return other
		}
	}
	return nil
}

// leavingFindings are about an object that left Git and is still there.
func (a *Applier) leavingFindings(r *row, now time.Time) []federation.Finding {
	t := a.table
	name, ok := t.ownerOf(r)
	if !ok {
		return nil
	}
	if r.live.Terminating {
		return []federation.Finding{a.deletionFinding(r, name, "it left Git", now)}
	}
	if e := r.failure(); e != nil {
		return []federation.Finding{e.Finding(a.Cluster, name)}
	}
	return nil
}

// deletionFinding speaks of an object that is being deleted: a note until the
// deadline, and then a failure that says who must act.
func (a *Applier) deletionFinding(r *row, app, why string, now time.Time) federation.Finding {
	f := federation.Finding{
		ID: federation.FindingDeleting, Severity: federation.SeverityNote, Cluster: a.Cluster, App: app, Object: r.ref,
		Message: untrusted.New(why + "; " + r.live.DeletionText()),
		Remedy:  untrusted.Const("wait for who set the finalizer, or find out why it does not finish"),
		Since:   r.live.DeletedAt,
	}
	if r.want != nil {
		f.Object, f.File = r.want.Object.Ref, r.want.Object.File
	}
	if now.Sub(r.live.DeletedAt) >= a.Deadline {
		f.Severity = federation.SeverityError
		if len(r.live.Finalizers) > 0 {
			f.Remedy = untrusted.New("who set the finalizer " + r.live.FinalizerText() + " must act: find out why its controller does not finish; if there is none any more, remove the finalizer")
		}
	}
	return f
}

func (a *Applier) foreignFinding(r *row) federation.Finding {
	var parts []string
	for _, f := range r.live.Foreign {
		parts = append(parts, fmt.Sprintf("%s (set by %s)", f.Path, f.Manager))
	}
	return federation.Finding{
		ID: federation.FindingForeign, Severity: federation.SeverityWarning, Cluster: a.Cluster, App: r.want.App,
		Object: r.want.Object.Ref, File: r.want.Object.File,
		Message: untrusted.New("fields not in Git: " + strings.Join(parts, ", ")),
		Remedy:  untrusted.Const("put them into Git, or remove them in the cluster; fedsync leaves them alone"),
	}
}

// spaceFinding speaks of a namespace in which objects cannot be made.
func (a *Applier) spaceFinding(name, app string) (federation.Finding, bool) {
	t := a.table
	s := t.spaces[name]
	if s == nil || s.usable() {
		return federation.Finding{}, false
	}
	f := federation.Finding{
		ID: federation.FindingNamespace, Severity: federation.SeverityError, Cluster: a.Cluster, App: app,
		Object: federation.ObjectRef{Kind: "Namespace", Name: name},
	}
	switch {
	case s.terminating:
		f.Message = untrusted.New("read: namespace " + name + " is being terminated")
		f.Remedy = untrusted.Const("wait until the namespace is gone; it is created again then")
		if s.message != "" {
			f.Message = untrusted.Textf("%s: %s", f.Message, untrusted.Line(s.message))
		}
		if !t.mayCreate(name) {
			f.Remedy = untrusted.New("wait until it is gone, then " + createSpace(name))
		}
	case s.last.err != nil:
		return s.last.err.Finding(a.Cluster, app), true
	case t.mayCreate(name):
		return federation.Finding{}, false // it is about to be made
	default:
		f.Message = untrusted.Textf("read: namespaces %q not found", name)
		f.Remedy = untrusted.New(createSpace(name) + ", or set createNamespaces: true in " + federation.FileName)
	}
	return f, true
}

func createSpace(name string) string { return untrusted.Command("kubectl create namespace %s", name) }

// appFindings are about an app's inventory, and what it keeps of what left Git.
func (a *Applier) appFindings(of *app, tally *appTally) []federation.Finding {
	t := a.table
	var out []federation.Finding
	if refused := of.parent.Refusal(); refused != nil && len(of.has.Kinds) > 0 {
		return []federation.Finding{refused.Finding(a.Cluster, of.name)}
	}
	e := of.last.err
	switch {
	case e == nil:
	case e.Verb == verbRecord && t.isRecorded(of):
	case e.Verb == verbRecord:
		f := e.Finding(a.Cluster, of.name)
		f.ID, f.Severity = federation.FindingInventory, federation.SeverityWarning
		f.Message = untrusted.New("it cannot be recorded which Jobs ended, so they run again when their TTL has deleted them and fedsync starts again: " + untrusted.Line(e.Err.Error()))
		out = append(out, f)
	case e.Verb == verbNarrow && t.isNarrow(of), e.Verb != verbNarrow && t.wide(of) && (tally == nil || listsAll(of.parent, t.leaving(of, tally.leaving))):
		// It was about what is done by now.
	case e.LeavesNoInventory() && !t.wide(of):
		f := e.Finding(a.Cluster, of.name)
		f.ID, f.Severity = federation.FindingInventory, federation.SeverityWarning
		f.Message = untrusted.New("no inventory can be kept, so nothing is pruned: " + untrusted.Line(e.Err.Error()))
		f.Remedy = untrusted.Const("allow fedsync to create the namespace " + federation.SystemNamespace + " and to write ConfigMaps in it")
		out = append(out, f)
	default:
		out = append(out, e.Finding(a.Cluster, of.name))
	}
	if f, ok := a.keptFinding(of, tally); ok {
		out = append(out, f)
	}
	if f, ok := a.blindFinding(of); ok {
		out = append(out, f)
	}
	return out
}

// blindFinding says of which kinds nothing is pruned, since what there is of them
// cannot be seen.
func (a *Applier) blindFinding(of *app) (federation.Finding, bool) {
	t := a.table
	kinds := t.blind(of)
	if len(kinds) == 0 || !of.named || of.plan.Prune != federation.PruneAllowed {
		return federation.Finding{}, false
	}
	f := federation.Finding{ID: federation.FindingPrune, Severity: federation.SeverityWarning, Cluster: a.Cluster, App: of.name}
	texts := make([]string, len(kinds))
	for i, gk := range kinds {
		err := t.blindness(gk)
		texts[i] = gk.String() + " (" + untrusted.Line(reason(err)) + ")"
		if apierrors.IsForbidden(err) {
			f.Remedy = untrusted.Const("allow fedsync to list and watch them in this cluster")
		}
	}
	f.Message = untrusted.New("nothing is pruned of kinds that are not seen: " + strings.Join(texts, ", "))
	if f.Remedy.IsZero() {
		f.Remedy = untrusted.Const("look why the cluster does not serve them; what left Git is pruned when it does")
	}
	return f, true
}

// reason returns what the API server said, without what was asked.
func reason(err error) string {
	if e, ok := errors.AsType[*refusal.Error](err); ok {
		err = e.Err
	}
	return err.Error()
}

// keptFinding says why objects that left Git are still there.
func (a *Applier) keptFinding(of *app, tally *appTally) (federation.Finding, bool) {
	t := a.table
	if tally == nil || len(tally.leaving) == 0 || of.plan.Broken {
		return federation.Finding{}, false // nothing is known to have left
	}
	var refs []string
	for _, r := range t.leaving(of, tally.leaving) {
		if !r.live.Terminating && r.last.err == nil {
			refs = append(refs, r.ref.String())
		}
	}
	if len(refs) == 0 {
		return federation.Finding{}, false
	}
	f := federation.Finding{ID: federation.FindingPrune, Severity: federation.SeverityNote, Cluster: a.Cluster, App: of.name}
	objects := fmt.Sprintf("%d objects that left Git (%s)", len(refs), untrusted.Some(refs, 3))
	switch {
	case !of.named:
		return federation.Finding{}, false // the plan says nothing of the app
	case of.plan.Prune == federation.PruneHeld:
		f.ID, f.Severity = federation.FindingHeld, federation.SeverityWarning
		f.Message = untrusted.New(objects + " are left: these are too many at once")
		f.Remedy = untrusted.Textf("if they are to go, annotate %s with %s: Allowed", federation.FileName, federation.AnnotationPrune)
	case of.plan.Prune == federation.PruneOff:
		f.Message = untrusted.New(objects + " are left: the app does not prune")
	case of.plan.Prune == federation.PruneWaiting:
		f.Message = untrusted.New(objects + " are left until all clusters are known")
	case t.broken():
		f.Message = untrusted.New(objects + " are left: an app that could not be rendered may have taken them over")
	case tally.unsettled > 0, len(of.plan.Withheld) > 0:
		f.Message = untrusted.New(objects + " are left until every object of the app is applied")
	case !t.wide(of):
		f.Message = untrusted.New(objects + " are left: no inventory can be kept")
	default:
		return federation.Finding{}, false // they are about to be deleted
	}
	return f, true
}

// own are findings about the cluster itself.
func (a *Applier) own() []federation.Finding {
	e := a.table.silent.err
	if e == nil {
		return nil
	}
	f := federation.Finding{
		// No answer is no failure yet: the report counts how long there is none.
		ID: federation.FindingUnreachable, Severity: federation.SeverityWarning, Cluster: a.Cluster,
		Message: untrusted.New("the API server does not answer: " + untrusted.Line(e.Err.Error())),
	}
	switch e.Class { //nolint:exhaustive // examine notes these three
	case refusal.ClassThrottled:
		f.ID, f.Message, f.Remedy = federation.FindingRefused, untrusted.New("the API server has too much to do: "+untrusted.Line(e.Err.Error())), untrusted.New(e.Remedy)
	case refusal.ClassCredentials:
		f.ID, f.Message = federation.FindingCredentials, untrusted.New(e.Err.Error())
	}
	return []federation.Finding{f}
}
