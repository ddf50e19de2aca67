package table

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Listing is the result of a consistent list.
type Listing struct {
	Asked   time.Time                          // before the request was sent
	Objects map[types.NamespacedName]types.UID // all objects in the list
}

// Listed reports that a kind's whole list has been observed. The list is true for what
// was known when it was requested: an object that it lacks is gone, or no longer bears
// our label. A nil listing reports only that the list was observed.
func (t *Table) Listed(gvr schema.GroupVersionResource, l *Listing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Lists[gvr.GroupResource()] = state.Listing{Done: true}
	defer t.Wake()
	if l == nil {
		return
	}
	for _, r := range t.s.Sorted() {
		if r.Live == nil || r.Flight != nil || r.Resource.GroupResource() != gvr.GroupResource() || !r.Seen.Before(l.Asked) {
			continue
		}
		uid, there := l.Objects[types.NamespacedName{Namespace: r.Ref.Namespace, Name: r.Ref.Name}]
		if !there || uid != r.Live.UID {
			t.objectGone(r)
			t.s.Sweep(r)
		}
	}
}

// Unlisted reports that the kind is not seen, and why. What is known about its objects
// may be old, and none is pruned. A nil error means that the kind is about to be
// listed.
func (t *Table) Unlisted(gvr schema.GroupVersionResource, err error) {
	t.update(func(s *state.State) {
		l := state.Listing{Err: err}
		if err == nil {
			l.Since = time.Now()
		}
		s.Lists[gvr.GroupResource()] = l
	})
}

// ParentsListed reports whether the inventories' parents are seen, and if not, why.
// With neither they are about to be.
func (t *Table) ParentsListed(done bool, err error) {
	t.update(func(s *state.State) {
		if !done && err == nil && s.Listings.Parents.Done {
			s.Since = time.Now()
		}
		s.Listings.Parents = state.Listing{Done: done, Err: err}
	})
}

// ParentsRead takes a consistent list of the parents: a parent that it lacks is gone.
func (t *Table) ParentsRead(l *Listing) {
	t.update(func(s *state.State) {
		for _, of := range s.Apps {
			if of.Flight != nil || of.Parent == nil || !of.Parent.Seen.Before(l.Asked) {
				continue
			}
			uid, there := l.Objects[types.NamespacedName{Namespace: federation.SystemNamespace, Name: inventory.ParentName(s.Owner.Federation, of.Name)}]
			if !there || uid != of.Parent.UID {
				of.Parent = nil
			}
		}
		s.Listings.Parents = state.Listing{Done: true}
	})
}

// ObserveNamespace takes an event of the watch of all namespaces.
func (t *Table) ObserveNamespace(u *unstructured.Unstructured, deleted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.s.Space(u.GetName())
	before := *s
	if deleted {
		*s = state.Space{Known: true, Flight: s.Flight}
	} else {
		s.Observe(t.s.Reader.Hasher, u)
		s.Last = state.Try{}
	}
	if s.Known != before.Known || s.Exists != before.Exists || s.Mark != before.Mark {
		t.Wake()
	}
}

// NamespacesListed reports whether the namespaces are seen, and if not, why.
func (t *Table) NamespacesListed(done bool, l *Listing, err error) {
	t.update(func(all *state.State) {
		all.Listings.Spaces = state.Listing{Done: done, Err: err}
		for name, s := range all.Spaces {
			switch {
			case !done:
				s.Known = false // it may be gone by now and has to be read
			case s.Flight == nil:
				s.Known = true
				if l != nil {
					if _, there := l.Objects[types.NamespacedName{Name: name}]; !there {
						*s = state.Space{Known: true}
					}
				}
			}
		}
	})
}

// DefinitionsChanged reports that the cluster's definitions have changed: kinds that
// were not served may be now.
func (t *Table) DefinitionsChanged() {
	t.update(func(s *state.State) {
		for _, k := range s.Kinds {
			if k.Mapping == nil && k.Last.Err != nil {
				k.Last.At = time.Time{}
			}
		}
	})
}
