package standing

import (
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// spaceFinding returns the finding for a namespace in which objects cannot be created.
func (x *report) spaceFinding(name, app string) (federation.Finding, bool) {
	s := x.Spaces[name]
	if s == nil || s.Usable() {
		return federation.Finding{}, false
	}
	f := federation.Finding{
		ID: federation.FindingNamespace, Severity: federation.SeverityError, Cluster: x.Cluster, App: app,
		Object: federation.ObjectRef{Kind: "Namespace", Name: name},
	}
	switch {
	case s.Terminating:
		f.Message = untrusted.New("read: namespace " + name + " is being terminated")
		f.Remedy = untrusted.Const("wait until the namespace is gone; fedsync then creates it again")
		if s.Message != "" {
			f.Message = untrusted.Textf("%s: %s", f.Message, untrusted.Line(s.Message))
		}
		if !x.MayCreate(name) {
			f.Remedy = untrusted.New("wait until it is gone, then " + createSpace(name))
		}
	case s.Last.Err != nil:
		return s.Last.Err.Finding(x.Cluster, app), true
	case x.MayCreate(name):
		return federation.Finding{}, false // it is about to be created
	default:
		f.Message = untrusted.Textf("read: namespaces %q not found", name)
		f.Remedy = untrusted.New(createSpace(name) + ", or set createNamespaces: true in " + federation.FileName)
	}
	return f, true
}

func createSpace(name string) string { return untrusted.Command("kubectl create namespace %s", name) }

// appFindings returns the findings about an app's inventory and the objects it keeps
// that left Git.
func (x *report) appFindings(of *state.App, tally *state.AppTally) []federation.Finding {
	var out []federation.Finding
	if refused := of.Parent.Refusal(); refused != nil && len(of.Has.Kinds) > 0 {
		return []federation.Finding{refused.Finding(x.Cluster, of.Name)}
	}
	e := of.Last.Err
	switch {
	case e == nil:
	case e.Verb == write.VerbRecord && x.IsRecorded(of):
	case e.Verb == write.VerbRecord:
		f := e.Finding(x.Cluster, of.Name)
		f.ID, f.Severity = federation.FindingInventory, federation.SeverityWarning
		f.Message = untrusted.New("cannot record which Jobs ended, so they run again after their TTL deletes them and fedsync restarts: " + untrusted.Line(e.Err.Error()))
		out = append(out, f)
	case e.Verb == write.VerbNarrow && x.IsNarrow(of), e.Verb != write.VerbNarrow && x.Wide(of) && (tally == nil || state.ListsAll(of.Parent, x.Leaving(of, tally.Leaving))):
		// It concerned something that is done by now.
	case e.LeavesNoInventory() && !x.Wide(of):
		f := e.Finding(x.Cluster, of.Name)
		f.ID, f.Severity = federation.FindingInventory, federation.SeverityWarning
		f.Message = untrusted.New("cannot write the inventory, so nothing is pruned: " + untrusted.Line(e.Err.Error()))
		f.Remedy = untrusted.Const("allow fedsync to create the namespace " + federation.SystemNamespace + " and to write ConfigMaps in it")
		out = append(out, f)
	default:
		out = append(out, e.Finding(x.Cluster, of.Name))
	}
	if f, ok := x.keptFinding(of, tally); ok {
		out = append(out, f)
	}
	if f, ok := x.blindFinding(of); ok {
		out = append(out, f)
	}
	return out
}

// blindFinding returns the finding that names the kinds that are not pruned because
// their objects cannot be seen.
func (x *report) blindFinding(of *state.App) (federation.Finding, bool) {
	kinds := x.blind(of)
	if len(kinds) == 0 || !of.Named || of.Plan.Prune != federation.PruneAllowed {
		return federation.Finding{}, false
	}
	f := federation.Finding{ID: federation.FindingPrune, Severity: federation.SeverityWarning, Cluster: x.Cluster, App: of.Name}
	texts := make([]string, len(kinds))
	for i, gk := range kinds {
		err := x.Blindness(gk)
		texts[i] = gk.String() + " (" + untrusted.Line(reason(err)) + ")"
		if apierrors.IsForbidden(err) {
			f.Remedy = untrusted.Const("allow fedsync to list and watch them in this cluster")
		}
	}
	f.Message = untrusted.New("objects of these kinds are not pruned, because they cannot be listed: " + strings.Join(texts, ", "))
	if f.Remedy.IsZero() {
		f.Remedy = untrusted.Const("find out why the cluster does not serve them; objects that left Git are pruned when it does")
	}
	return f, true
}

// keptFinding explains why objects that left Git still exist.
func (x *report) keptFinding(of *state.App, tally *state.AppTally) (federation.Finding, bool) {
	if tally == nil || len(tally.Leaving) == 0 || of.Plan.Broken {
		return federation.Finding{}, false // it is not known what left
	}
	var refs []string
	for _, r := range x.Leaving(of, tally.Leaving) {
		if !r.Live.Terminating && r.Last.Err == nil {
			refs = append(refs, r.Ref.String())
		}
	}
	if len(refs) == 0 {
		return federation.Finding{}, false
	}
	f := federation.Finding{ID: federation.FindingPrune, Severity: federation.SeverityNote, Cluster: x.Cluster, App: of.Name}
	objects := fmt.Sprintf("%d objects that left Git (%s)", len(refs), untrusted.Some(refs, 3))
	switch {
	case !of.Named:
		return federation.Finding{}, false // the plan does not name the app
	case of.Plan.Prune == federation.PruneHeld:
		f.ID, f.Severity = federation.FindingHeld, federation.SeverityWarning
		f.Message = untrusted.New(objects + " are not deleted: too many at once")
		f.Remedy = untrusted.Textf("to delete them, annotate %s with %s: Allowed", federation.FileName, federation.AnnotationPrune)
	case of.Plan.Prune == federation.PruneOff:
		f.Message = untrusted.New(objects + " are not deleted: the app does not prune")
	case of.Plan.Prune == federation.PruneWaiting:
		f.Message = untrusted.New(objects + " are not deleted until all clusters are known")
	case x.Broken():
		f.Message = untrusted.New(objects + " are not deleted: an app that could not be rendered may have taken them over")
	case tally.Unsettled > 0, len(of.Plan.Withheld) > 0:
		f.Message = untrusted.New(objects + " are not deleted until every object of the app is applied")
	case !x.Wide(of):
		f.Message = untrusted.New(objects + " are not deleted: the inventory cannot be written")
	default:
		return federation.Finding{}, false // they are about to be deleted
	}
	return f, true
}

// blind returns those of Unlisted that cannot be seen, according to the cluster.
func (x *report) blind(a *state.App) []schema.GroupKind {
	return slices.DeleteFunc(x.Unlisted(a), func(gk schema.GroupKind) bool { return x.Blindness(gk) == nil })
}
