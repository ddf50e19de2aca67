package apply

import (
	"cmp"
	"context"
	"encoding/json"
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

	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
)

// parent is what is known of the ConfigMap that heads an app's inventory.
type parent struct {
	uid        types.UID
	version    string // the resourceVersion
	kinds      map[schema.GroupKind]bool
	namespaces map[string]bool // but fedsync-system
	instance   string
	source     string
	refused    *Error // why it is not ours to write
	seen       time.Time
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
	annotations := u.GetAnnotations()
	p := &parent{
		uid:        u.GetUID(),
		version:    u.GetResourceVersion(),
		kinds:      map[schema.GroupKind]bool{},
		namespaces: map[string]bool{},
		instance:   annotations[annotationInstance],
		source:     annotations[annotationSource],
		refused:    a.refusal(app, u),
		seen:       time.Now(),
	}
	for _, name := range splitList(annotations[annotationGroupKinds]) {
		p.kinds[schema.ParseGroupKind(name)] = true
	}
	for _, name := range splitList(annotations[annotationMoreSpaces]) {
		p.namespaces[name] = true
	}
	return p
}

// wide reports whether the app's parent bears our name and lists every kind and
// namespace of the app.
func (t *table) wide(a *app) bool {
	p := a.parent
	if p == nil || p.refused != nil || p.instance != t.instance || p.source != t.source {
		return false
	}
	for gk := range a.kinds {
		if !p.kinds[gk] {
			return false
		}
	}
	for name := range a.spaces {
		if !p.namespaces[name] {
			return false
		}
	}
	return true
}

// listedKinds are the kinds that the inventories list.
func (t *table) listedKinds() []schema.GroupKind {
	var out []schema.GroupKind
	for _, a := range t.apps {
		if !a.parent.exists() {
			continue
		}
		for gk := range a.parent.kinds {
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
	kinds  map[schema.GroupKind]bool
	spaces map[string]bool
	as     string  // the instance's name
	exact  bool    // and nothing besides; with no kinds it is deleted
	known  *parent // as it was seen last
}

// parentWish is what the app's parent is to list: all that the app has besides what
// it lists already or, where exact, that alone; t.mu is held.
func (t *table) parentWish(a *app, exact bool) parentWish {
	w := parentWish{kinds: maps.Clone(a.kinds), spaces: maps.Clone(a.spaces), as: t.instance, exact: exact, known: a.parent}
	if exact {
		return w
	}
	for _, r := range t.rows {
		if name, ok := t.ownerOf(r); !ok || name != a.name || r.want != nil || r.ref.GroupKind() == namespaceKind {
			continue
		}
		w.kinds[r.ref.GroupKind()] = true
		if r.ref.Namespace != "" && r.ref.Namespace != Namespace {
			w.spaces[r.ref.Namespace] = true
		}
	}
	return w
}

const verbNarrow = "narrow"

// writeInventory sees to it that the app's parent lists what it is to.
func (a *Applier) writeInventory(ctx context.Context, of *app, w parentWish, f *flight) {
	ref := federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: ParentName(a.Federation, of.name)}
	var p *parent
	var err error
	verb := "claim"
	if w.exact {
		verb = verbNarrow
	}
	if w.exact && len(w.kinds) == 0 {
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
	t.sets[PartOf(t.federation, a.name)] = a.name
	if p != nil && a.parent != nil && a.parent.uid == p.uid && newer(a.parent.version, p.version) {
		return
	}
	a.parent = p
}

// leavesNoInventory says whether the error is about a parent that may not be
// written: a finding at every Apply, which goes on without prune, and no fault.
func (e *Error) leavesNoInventory() bool {
	return e.Class == ClassForbidden || e.Class == ClassAdmission || e.Class == ClassQuota
}

// refusal says why a parent is not ours to write.
func (a *Applier) refusal(app string, u *unstructured.Unstructured) *Error {
	annotations := u.GetAnnotations()
	tool, _, _ := strings.Cut(annotations[annotationTooling], "/")
	var why, remedy string
	switch {
	case tool != toolingName:
		why = fmt.Sprintf("it belongs to the tool %q", annotations[annotationTooling])
		remedy = "rename the federation or the app"
	case annotations[annotationFederation] != a.Federation || annotations[annotationApp] != app:
		why = fmt.Sprintf("it belongs to app %q of federation %q", annotations[annotationApp], annotations[annotationFederation])
		remedy = "rename the federation or the app"
	case annotations[annotationSource] != a.Source && !slices.Contains(a.FormerSources, annotations[annotationSource]):
		why = fmt.Sprintf("it belongs to another source (repository, ref and federation): %q, and this is %q", annotations[annotationSource], a.Source)
		remedy = fmt.Sprintf("stop the other fedsync; to take over, kubectl annotate --overwrite configmap -n %s %s %s=%s",
			Namespace, u.GetName(), annotationSource, a.Source)
	default:
		return nil
	}
	return &Error{
		Verb: "claim", Object: federation.RefOf(u), Class: ClassOwned,
		Err: fmt.Errorf("nothing is written for app %s: %s", app, why), Remedy: remedy,
	}
}

// isParent says whether the event is about a parent of this federation.
func (a *Applier) isParent(e Event) bool {
	return e.Resource == configMaps && e.Object.GetNamespace() == Namespace &&
		e.Object.GetLabels()[LabelFederation] == federationLabel(a.Federation) &&
		e.Object.GetAnnotations()[annotationApp] != ""
}

// observeParent takes an event of a parent; t.mu is held.
func (a *Applier) observeParent(e Event, p *parent) {
	t := a.table
	of := t.app(e.Object.GetAnnotations()[annotationApp])
	switch {
	case of.flight != nil && of.parent != nil && p != nil && !newer(p.version, of.parent.version):
		return
	case !e.Deleted:
		t.takeParent(of, p)
	case of.parent != nil && (of.parent.uid == e.Object.GetUID() || e.Object.GetUID() == ""):
		of.parent = nil // its kinds are known from the rows; what left has its label
	}
}

// parentTries bounds how often a parent that others write too is read again.
const parentTries = 5

// writeParent writes the app's parent until it is as wished, and returns it as it is
// then. It writes only where something differs.
func (a *Applier) writeParent(ctx context.Context, app string, w parentWish) (*parent, error) {
	parents := a.Client.Resource(configMaps).Namespace(Namespace)
	name := ParentName(a.Federation, app)
	p := w.known
	madeNamespace := false
	for range parentTries {
		if p.refusal() != nil {
			return p, p.refused
		}
		kinds, spaces := w.kinds, w.spaces
		if p != nil && !w.exact {
			kinds, spaces = union(p.kinds, w.kinds), union(p.namespaces, w.spaces)
		}
		if p != nil && p.instance == w.as && p.source == a.Source && maps.Equal(p.kinds, kinds) && maps.Equal(p.namespaces, spaces) {
			return p, nil
		}
		content := a.parentContent(app, w.as, kinds, spaces)
		var answer *unstructured.Unstructured
		var err error
		if p == nil {
			answer, err = write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return parents.Create(ctx, content, metav1.CreateOptions{FieldManager: ownership.FieldManager})
			})
		} else {
			content.SetResourceVersion(p.version)
			var data []byte
			if data, err = json.Marshal(content.Object); err != nil {
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
		default:
			return nil, err
		}
	}
	return p, &Error{
		Verb: "claim", Object: federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: name}, Class: ClassConflict,
		Err: errors.New("somebody else keeps changing it"),
	}
}

// parentContent is a parent as the ApplySet specification wants it.
func (a *Applier) parentContent(app, instance string, kinds map[schema.GroupKind]bool, spaces map[string]bool) *unstructured.Unstructured {
	var names []string
	for gk := range kinds {
		names = append(names, groupKindName(gk))
	}
	slices.Sort(names)
	version := a.Version
	if version == "" {
		version = "v0.0.0"
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	u.SetName(ParentName(a.Federation, app))
	u.SetNamespace(Namespace)
	u.SetLabels(map[string]string{
		LabelParentID:   PartOf(a.Federation, app),
		LabelFederation: federationLabel(a.Federation),
	})
	u.SetAnnotations(map[string]string{
		annotationTooling:    toolingName + "/" + version,
		annotationGroupKinds: strings.Join(names, ","),
		annotationMoreSpaces: strings.Join(slices.Sorted(maps.Keys(spaces)), ","),
		annotationFederation: a.Federation,
		annotationApp:        app,
		annotationSource:     a.Source,
		annotationInstance:   instance,
	})
	return u
}

// readParent reads the app's parent; nil where there is none.
func (a *Applier) readParent(ctx context.Context, app string) (*parent, error) {
	u, err := a.get(ctx, configMaps, federation.ObjectRef{Namespace: Namespace, Name: ParentName(a.Federation, app)})
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
		return struct{}{}, a.Client.Resource(configMaps).Namespace(Namespace).Delete(ctx, ParentName(a.Federation, app), preconditions(p.uid, p.version))
	})
	switch {
	case err == nil || apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // a missing parent is no parent
	case apierrors.IsConflict(err):
		return a.readParent(ctx, app)
	}
	return nil, err
}

func union[K comparable](a, b map[K]bool) map[K]bool {
	out := make(map[K]bool, len(a)+len(b))
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
