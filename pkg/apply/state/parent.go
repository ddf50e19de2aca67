package state

import (
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/write"
)

// ParentWish returns what the app's parent should list: everything the app has in
// addition to what it lists already or, if exact, only that.
func (t *State) ParentWish(a *App, exact bool) write.ParentWish {
	var left inventory.Contents // objects that exist and are no longer wanted
	if !exact {
		for _, r := range t.Rows {
			if name, ok := t.OwnerOf(r); !ok || name != a.Name || r.Want != nil || r.Ref.GroupKind() == object.NamespaceKind {
				continue
			}
			left.Add(r.Ref)
		}
	}
	w := write.ParentWish{Contents: a.Has.Union(left), As: t.Instance, Exact: exact, Known: a.Parent}
	w.Ended, w.Jobs, w.OnlyJobs = jobsOf(t, a)
	return w
}

// TakeParent stores a parent that was read or written, unless a newer one is known.
func (t *State) TakeParent(a *App, p *write.Parent) {
	t.Sets[inventory.PartOf(t.Owner.Federation, a.Name)] = a.Name
	if p != nil && a.Parent != nil && a.Parent.UID == p.UID && object.IsNewer(a.Parent.ResourceVersion, p.ResourceVersion) {
		return
	}
	isNew := a.Parent == nil && p != nil
	a.Parent = p
	forgetRecorded(t, a)
	if isNew && len(p.Ended) > 0 {
		for _, r := range t.Rows {
			recall(t, r, a)
		}
	}
}
