package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
)

// parent is what is known of the ConfigMap that heads an app's inventory.
type parent struct {
	inventory.Parent
	refused *Error // why it is not ours to write
	seen    time.Time
}

// exists reports whether there is a parent.
func (p *parent) exists() bool { return p != nil }

// refusal is why the parent is not ours to write; nil where it is, or is missing.
func (p *parent) refusal() *Error {
	if p == nil {
		return nil
	}
	return p.refused
}

// parentOf reads a parent.
func (a *Applier) parentOf(app string, u *unstructured.Unstructured) *parent {
	p := &parent{Parent: inventory.Read(u), seen: time.Now()}
	owner := inventory.Owner{Federation: a.Federation, Source: a.Source, FormerSources: a.FormerSources}
	if why, remedy := owner.Refusal(app, p.Parent); why != "" {
		p.refused = &Error{
			Verb: "claim", Object: federation.RefOf(u), Class: ClassOwned,
			Err: fmt.Errorf("nothing is written for app %s: %s", app, why), Remedy: remedy,
		}
	}
	return p
}

// wide reports whether the app's parent bears our name and lists every kind and
// namespace of the app.
func (t *table) wide(a *app) bool {
	p := a.parent
	return p != nil && p.refused == nil && p.Instance == t.instance && p.Source == t.source && p.Covers(a.has)
}

// listedKinds are the kinds that the inventories list.
func (t *table) listedKinds() []schema.GroupKind {
	var out []schema.GroupKind
	for _, a := range t.apps {
		if !a.parent.exists() {
			continue
		}
		for gk := range a.parent.Kinds {
			out = append(out, gk)
		}
	}
	slices.SortFunc(out, compareKinds)
	return slices.Compact(out)
}

func compareKinds(a, b schema.GroupKind) int {
	return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind))
}

// parentWish is what a parent is to list.
type parentWish struct {
	contents inventory.Contents
	as       string  // the instance's name
	exact    bool    // and nothing besides; with no kinds it is deleted
	known    *parent // as it was seen last

	ended    map[string]inventory.Ended // of Jobs that ended, and that it is to list
	jobs     map[string]string          // the renderings of those that Git has, by their keys
	justJobs bool                       // it is to list none besides them
}

// parentWish is what the app's parent is to list: all that the app has besides what
// it lists already or, where exact, that alone; t.mu is held.
func (t *table) parentWish(a *app, exact bool) parentWish {
	var left inventory.Contents // what is there and no longer wanted
	if !exact {
		for _, r := range t.rows {
			if name, ok := t.ownerOf(r); !ok || name != a.name || r.want != nil || r.ref.GroupKind() == namespaceKind {
				continue
			}
			left.Add(r.ref)
		}
	}
	w := parentWish{contents: a.has.Union(left), as: t.instance, exact: exact, known: a.parent}
	w.ended, w.jobs, w.justJobs = t.jobsOf(a)
	return w
}

// What is done to a parent, besides claiming it.
const (
	verbNarrow = "narrow"
	verbRecord = "record"
)

// writeInventory sees to it that the app's parent lists what it is to.
func (a *Applier) writeInventory(ctx context.Context, of *app, w parentWish, f *flight) {
	ref := federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: inventory.ParentName(a.Federation, of.name)}
	var p *parent
	var err error
	verb := "claim"
	switch {
	case w.exact:
		verb = verbNarrow
	case w.known.exists() && w.known.Instance == w.as && w.known.Covers(w.contents):
		verb = verbRecord
	}
	if w.exact && len(w.contents.Kinds) == 0 {
		p, err = a.deleteParent(ctx, of.name, w.known)
	} else {
		p, err = a.writeParent(ctx, of.name, w)
	}
	var e *Error
	if err != nil {
		e = newError(verb, ref, "", err)
		a.examine(ctx, e, err, f)
	}
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	of.flight = nil
	if f.incarnation != t.incarnation {
		return
	}
	if p != nil || err == nil {
		t.takeParent(of, p)
	}
	switch {
	case e == nil:
		of.last, t.silent = try{}, try{}
	case e.saysNothing():
	default:
		of.last.failed(time.Now(), e, f)
	}
}

// takeParent takes what was read or written of a parent, unless something newer is
// known already; t.mu is held.
func (t *table) takeParent(a *app, p *parent) {
	t.sets[inventory.PartOf(t.federation, a.name)] = a.name
	if p != nil && a.parent != nil && a.parent.UID == p.UID && newer(a.parent.ResourceVersion, p.ResourceVersion) {
		return
	}
	isNew := a.parent == nil && p != nil
	a.parent = p
	t.forgetRecorded(a)
	if isNew && len(p.Ended) > 0 {
		for _, r := range t.rows {
			t.recall(r, a)
		}
	}
}

// leavesNoInventory says whether the error is about a parent that may not be
// written: a finding at every Apply, which goes on without prune, and no fault.
func (e *Error) leavesNoInventory() bool {
	return e.Class == ClassForbidden || e.Class == ClassAdmission || e.Class == ClassQuota
}

// parentsApp returns the app whose parent the event is about; empty if it is about
// none of this federation.
func (a *Applier) parentsApp(e Event) string {
	if e.Resource != configMaps {
		return ""
	}
	return inventory.AppOf(a.Federation, e.Object)
}

// observeParent takes an event of the app's parent; t.mu is held.
func (a *Applier) observeParent(app string, e Event, p *parent) {
	t := a.table
	of := t.app(app)
	switch {
	case of.flight != nil && of.parent != nil && p != nil && !newer(p.ResourceVersion, of.parent.ResourceVersion):
		return
	case !e.Deleted:
		t.takeParent(of, p)
	case of.parent != nil && (of.parent.UID == e.Object.GetUID() || e.Object.GetUID() == ""):
		of.parent = nil // its kinds are known from the rows; what left has its label
	}
}

// parentTries bounds how often a parent that others write too is read again.
const parentTries = 5

// writeParent writes the app's parent until it is as wished, and returns it as it is
// then. It writes only where something differs.
func (a *Applier) writeParent(ctx context.Context, app string, w parentWish) (*parent, error) {
	parents := a.Client.Resource(configMaps).Namespace(Namespace)
	name := inventory.ParentName(a.Federation, app)
	p := w.known
	madeNamespace, looked := false, false
	for range parentTries {
		if p.refusal() != nil {
			return p, p.refused
		}
		wish := inventory.Parent{Federation: a.Federation, App: app, Source: a.Source, Instance: w.as, Contents: w.contents, Ended: w.endedAfter(p)}
		if p != nil {
			wish.ResourceVersion = p.ResourceVersion
			if !w.exact {
				wish.Contents = p.Union(w.contents)
			}
			if p.Instance == wish.Instance && p.Source == wish.Source && p.ListsJust(wish.Contents) && maps.Equal(p.Ended, wish.Ended) {
				return p, nil
			}
		}
		var answer *unstructured.Unstructured
		var err error
		if p == nil {
			var before map[string]inventory.Ended
			if before, err = a.endedBefore(ctx, w); err != nil {
				return nil, err
			}
			wish.Ended = wish.EndedBeside(before)
			content := wish.Object(a.Version)
			answer, err = write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return parents.Create(ctx, content, metav1.CreateOptions{FieldManager: ownership.FieldManager})
			})
		} else {
			var data []byte
			if data, err = wish.Change(a.Version, p.Parent); err != nil {
				return nil, fmt.Errorf("encode: %w", err)
			}
			answer, err = write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return parents.Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: ownership.FieldManager})
			})
		}
		switch {
		case err == nil:
			p = a.parentOf(app, answer) // to see it as it is now
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
			if p, err = a.readParent(ctx, app); err != nil {
				return nil, err
			}
		case apierrors.IsNotFound(err) && p != nil:
			p = nil
		case apierrors.IsNotFound(err) && !madeNamespace:
			madeNamespace = true
			if _, err := a.createNamespace(ctx, Namespace); err != nil {
				return nil, newError("create", federation.ObjectRef{Kind: "Namespace", Name: Namespace}, "", err)
			}
		case p == nil && !looked && isRefusal(err):
			// A quota or a policy refuses before it is seen that there is one.
			looked = true
			there, readErr := a.readParent(ctx, app)
			if readErr != nil || there == nil {
				return nil, err
			}
			p = there
		case looked:
			return p, err // it is there, and says what is not to be done without it
		default:
			return nil, err
		}
	}
	return p, &Error{
		Verb: "claim", Object: federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: name}, Class: ClassConflict,
		Err: errors.New("somebody else keeps changing it"),
	}
}

// readParent reads the app's parent; nil where there is none.
func (a *Applier) readParent(ctx context.Context, app string) (*parent, error) {
	u, err := a.get(ctx, configMaps, federation.ObjectRef{Namespace: Namespace, Name: inventory.ParentName(a.Federation, app)})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // a missing parent is no parent
	}
	if err != nil {
		return nil, err
	}
	return a.parentOf(app, u), nil
}

// deleteParent ends an inventory that has no objects left, and returns what is
// there in its place.
func (a *Applier) deleteParent(ctx context.Context, app string, p *parent) (*parent, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // a missing parent is no parent
	}
	_, err := write(ctx, a, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.Client.Resource(configMaps).Namespace(Namespace).Delete(ctx, inventory.ParentName(a.Federation, app), preconditions(p.UID, p.ResourceVersion))
	})
	switch {
	case err == nil || apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // a missing parent is no parent
	case apierrors.IsConflict(err):
		return a.readParent(ctx, app)
	}
	return nil, err
}
