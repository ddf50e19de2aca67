package takeover

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Mapper finds how a cluster serves a kind.
type Mapper interface {
	RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error)
}

// RenameOptions are the settings of a move from a federation's former name. Options are
// those of the federation under its current name.
type RenameOptions struct {
	Options

	Former  inventory.Owner // the same source, under the former name
	Mappers map[string]Mapper
}

// before returns the options of a Inspect at the former name.
func (o RenameOptions) before() Options {
	before := o.Options
	before.Owner = o.Former
	return before
}

// InspectFormer reads what each cluster has under the former name, and writes nothing.
func InspectFormer(ctx context.Context, o RenameOptions) []Cluster {
	found := Inspect(ctx, o.before())
	for i := range found {
		c := &found[i]
		if c.Err == nil && c.Claim.OfAnother(o.Former.Source) && c.Claim.Source != o.Owner.Source && !slices.Contains(o.Former.FormerSources, c.Claim.Source) {
			c.Err = fmt.Errorf("federation %s belongs to another source there (%s): only what belongs to this repository, ref and path is moved", o.Former.Federation, c.Claim.Who)
		}
	}
	return found
}

// HasFormer reports whether a cluster has anything that Rename would move.
func (c Cluster) HasFormer() bool { return c.Claim.Version != "" || len(c.Inventories) > 0 }

// Rename moves what InspectFormer found to the federation's current name: of each app the
// inventory, and the label of each object. The claim of the former name goes first, so
// that no instance of that name writes at the same time, and is deleted at the end.
// Nothing else of an object changes. Without force, Rename first checks, as Move does,
// whether an instance of the former name is running.
func Rename(ctx context.Context, o RenameOptions, found []Cluster, force bool) ([]Moved, error) {
	// The claim is challenged and handed over like that of another source.
	others := o.Options
	others.Owner.Federation = o.Former.Federation
	if !force {
		var err error
		if found, err = others.challenge(ctx, found); err != nil {
			return nil, err
		}
	}
	by, results := map[string]Cluster{}, map[string]*Moved{}
	for _, c := range found {
		by[c.Name] = c
		results[c.Name] = &Moved{Name: c.Name, Err: c.Err}
	}
	each(ctx, o.Options, func(ctx context.Context, name string, client dynamic.Interface) Cluster {
		if m := results[name]; m != nil && m.Err == nil {
			r := renaming{RenameOptions: o, client: client, mapper: o.Mappers[name]}
			m.Err = r.all(ctx, m, by[name])
		}
		return Cluster{}
	})
	moved := make([]Moved, 0, len(found))
	for _, c := range found {
		moved = append(moved, *results[c.Name])
	}
	return moved, ctx.Err()
}

// renaming is Rename in one cluster.
type renaming struct {
	RenameOptions

	client dynamic.Interface
	mapper Mapper
}

// all does the remaining steps. Each step requires that those before it are done.
func (r renaming) all(ctx context.Context, m *Moved, c Cluster) error {
	if c.Claim.OfAnother(r.Owner.Source) {
		err := r.request(ctx, func(ctx context.Context) error {
			_, err := claim.HandOver(ctx, r.client, r.Former.Federation, c.Claim, r.Owner.Source)
			return err
		})
		if err != nil {
			return err
		}
		m.Claim = true
	}
	var failed error
	for _, p := range c.Inventories {
		if err := r.app(ctx, p); err != nil {
			failed = errors.Join(failed, fmt.Errorf("app %s: %w", p.App, err))
			continue
		}
		m.Apps = append(m.Apps, p.App)
	}
	if failed != nil {
		return failed
	}
	if err := r.kept(ctx); err != nil {
		return fmt.Errorf("copies of adopted objects: %w", err)
	}
	return r.request(ctx, func(ctx context.Context) error {
		return claim.Remove(ctx, r.client, r.Former.Federation, r.Owner.Source)
	})
}

// app moves an app's inventory. The former one is deleted when no object has its label
// any more.
func (r renaming) app(ctx context.Context, p inventory.Parent) error {
	if err := r.list(ctx, p); err != nil {
		return err
	}
	kinds := make([]schema.GroupKind, 0, len(p.Kinds))
	for kind := range p.Kinds {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b schema.GroupKind) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind))
	})
	for _, kind := range kinds {
		if err := r.relabel(ctx, p.App, kind); err != nil {
			return err
		}
	}
	// A running fedsync may have removed kinds from the list that had no objects yet.
	if err := r.list(ctx, p); err != nil {
		return err
	}
	err := r.request(ctx, func(ctx context.Context) error {
		return r.parents().Delete(ctx, inventory.ParentName(p.Federation, p.App), metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &p.UID, ResourceVersion: &p.ResourceVersion},
		})
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (r renaming) parents() dynamic.ResourceInterface {
	return r.client.Resource(configMaps).Namespace(federation.SystemNamespace)
}

// list makes the inventory under the current name list everything that the former one
// lists, and record which of its Jobs ended, since those would run again. Its own
// records are newer.
func (r renaming) list(ctx context.Context, before inventory.Parent) error {
	wish := inventory.Parent{
		Federation: r.Owner.Federation, App: before.App, Source: r.Owner.Source, Instance: "takeover", Contents: before.Contents,
		Ended: before.Ended,
	}
	return r.request(ctx, func(ctx context.Context) error {
		u, err := r.parents().Get(ctx, inventory.ParentName(wish.Federation, wish.App), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = r.parents().Create(ctx, wish.Object(""), metav1.CreateOptions{FieldManager: fieldManager})
			return err
		}
		if err != nil {
			return err
		}
		there := inventory.Read(u)
		if why, _ := r.Owner.Refusal(wish.App, there); why != "" {
			return fmt.Errorf("ConfigMap %s/%s: %s", u.GetNamespace(), u.GetName(), why)
		}
		wish.Contents, wish.Ended = there.Union(before.Contents), there.MergeEnded(before.Ended)
		if there.ListsExactly(wish.Contents) && maps.Equal(there.Ended, wish.Ended) {
			return nil
		}
		wish.Instance, wish.ResourceVersion = there.Instance, there.ResourceVersion
		patch, err := wish.Change("", there)
		if err != nil {
			return err
		}
		_, err = r.parents().Patch(ctx, u.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		return err
	})
}

// relabel gives the objects of a kind the label of the inventory under the current
// name.
func (r renaming) relabel(ctx context.Context, app string, kind schema.GroupKind) error {
	mapping, err := r.mapper.RESTMapping(kind)
	if meta.IsNoMatchError(err) {
		return nil // the kind is gone, and so are its objects
	}
	if err != nil {
		return fmt.Errorf("find kind %s: %w", kind, err)
	}
	objects := r.client.Resource(mapping.Resource)
	selector := inventory.LabelPartOf + "=" + inventory.PartOf(r.Former.Federation, app)
	return r.each(ctx, objects, selector, func(u *unstructured.Unstructured) error {
		if metav1.GetControllerOfNoCopy(u) != nil {
			return nil // its controller copied the label
		}
		return r.label(ctx, objects.Namespace(u.GetNamespace()), u, inventory.LabelPartOf, inventory.PartOf(r.Owner.Federation, app))
	})
}

// kept moves the copies of adopted objects, and their proofs.
func (r renaming) kept(ctx context.Context) error {
	name := inventory.FederationLabel(r.Owner.Federation)
	secrets := r.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(federation.SystemNamespace)
	err := r.each(ctx, secrets, inventory.LabelKept+"=true,"+inventory.ParentSelector(r.Former.Federation), func(u *unstructured.Unstructured) error {
		return r.label(ctx, secrets, u, inventory.LabelFederation, name)
	})
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	return r.each(ctx, r.parents(), inventory.ProofSelector(r.Former.Federation), func(u *unstructured.Unstructured) error {
		return r.label(ctx, r.parents(), u, inventory.LabelProves, name)
	})
}

// label sets a label on an object, unless the object was replaced.
func (r renaming) label(ctx context.Context, objects dynamic.ResourceInterface, u *unstructured.Unstructured, label, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": u.GetUID(), "labels": map[string]any{label: value}}})
	if err != nil {
		return err
	}
	err = r.request(ctx, func(ctx context.Context) error {
		_, err := objects.Patch(ctx, u.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		return err
	})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) && r.isAnother(ctx, objects, u) {
		return nil
	}
	return fmt.Errorf("label %s: %w", federation.RefOf(u), err)
}

// isAnother reports whether another object now has the name.
func (r renaming) isAnother(ctx context.Context, objects dynamic.ResourceInterface, u *unstructured.Unstructured) bool {
	var now *unstructured.Unstructured
	err := r.request(ctx, func(ctx context.Context) (err error) {
		now, err = objects.Get(ctx, u.GetName(), metav1.GetOptions{})
		return err
	})
	return apierrors.IsNotFound(err) || err == nil && now.GetUID() != u.GetUID()
}
