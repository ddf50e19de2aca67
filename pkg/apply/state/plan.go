package state

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

// Take makes the plan's objects the wanted ones. An app that could not be rendered
// keeps the objects it had, an object that is withheld stays unchanged, and an app that
// the plan does not name continues to be maintained as it is. A new revision is a new
// chance for refused objects.
func (t *State) Take(plan federation.ClusterPlan) {
	if plan.Revision.SHA != t.Plan.Revision.SHA {
		t.Changes, t.Notes = map[federation.ObjectRef]federation.Change{}, nil
		t.RetryAll()
	}
	plan.Apps = slices.Clone(plan.Apps) // the caller may change the slice
	t.Plan, t.Defined = plan, object.DefinedKinds(plan)
	t.Definers = map[federation.ObjectRef]schema.GroupKind{}
	for gk, ref := range t.Defined {
		t.Definers[ref] = gk
	}
	versions := plannedVersions(plan)
	kept := map[string][]*object.Desired{}
	for _, r := range t.Rows {
		if r.Want != nil {
			kept[r.Want.App] = append(kept[r.Want.App], r.Want)
		}
	}
	for _, a := range t.Apps {
		a.Named = false
	}
	t.Clashes = nil
	taken := map[federation.ObjectRef]*object.Desired{}
	for _, p := range plan.Apps {
		a := t.App(p.App)
		a.Named, a.Plan = true, p
		a.Plan.Objects = nil
		t.Sets[inventory.PartOf(t.Owner.Federation, p.App)] = p.App
		if p.Broken {
			continue
		}
		for _, o := range p.Objects {
			k := t.Kind(o.Ref.GroupKind())
			k.ask(versions[o.Ref.GroupKind()])
			ref := object.Scoped(o.Ref, k.Mapping)
			if object.IsOurs(o.Ref) || object.IsOurs(ref) {
				t.Clashes = append(t.Clashes, ownedByUs(p.App, o))
				continue
			}
			d := t.Rows[ref].wants(p.App, p.Adoption, o)
			if d == nil {
				d = &object.Desired{App: p.App, PartOf: inventory.PartOf(t.Owner.Federation, p.App), Adoption: p.Adoption, Object: o, Ref: ref}
			}
			claim(t, taken, d)
		}
	}
	// A withheld object stays as the plan before had it, if it was applied. The object
	// in this plan may have been rendered before it was known what the cluster runs.
	for name, objects := range kept {
		a := t.Apps[name]
		for _, d := range objects {
			if taken[d.Ref] == nil && (!a.Named || a.Plan.Broken || withholds(a.Plan, d) && t.Rows[d.Ref].Made == d.Wish()) {
				taken[d.Ref] = d
			}
		}
	}
	adopt(t, taken)
}

func ownedByUs(app string, o *federation.Object) *refusal.Error {
	return &refusal.Error{
		Verb: "apply", App: app, Object: o.Ref, File: o.File, Class: refusal.ClassOwned,
		Err: fmt.Errorf("namespace %s is fedsync's own", federation.SystemNamespace), Remedy: "remove the object from the repository",
	}
}

// plannedVersions returns the versions of each kind that the plan has.
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

// claim assigns an object to the app that names it first.
func claim(t *State, taken map[federation.ObjectRef]*object.Desired, d *object.Desired) {
	if other := taken[d.Ref]; other != nil {
		t.Clashes = append(t.Clashes, refusal.New("apply", d.Object.Ref, d.Object.File,
			fmt.Errorf("app %s already has it, from %s", other.App, other.Object.File)))
		t.Clashes[len(t.Clashes)-1].App = d.App
		return
	}
	taken[d.Ref] = d
}

// adopt makes these objects the wishes of their rows.
func adopt(t *State, taken map[federation.ObjectRef]*object.Desired) {
	for ref, r := range t.Rows {
		if r.Want != nil && taken[ref] == nil {
			r.Want, r.Made, r.Drift, r.Last, r.Ended = nil, "", nil, Try{}, inventory.Ended{} // when wanted again, it is judged again
			t.Sweep(r)
		}
	}
	for ref, d := range taken {
		r := t.Row(ref)
		if r.Want == nil || r.Want.Wish() != d.Wish() {
			r.Last = Try{}
			r.settleFight(d.Wish())
		}
		moved := r.Want == nil || r.Want.App != d.App
		r.Want = d
		if moved {
			for _, a := range t.Apps {
				if a.Parent.Exists() {
					recall(t, r, a)
				}
			}
		}
		t.Recognize(r)
	}
	index(t)
}

// Rescope gives every row of a kind the reference that the cluster uses, as soon as the
// kind's mapping is known.
func (t *State) Rescope(gk schema.GroupKind, mapping *meta.RESTMapping) {
	for _, r := range t.Sorted() {
		if r.Ref.GroupKind() != gk || r.Want == nil {
			continue
		}
		ref := object.Scoped(r.Ref, mapping)
		if ref == r.Ref {
			continue
		}
		d := *r.Want
		r.Want, d.Ref = nil, ref
		t.Sweep(r)
		if other := t.Rows[ref]; other != nil && other.Want != nil {
			claim(t, map[federation.ObjectRef]*object.Desired{ref: other.Want}, &d)
			continue
		}
		t.Row(ref).Want = &d
	}
	index(t)
}

// withholds reports whether an object has to be left unchanged.
func withholds(p federation.AppPlan, d *object.Desired) bool {
	for _, w := range p.Withheld {
		if w.Object == d.Ref || w.Object == d.Object.Ref {
			return true
		}
	}
	return false
}
