package apply

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// take makes the plan's objects the wanted ones. An app that could not be rendered
// keeps those it had, an object that is withheld stays as it was, and an app that
// the plan does not name is left as it is and maintained. A new revision is a new
// chance for what was refused; t.mu is held.
func (t *table) take(plan federation.ClusterPlan) {
	if plan.Revision.SHA != t.plan.Revision.SHA {
		t.changes, t.notes = map[federation.ObjectRef]federation.Change{}, nil
		t.retryAll()
	}
	plan.Apps = slices.Clone(plan.Apps) // its caller may go on with the slice
	t.plan, t.defined = plan, object.DefinedKinds(plan)
	t.definers = map[federation.ObjectRef]schema.GroupKind{}
	for gk, ref := range t.defined {
		t.definers[ref] = gk
	}
	versions := plannedVersions(plan)
	kept := map[string][]*object.Desired{}
	for _, r := range t.rows {
		if r.want != nil {
			kept[r.want.App] = append(kept[r.want.App], r.want)
		}
	}
	for _, a := range t.apps {
		a.named = false
	}
	t.clashes = nil
	taken := map[federation.ObjectRef]*object.Desired{}
	for _, p := range plan.Apps {
		a := t.app(p.App)
		a.named, a.plan = true, p
		a.plan.Objects = nil
		t.sets[inventory.PartOf(t.federation, p.App)] = p.App
		if p.Broken {
			continue
		}
		for _, o := range p.Objects {
			k := t.kind(o.Ref.GroupKind())
			k.ask(versions[o.Ref.GroupKind()])
			ref := object.Scoped(o.Ref, k.mapping)
			if object.IsOurs(o.Ref) || object.IsOurs(ref) {
				t.clashes = append(t.clashes, ownedByUs(p.App, o))
				continue
			}
			d := t.rows[ref].wants(p.App, p.Adoption, o)
			if d == nil {
				d = &object.Desired{App: p.App, PartOf: inventory.PartOf(t.federation, p.App), Adoption: p.Adoption, Object: o, Ref: ref}
			}
			t.claim(taken, d)
		}
	}
	// What is withheld stays as it is: as the plan before had it, if that was brought to
	// the cluster. It may have been made before it was known what the cluster runs.
	for name, objects := range kept {
		a := t.apps[name]
		for _, d := range objects {
			if taken[d.Ref] == nil && (!a.named || a.plan.Broken || withholds(a.plan, d) && t.rows[d.Ref].made == d.Wish()) {
				taken[d.Ref] = d
			}
		}
	}
	t.adopt(taken)
}

func ownedByUs(app string, o *federation.Object) *refusal.Error {
	return &refusal.Error{
		Verb: "apply", App: app, Object: o.Ref, File: o.File, Class: refusal.ClassOwned,
		Err: fmt.Errorf("namespace %s is fedsync's own", federation.SystemNamespace), Remedy: "take the object out of the repository",
	}
}

// plannedVersions returns the versions in which the plan has each kind.
func plannedVersions(plan federation.ClusterPlan) map[schema.GroupKind][]string {
	out := map[schema.GroupKind][]string{}
	for _, p := range plan.Apps {
		for _, o := range p.Objects {
			if gk := o.Ref.GroupKind(); !slices.Contains(out[gk], o.Version) {
				out[gk] = append(out[gk], o.Version)
			}
		}
	}
	return out
}

// ask makes one of these versions the one that is asked for, unless one of them is
// already. What is known of the kind stays where it is known in one of them.
func (k *kind) ask(versions []string) {
	switch {
	case slices.Contains(versions, k.version):
	case k.mapping != nil && slices.Contains(versions, k.mapping.GroupVersionKind.Version):
		k.version = k.mapping.GroupVersionKind.Version
	default:
		k.version, k.mapping, k.last = versions[0], nil, try{}
	}
}

// claim gives an object to the app that names it first.
func (t *table) claim(taken map[federation.ObjectRef]*object.Desired, d *object.Desired) {
	if other := taken[d.Ref]; other != nil {
		t.clashes = append(t.clashes, refusal.New("apply", d.Object.Ref, d.Object.File,
			fmt.Errorf("app %s has it already, from %s", other.App, other.Object.File)))
		t.clashes[len(t.clashes)-1].App = d.App
		return
	}
	taken[d.Ref] = d
}

// adopt makes these the wishes of the rows.
func (t *table) adopt(taken map[federation.ObjectRef]*object.Desired) {
	for ref, r := range t.rows {
		if r.want != nil && taken[ref] == nil {
			r.want, r.made, r.drift, r.last, r.ended = nil, "", nil, try{}, inventory.Ended{} // wanted again, it is looked at again
			t.sweep(r)
		}
	}
	for ref, d := range taken {
		r := t.row(ref)
		if r.want == nil || r.want.Wish() != d.Wish() {
			r.last = try{}
			r.settleFight(d.Wish())
		}
		moved := r.want == nil || r.want.App != d.App
		r.want = d
		if moved {
			for _, a := range t.apps {
				if a.parent.Exists() {
					t.recall(r, a)
				}
			}
		}
		t.recognize(r)
	}
	t.index()
}

// rescope gives every row of a kind the reference by which the cluster knows it,
// now that its mapping is known.
func (t *table) rescope(gk schema.GroupKind, mapping *meta.RESTMapping) {
	for _, r := range t.sorted() {
		if r.ref.GroupKind() != gk || r.want == nil {
			continue
		}
		ref := object.Scoped(r.ref, mapping)
		if ref == r.ref {
			continue
		}
		d := *r.want
		r.want, d.Ref = nil, ref
		t.sweep(r)
		if other := t.rows[ref]; other != nil && other.want != nil {
			t.claim(map[federation.ObjectRef]*object.Desired{ref: other.want}, &d)
			continue
		}
		t.row(ref).want = &d
	}
	t.index()
}

// withholds reports whether an object is to be left as it is.
func withholds(p federation.AppPlan, d *object.Desired) bool {
	for _, w := range p.Withheld {
		if w.Object == d.Ref || w.Object == d.Object.Ref {
			return true
		}
	}
	return false
}

// retryAll ends every pause.
func (t *table) retryAll() {
	clear(t.pauses)
	for _, r := range t.rows {
		r.last = try{}
	}
	for _, a := range t.apps {
		a.last = try{}
	}
	for _, k := range t.kinds {
		k.last = try{}
	}
	for _, s := range t.spaces {
		s.last = try{}
	}
}
