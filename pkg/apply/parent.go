package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/federation"
)

// parent is what is known of the ConfigMap that heads an app's inventory.
type parent struct {
	uid        types.UID
	version    string // the resourceVersion; empty where it does not exist
	kinds      map[schema.GroupKind]bool
	namespaces map[string]bool // but fedsync-system
	instance   string
	claimed    bool   // it bore our instance in this run
	refused    *Error // why it is not ours to write
}

// Prepare reads the parents of this federation, so that Kinds and Claim know
// them. It writes nothing. Where they may not be listed, none is known.
func (a *Applier) Prepare(ctx context.Context) error {
	list, err := request(ctx, a, func(ctx context.Context) (*unstructured.UnstructuredList, error) {
		return a.Client.Resource(configMaps).Namespace(Namespace).List(ctx, metav1.ListOptions{LabelSelector: ParentSelector(a.Federation)})
	})
	if apierrors.IsForbidden(err) {
		return nil // without an inventory apply goes on and does not prune: its finding says so
	}
	if err != nil {
		return fmt.Errorf("list the inventories of federation %s in %s: %w", a.Federation, Namespace, err)
	}
	for i := range list.Items {
		if app := list.Items[i].GetAnnotations()[annotationApp]; app != "" {
			a.storeParent(app, &list.Items[i])
		}
	}
	return nil
}

// Claim writes this instance into every parent that Prepare found, but for those
// that already bear it or belong to another source. From then on older instances
// write nothing any more.
func (a *Applier) Claim(ctx context.Context) error {
	release, err := a.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	a.mu.Lock()
	apps := slices.Sorted(maps.Keys(a.parents))
	a.mu.Unlock()
	var errs []error
	for _, app := range apps {
		err := a.writeParent(ctx, app, nil, nil, false)
		if err == nil {
			continue
		}
		e := newError("claim", federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: ParentName(a.Federation, app)}, "", err)
		if e.Class != ClassOwned && !e.leavesNoInventory() {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// leavesNoInventory says whether the error is about a parent that may not be
// written: a finding at every Apply, which goes on without prune, and no fault.
func (e *Error) leavesNoInventory() bool {
	return e.Class == ClassForbidden || e.Class == ClassAdmission || e.Class == ClassQuota
}

// Parents names the parents that are known, by app.
func (a *Applier) Parents() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var apps []string
	for app, p := range a.parents {
		if p.version != "" && p.refused == nil {
			apps = append(apps, app)
		}
	}
	slices.Sort(apps)
	return apps
}

// storeParent takes over what was read of a parent, and looks who writes it.
func (a *Applier) storeParent(app string, u *unstructured.Unstructured) *parent {
	p := &parent{
		uid:        u.GetUID(),
		version:    u.GetResourceVersion(),
		kinds:      map[schema.GroupKind]bool{},
		namespaces: map[string]bool{},
		instance:   u.GetAnnotations()[annotationInstance],
		refused:    a.refusal(app, u),
	}
	for _, name := range splitList(u.GetAnnotations()[annotationGroupKinds]) {
		p.kinds[schema.ParseGroupKind(name)] = true
	}
	for _, name := range splitList(u.GetAnnotations()[annotationMoreSpaces]) {
		p.namespaces[name] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apps[PartOf(a.Federation, app)] = app
	old := a.parents[app]
	if old != nil && old.version != "" && newer(old.version, p.version) {
		return old
	}
	if old != nil && old.claimed {
		p.claimed = true
		if p.instance != a.Instance && p.instance != "" && a.fencedBy == "" && p.refused == nil {
			a.fencedBy = p.instance
			a.Log.Error("another instance took over", zap.String("instance", p.instance))
		}
	}
	a.parents[app] = p
	return p
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
	case annotations[annotationSource] != a.Source:
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

// observeParent looks whether somebody took a parent over, changed or deleted it.
func (a *Applier) observeParent(ref federation.ObjectRef, e Event) Drift {
	app := e.Object.GetAnnotations()[annotationApp]
	out := Drift{Object: ref}
	if e.Deleted {
		a.mu.Lock()
		defer a.mu.Unlock()
		if p := a.parents[app]; p != nil && p.version != "" && newer(e.ResourceVersion, p.version) {
			p.version = "" // its kinds are not forgotten: it is made again from them
			out.Repair, out.Text = a.hasApp(app), "deleted, or its label removed by somebody"
		}
		return out
	}
	p := a.storeParent(app, e.Object)
	a.mu.Lock()
	defer a.mu.Unlock()
	out.Findings = a.fencedBy != "" || p.refused != nil
	if a.fencedBy == "" && p.refused == nil && p.claimed && !a.wide(app, p) {
		out.Repair, out.Text = true, "the inventory was changed by somebody"
	}
	return out
}

// hasApp says whether the cluster should run objects of the app; a.mu is held.
func (a *Applier) hasApp(app string) bool {
	for _, d := range a.desired {
		if d.app == app {
			return true
		}
	}
	return false
}

// wide says whether the parent lists every kind and namespace of the app, and
// bears our instance; a.mu is held.
func (a *Applier) wide(app string, p *parent) bool {
	if p.version == "" || p.instance != a.Instance {
		return false
	}
	for _, d := range a.desired {
		if d.app == app && (!p.kinds[d.ref.GroupKind()] || !listsNamespace(p, d.ref.Namespace)) {
			return false
		}
	}
	return true
}

func listsNamespace(p *parent, namespace string) bool {
	return namespace == "" || namespace == Namespace || p.namespaces[namespace]
}

// parentTries bounds how often a parent that others write too is read again.
const parentTries = 5

// writeParent sees to it that the app's parent exists, bears our instance, and
// lists these kinds and namespaces: besides what it lists or, where exact, alone.
// It writes only where something differs.
func (a *Applier) writeParent(ctx context.Context, app string, kinds map[schema.GroupKind]bool, spaces map[string]bool, exact bool) error {
	parents := a.Client.Resource(configMaps).Namespace(Namespace)
	name := ParentName(a.Federation, app)
	ref := federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: name}
	madeNamespace := false
	for range parentTries {
		a.mu.Lock()
		p := parent{}
		if known := a.parents[app]; known != nil {
			p = *known
		}
		a.mu.Unlock()
		if p.refused != nil {
			return p.refused
		}
		wantKinds, wantSpaces := maps.Clone(kinds), maps.Clone(spaces)
		if !exact {
			wantKinds, wantSpaces = union(p.kinds, kinds), union(p.namespaces, spaces)
		}
		if p.version != "" && p.instance == a.Instance && maps.Equal(p.kinds, wantKinds) && maps.Equal(p.namespaces, wantSpaces) {
			a.mu.Lock()
			if known := a.parents[app]; known != nil {
				known.claimed = true
			}
			a.mu.Unlock()
			return nil
		}
		content := a.parentContent(app, wantKinds, wantSpaces)
		var answer *unstructured.Unstructured
		var err error
		if p.version == "" {
			answer, err = write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return parents.Create(ctx, content, metav1.CreateOptions{FieldManager: FieldManager})
			})
		} else {
			content.SetResourceVersion(p.version)
			var data []byte
			if data, err = json.Marshal(content.Object); err != nil {
				return fmt.Errorf("encode %s: %w", ref, err)
			}
			answer, err = write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return parents.Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: FieldManager})
			})
		}
		switch {
		case err == nil:
			a.storeParent(app, answer)
			a.mu.Lock()
			a.parents[app].claimed = true
			a.mu.Unlock()
			continue // to see it as it is now: ours, or already another's
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
			if err := a.readParent(ctx, app); err != nil {
				return newError("read", ref, "", err)
			}
		case apierrors.IsNotFound(err) && p.version != "":
			a.forgetParent(app)
		case apierrors.IsNotFound(err) && !madeNamespace:
			madeNamespace = true
			if err := a.createNamespace(ctx, Namespace); err != nil {
				return newError("create", federation.ObjectRef{Kind: "Namespace", Name: Namespace}, "", err)
			}
		default:
			return newError("claim", ref, "", err)
		}
	}
	return &Error{
		Verb: "claim", Object: ref, Class: ClassConflict, RetryAfter: retrySoon,
		Err: errors.New("somebody else keeps changing it"),
	}
}

// parentContent is a parent as the ApplySet specification wants it.
func (a *Applier) parentContent(app string, kinds map[schema.GroupKind]bool, spaces map[string]bool) *unstructured.Unstructured {
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
		annotationInstance:   a.Instance,
	})
	return u
}

func (a *Applier) readParent(ctx context.Context, app string) error {
	u, err := request(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return a.Client.Resource(configMaps).Namespace(Namespace).Get(ctx, ParentName(a.Federation, app), metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		a.forgetParent(app)
		return nil
	}
	if err != nil {
		return err
	}
	a.storeParent(app, u)
	return nil
}

func (a *Applier) forgetParent(app string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.parents[app]; p != nil {
		p.version = ""
	}
}

// deleteParent ends an inventory that has no objects left.
func (a *Applier) deleteParent(ctx context.Context, app string) error {
	a.mu.Lock()
	p := a.parents[app]
	a.mu.Unlock()
	if p == nil || p.version == "" {
		return nil
	}
	name := ParentName(a.Federation, app)
	_, err := write(ctx, a, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.Client.Resource(configMaps).Namespace(Namespace).Delete(ctx, name, preconditions(p.uid, p.version))
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return newError("prune", federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: name}, "", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.parents, app)
	return nil
}

func (a *Applier) fencedFinding() federation.Finding {
	return federation.Finding{
		ID: "fenced", Severity: federation.SeverityError, Cluster: a.Cluster,
		Message: fmt.Sprintf("instance %s writes this federation now: this instance (%s) has stopped writing", a.fencedBy, a.Instance),
		Remedy:  "stop one of the two",
	}
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
