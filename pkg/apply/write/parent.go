package write

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Parent is what is known about the ConfigMap that heads an app's inventory.
type Parent struct {
	inventory.Parent
	Refused *refusal.Error // why we may not write it
	Seen    time.Time
}

// Exists reports whether there is a parent.
func (p *Parent) Exists() bool { return p != nil }

// Refusal returns why we may not write the parent; nil if we may, or if it is missing.
func (p *Parent) Refusal() *refusal.Error {
	if p == nil {
		return nil
	}
	return p.Refused
}

// ParentOf reads a parent.
func ParentOf(owner inventory.Owner, app string, u *unstructured.Unstructured) *Parent {
	p := &Parent{Parent: inventory.Read(u), Seen: time.Now()}
	if why, remedy := owner.Refusal(app, p.Parent); why != "" {
		p.Refused = &refusal.Error{
			Verb: "claim", Object: federation.RefOf(u), Class: refusal.ClassOwned,
			Err: fmt.Errorf("nothing is written for app %s: %s", app, why), Remedy: remedy,
		}
	}
	return p
}

// ParentWish is what a parent should list.
type ParentWish struct {
	Contents inventory.Contents
	As       string  // the instance's name
	Exact    bool    // and nothing else; with no kinds it is deleted
	Known    *Parent // as it was last read

	Ended map[string]inventory.Ended // Jobs that ended, to be recorded
	Jobs  map[string]string          // the renderings of the Jobs in Git, by their keys
	// OnlyJobs means that it should record no Jobs except those.
	OnlyJobs bool
}

// What is done to a parent, other than claiming it.
const (
	VerbNarrow = "narrow"
	VerbRecord = "record"
)

// Verb returns what has to be done to the parent in its last known state.
func (w ParentWish) Verb() string {
	switch {
	case w.Exact:
		return VerbNarrow
	case w.Known.Exists() && w.Known.Instance == w.As && w.Known.Covers(w.Contents):
		return VerbRecord
	}
	return "claim"
}

// EndedAfter returns the ended Jobs that the parent should record.
func (w ParentWish) EndedAfter(p *Parent) map[string]inventory.Ended {
	out := map[string]inventory.Ended{}
	if p.Exists() {
		maps.Copy(out, p.Ended)
	}
	if w.OnlyJobs {
		maps.DeleteFunc(out, func(key string, _ inventory.Ended) bool { return w.Jobs[key] == "" })
	}
	maps.Copy(out, w.Ended)
	return inventory.Bounded(out)
}

// endedBefore returns which of the wished Jobs ended under a former name of the
// federation, for a parent that is about to be created: after a rename, fedsync runs
// with the new name before its inventories have it.
func (wr *Writer) endedBefore(ctx context.Context, w ParentWish) (map[string]inventory.Ended, error) {
	out := map[string]inventory.Ended{}
	if len(w.Jobs) == 0 || wr.FollowsAs == nil {
		return out, nil
	}
	err := wr.EachOwn(ctx, object.ConfigMaps, inventory.LabelFederation, func(u *unstructured.Unstructured) {
		name, source := inventory.FederationOf(u)
		if name == "" || name == wr.Federation || !wr.FollowsAs(name, source) {
			return
		}
		maps.Copy(out, inventory.Read(u).EndedFor(w.Jobs))
	})
	if apierrors.IsForbidden(err) {
		return out, nil // without the permission to read, the Jobs start again
	}
	return out, err
}

// parentTries bounds how often a parent that other clients write too is read again.
const parentTries = 5

// PutParent makes the app's parent list what it should, and returns the result; nil if
// there is none. With an error it returns what was read of the parent.
func (wr *Writer) PutParent(ctx context.Context, app string, w ParentWish) (*Parent, error) {
	if w.Exact && len(w.Contents.Kinds) == 0 {
		return wr.deleteParent(ctx, app, w.Known)
	}
	return wr.writeParent(ctx, app, w)
}

// writeParent writes the app's parent until it matches the wish, and returns the
// result. It writes only if something differs.
func (wr *Writer) writeParent(ctx context.Context, app string, w ParentWish) (*Parent, error) {
	parents := wr.Dynamic.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace)
	name := inventory.ParentName(wr.Federation, app)
	p := w.Known
	madeNamespace, looked := false, false
	for range parentTries {
		if p.Refusal() != nil {
			return p, p.Refused
		}
		wish := inventory.Parent{Federation: wr.Federation, App: app, Source: wr.Owner.Source, Instance: w.As, Contents: w.Contents, Ended: w.EndedAfter(p)}
		if p != nil {
			wish.ResourceVersion = p.ResourceVersion
			if !w.Exact {
				wish.Contents = p.Union(w.Contents)
			}
			if p.Instance == wish.Instance && p.Source == wish.Source && p.ListsExactly(wish.Contents) && maps.Equal(p.Ended, wish.Ended) {
				return p, nil
			}
		}
		var answer *unstructured.Unstructured
		var err error
		if p == nil {
			var before map[string]inventory.Ended
			if before, err = wr.endedBefore(ctx, w); err != nil {
				return nil, err
			}
			wish.Ended = wish.MergeEnded(before)
			content := wish.Object(wr.Version)
			answer, err = request.Write(ctx, wr.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return parents.Create(ctx, content, metav1.CreateOptions{FieldManager: ownership.FieldManager})
			})
		} else {
			var data []byte
			if data, err = wish.Change(wr.Version, p.Parent); err != nil {
				return nil, fmt.Errorf("encode: %w", err)
			}
			answer, err = request.Write(ctx, wr.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return parents.Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: ownership.FieldManager})
			})
		}
		switch {
		case err == nil:
			p = ParentOf(wr.Owner, app, answer) // includes what other clients wrote
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
			if p, err = wr.readParent(ctx, app); err != nil {
				return nil, err
			}
		case apierrors.IsNotFound(err) && p != nil:
			p = nil
		case apierrors.IsNotFound(err) && !madeNamespace:
			madeNamespace = true
			if _, err := wr.CreateNamespace(ctx, federation.SystemNamespace); err != nil {
				return nil, refusal.New("create", federation.ObjectRef{Kind: "Namespace", Name: federation.SystemNamespace}, "", err)
			}
		case p == nil && !looked && isRefusal(err):
			// A quota or a policy refuses before the API server sees that one exists.
			looked = true
			there, readErr := wr.readParent(ctx, app)
			if readErr != nil || there == nil {
				return nil, err
			}
			p = there
		case looked:
			return p, err // it exists, and may contain what must not be done without it
		default:
			return nil, err
		}
	}
	return p, &refusal.Error{
		Verb: "claim", Object: federation.ObjectRef{Kind: "ConfigMap", Namespace: federation.SystemNamespace, Name: name}, Class: refusal.ClassConflict,
		Err: errors.New("another client keeps changing it"),
	}
}

// readParent reads the app's parent; nil if there is none.
func (wr *Writer) readParent(ctx context.Context, app string) (*Parent, error) {
	u, err := wr.Get(ctx, object.ConfigMaps, federation.ObjectRef{Namespace: federation.SystemNamespace, Name: inventory.ParentName(wr.Federation, app)})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // a missing parent is no parent
	}
	if err != nil {
		return nil, err
	}
	return ParentOf(wr.Owner, app, u), nil
}

// deleteParent deletes the parent of an inventory without objects. It returns the
// parent that is there afterwards.
func (wr *Writer) deleteParent(ctx context.Context, app string, p *Parent) (*Parent, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // a missing parent is no parent
	}
	_, err := request.Write(ctx, wr.Client, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, wr.Dynamic.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Delete(ctx, inventory.ParentName(wr.Federation, app), request.Preconditions(p.UID, p.ResourceVersion))
	})
	switch {
	case err == nil || apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // a missing parent is no parent
	case apierrors.IsConflict(err):
		return wr.readParent(ctx, app)
	}
	return nil, err
}

// ReadParents reads the inventories of the federation, by app. It returns none if
// reading them is forbidden.
func (wr *Writer) ReadParents(ctx context.Context) (map[string]*Parent, error) {
	out := map[string]*Parent{}
	o := metav1.ListOptions{LabelSelector: inventory.ParentSelector(wr.Federation)}
	err := wr.Each(ctx, wr.Dynamic.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace), o, func(u *unstructured.Unstructured) bool {
		if app := inventory.AppOf(wr.Federation, u); app != "" {
			out[app] = ParentOf(wr.Owner, app, u)
		}
		return true
	})
	if apierrors.IsForbidden(err) {
		return map[string]*Parent{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the inventories of federation %s in %s: %w", wr.Federation, federation.SystemNamespace, err)
	}
	return out, nil
}
