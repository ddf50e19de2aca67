package state

import (
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/write"
)

// ParentWish is what the app's parent is to list: all that the app has besides what
// it lists already or, where exact, that alone.
func (t *State) ParentWish(a *App, exact bool) write.ParentWish {
	var left inventory.Contents // what is there and no longer wanted
	if !exact {
		for _, r := range t.Rows {
			if name, ok := t.OwnerOf(r); !ok || name != a.Name || r.Want != nil || r.Ref.GroupKind() == object.NamespaceKind {
				continue
			}
			left.Add(r.Ref)
		}
	}
	w := write.ParentWish{Contents: a.Has.Union(left), As: t.Instance, Exact: exact, Known: a.Parent}
	w.Ended, w.Jobs, w.JustJobs = jobsOf(t, a)
	return w
}

// TakeParent takes what was read or written of a parent, unless something newer is
// known already.
func (t *State) TakeParent(a *App, p *write.Parent) {
	t.Sets[inventory.PartOf(t.Owner.Federation, a.Name)] = a.Name
	if p != nil && a.Parent != nil && a.Parent.UID == p.UID && object.Newer(a.Parent.ResourceVersion, p.ResourceVersion) {
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
