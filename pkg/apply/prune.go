package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// prune deletes what the apps no longer have, where it may.
func (p *pass) prune(ctx context.Context) {
	for _, app := range p.apps {
		leaving := p.leaving(app)
		unlisted := p.unlisted(app)
		if !p.mayPrune(app) || app.anyFailed || len(app.Withheld) > 0 {
			p.explain(app, leaving)
			continue
		}
		if len(unlisted) > 0 {
			p.note(app, federation.Finding{
				ID: "prune", Severity: federation.SeverityWarning, Cluster: p.Cluster, App: app.App,
				Message: "nothing is pruned of kinds that are not watched: " + strings.Join(unlisted, ", "),
				Remedy:  "allow fedsync to list and watch them in this cluster",
			})
			p.retryLater()
		}
		for _, group := range deletionOrder(leaving) {
			each(ctx, p, group, func(ref federation.ObjectRef) { p.remove(ctx, app, ref) })
		}
		app.pruned = !app.anyFailed && len(unlisted) == 0 && !p.over(ctx)
	}
}

// mayPrune says whether the plan and the inventory let the app's objects be
// deleted.
func (p *pass) mayPrune(app *appPass) bool {
	return app.Prune == federation.PruneAllowed && !app.Broken && !p.broken && app.inventory
}

// explain says why objects that left Git are still there.
func (p *pass) explain(app *appPass, leaving []federation.ObjectRef) {
	if len(leaving) == 0 || app.blocked != nil {
		return
	}
	f := federation.Finding{ID: "prune", Severity: federation.SeverityNote, Cluster: p.Cluster, App: app.App}
	objects := fmt.Sprintf("%d objects that left Git (%s)", len(leaving), describeRefs(leaving))
	switch {
	case app.Broken:
		return // nothing is known to have left
	case app.Prune == federation.PruneHeld:
		f.ID, f.Severity = "held", federation.SeverityWarning
		f.Message = objects + " are left: these are too many at once"
		f.Remedy = fmt.Sprintf("if they are to go, annotate %s with %s: Allowed", federation.FileName, federation.AnnotationPrune)
	case app.Prune == federation.PruneOff:
		f.Message = objects + " are left: the app does not prune"
	case app.Prune == federation.PruneWaiting:
		f.Message = objects + " are left until all clusters are known"
	case p.broken:
		f.Message = objects + " are left: an app that could not be rendered may have taken them over"
	case app.anyFailed, len(app.Withheld) > 0:
		f.Message = objects + " are left until every object of the app is applied"
	default:
		f.Message = objects + " are left: no inventory can be kept"
	}
	p.note(app, f)
}

// leaving gives the objects of the app's inventory that nobody wants any more,
// sorted. They bear the app's label and an entry of ours, no controller made
// them, their kind is in the parent's list and has been listed. A Namespace is
// never among them, whoever made it.
func (p *pass) leaving(app *appPass) []federation.ObjectRef {
	p.mu.Lock()
	defer p.mu.Unlock()
	parent := p.parents[app.App]
	if parent == nil || parent.version == "" {
		return nil
	}
	var out []federation.ObjectRef
	for ref, rec := range p.objects {
		owner, ok := p.ownerOf(rec)
		if !ok || owner != app.App || p.desired[ref] != nil || rec.live.terminating || ref.GroupKind() == namespaceKind || app.withholds(ref) {
			continue
		}
		if parent.kinds[ref.GroupKind()] && p.listedResource(rec.resource.GroupResource()) {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, federation.ObjectRef.Compare)
	return out
}

// unlisted gives the kinds of the parent's list that no list has been read of.
func (p *pass) unlisted(app *appPass) []string {
	var kinds []schema.GroupKind
	p.mu.Lock()
	if parent := p.parents[app.App]; parent != nil {
		kinds = slices.Collect(maps.Keys(parent.kinds))
	}
	p.mu.Unlock()
	var out []string
	for _, gk := range kinds {
		mapping, err := p.mapping(schema.GroupVersionKind{Group: gk.Group, Kind: gk.Kind})
		if meta.IsNoMatchError(err) {
			continue // the kind is gone, and its objects with it
		}
		p.mu.Lock()
		listed := err == nil && p.listedResource(mapping.Resource.GroupResource())
		p.mu.Unlock()
		if !listed {
			out = append(out, groupKindName(gk))
		}
	}
	slices.Sort(out)
	return out
}

// listedResource says whether the resource was listed in any version; p.mu is
// held.
func (p *pass) listedResource(gr schema.GroupResource) bool {
	for gvr := range p.listed {
		if gvr.GroupResource() == gr {
			return true
		}
	}
	return false
}

// deletionOrder is the reverse of the order of applying.
func deletionOrder(refs []federation.ObjectRef) [][]federation.ObjectRef {
	refs = slices.Clone(refs)
	slices.SortStableFunc(refs, func(a, b federation.ObjectRef) int { return rank(b.GroupKind()) - rank(a.GroupKind()) })
	var out [][]federation.ObjectRef
	for i, ref := range refs {
		if i == 0 || rank(ref.GroupKind()) != rank(refs[i-1].GroupKind()) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], ref)
	}
	return out
}

// removeTries bounds how often an object that changes is judged again.
const removeTries = 5

// remove deletes one object, just as it was judged.
func (p *pass) remove(ctx context.Context, app *appPass, ref federation.ObjectRef) {
	for range removeTries {
		p.mu.Lock()
		rec := p.objects[ref]
		if rec == nil || rec.live == nil {
			p.mu.Unlock()
			return
		}
		resource, uid, version := rec.resource, rec.live.uid, rec.live.version
		p.mu.Unlock()
		_, err := write(ctx, p.Applier, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, p.Client.Resource(resource).Namespace(ref.Namespace).Delete(ctx, ref.Name, preconditions(uid, version))
		})
		switch {
		case err == nil || apierrors.IsNotFound(err):
			p.removed(app, ref)
			return
		case !apierrors.IsConflict(err):
			p.failRemove(ctx, app, ref, err)
			return
		}
		live, err := p.get(ctx, resource, ref)
		switch {
		case apierrors.IsNotFound(err):
			p.removed(app, ref)
			return
		case err != nil:
			p.failRemove(ctx, app, ref, err)
			return
		}
		v := p.hasher.viewOf(live)
		p.mu.Lock()
		rec.live = &v
		owner, ok := p.ownerOf(rec)
		p.mu.Unlock()
		if !ok || owner != app.App {
			return // it is no longer ours to delete
		}
	}
	p.failRemove(ctx, app, ref, errEnough)
}

func (p *pass) removed(app *appPass, ref federation.ObjectRef) {
	if ref.GroupKind() == definitionKind {
		p.resetKinds()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.objects, ref)
	p.kindsNew = p.kindsNew || ref.GroupKind() == definitionKind
	p.changes = append(p.changes, federation.Change{Cluster: p.Cluster, App: app.App, Object: ref, Action: federation.ActionPruned})
}

func (p *pass) failRemove(ctx context.Context, app *appPass, ref federation.ObjectRef, err error) {
	e := newError("prune", ref, "", err)
	if e.Class == ClassUnreachable {
		p.noAnswer(ctx, err)
	}
	p.failed(app, e)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, federation.Change{Cluster: p.Cluster, App: app.App, Object: ref, Action: federation.ActionFailed, Err: e})
	if rec := p.objects[ref]; rec != nil && e.Class != ClassUnreachable && e.Class != ClassCanceled {
		rec.problem = e
	}
}

func describeRefs(refs []federation.ObjectRef) string {
	var names []string
	for _, ref := range refs {
		names = append(names, ref.String())
	}
	return describe(names)
}
