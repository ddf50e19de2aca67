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

// Parent is what is known of the ConfigMap that heads an app's inventory.
type Parent struct {
	inventory.Parent
	Refused *refusal.Error // why it is not ours to write
	Seen    time.Time
}

// Exists reports whether there is a parent.
func (p *Parent) Exists() bool { return p != nil }

// Refusal is why the parent is not ours to write; nil where it is, or is missing.
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

// ParentWish is what a parent is to list.
type ParentWish struct {
	Contents inventory.Contents
	As       string  // the instance's name
	Exact    bool    // and nothing besides; with no kinds it is deleted
	Known    *Parent // as it was seen last

	Ended map[string]inventory.Ended // of Jobs that ended, and that it is to list
	Jobs  map[string]string          // the renderings of those that Git has, by their keys
	// JustJobs says that it is to list none besides them.
	JustJobs bool
}

// What is done to a parent, besides claiming it.
const (
	VerbNarrow = "narrow"
	VerbRecord = "record"
)

// Verb says what has to be done to the parent as it was seen last.
func (w ParentWish) Verb() string {
	switch {
	case w.Exact:
		return VerbNarrow
	case w.Known.Exists() && w.Known.Instance == w.As && w.Known.Covers(w.Contents):
		return VerbRecord
	}
	return "claim"
}

// EndedAfter is what the parent is to say of ended Jobs in place of what it says.
func (w ParentWish) EndedAfter(p *Parent) map[string]inventory.Ended {
	out := map[string]inventory.Ended{}
	if p.Exists() {
		maps.Copy(out, p.Ended)
	}
	if w.JustJobs {
		maps.DeleteFunc(out, func(key string, _ inventory.Ended) bool { return w.Jobs[key] == "" })
	}
	maps.Copy(out, w.Ended)
	return inventory.Bounded(out)
}

// endedBefore returns which of the wished Jobs ended under a name that the federation had
// before, for a parent that is about to be made: what is renamed runs with its new name
// before its inventories have that, too.
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
		return out, nil // whoever may not look starts afresh
	}
	return out, err
}

// parentTries bounds how often a parent that others write too is read again.
const parentTries = 5

// PutParent sees to it that the app's parent lists what it is to, and returns it as it is
// then; nil where there is none. With an error it returns what was read of it.
func (wr *Writer) PutParent(ctx context.Context, app string, w ParentWish) (*Parent, error) {
	if w.Exact && len(w.Contents.Kinds) == 0 {
		return wr.deleteParent(ctx, app, w.Known)
	}
	return wr.writeParent(ctx, app, w)
}

// writeParent writes the app's parent until it is as wished, and returns it as it is
// then. It writes only where something differs.
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
			if p.Instance == wish.Instance && p.Source == wish.Source && p.ListsJust(wish.Contents) && maps.Equal(p.Ended, wish.Ended) {
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
			wish.Ended = wish.EndedBeside(before)
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
			p = ParentOf(wr.Owner, app, answer) // to see it as it is now
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
			// A quota or a policy refuses before it is seen that there is one.
			looked = true
			there, readErr := wr.readParent(ctx, app)
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
	return p, &refusal.Error{
		Verb: "claim", Object: federation.ObjectRef{Kind: "ConfigMap", Namespace: federation.SystemNamespace, Name: name}, Class: refusal.ClassConflict,
		Err: errors.New("somebody else keeps changing it"),
	}
}

// readParent reads the app's parent; nil where there is none.
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

// deleteParent ends an inventory that has no objects left, and returns what is
// there in its place.
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

// ReadParents reads the inventories of the federation, by app; none where they may
// not be read.
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
