package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Parent is the content of the ConfigMap that heads an app's inventory.
type Parent struct {
	Federation string
	App        string
	Source     string // a digest of repository, ref and federation
	Instance   string // the name of the fedsync that last wrote it
	Contents
	// Ended are the Jobs that ended and may be deleted, by EndedKey.
	Ended map[string]Ended

	// The API server sets these.
	UID             types.UID
	ResourceVersion string

	tooling string // the tool that created it, and its version
}

// Read decodes a parent.
func Read(u *unstructured.Unstructured) Parent {
	annotations := u.GetAnnotations()
	p := Parent{
		Federation:      annotations[annotationFederation],
		App:             annotations[annotationApp],
		Source:          annotations[annotationSource],
		Instance:        annotations[annotationInstance],
		Contents:        Contents{Kinds: map[schema.GroupKind]bool{}, Namespaces: map[string]bool{}},
		Ended:           readEnded(u),
		UID:             u.GetUID(),
		ResourceVersion: u.GetResourceVersion(),
		tooling:         annotations[annotationTooling],
	}
	for _, name := range splitList(annotations[annotationGroupKinds]) {
		p.Kinds[schema.ParseGroupKind(name)] = true
	}
	for _, name := range splitList(annotations[annotationMoreSpaces]) {
		p.Namespaces[name] = true
	}
	return p
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// AppOf returns the app whose parent in the federation a ConfigMap is. It is empty if
// the ConfigMap is no parent, such as a copy under another name.
func AppOf(federationName string, u *unstructured.Unstructured) string {
	if u.GetNamespace() != federation.SystemNamespace || u.GetLabels()[LabelFederation] != FederationLabel(federationName) {
		return ""
	}
	app := u.GetAnnotations()[annotationApp]
	if u.GetName() != ParentName(federationName, app) {
		return ""
	}
	return app
}

// FederationOf returns the federation whose inventory an object heads, and its source.
// Both are empty if the object is not a parent of fedsync's in its proper place.
func FederationOf(u *unstructured.Unstructured) (name, source string) {
	p := Read(u)
	whatever := Owner{Federation: p.Federation, Source: p.Source}
	if why, _ := whatever.Refusal(p.App, p); why != "" || AppOf(p.Federation, u) == "" {
		return "", ""
	}
	return p.Federation, p.Source
}

// Object returns the parent as a ConfigMap of the ApplySet specification. The version
// is fedsync's, as in v0.1.0; it may be empty. With a ResourceVersion, a write of the
// object succeeds only for that state of the parent.
func (p Parent) Object(version string) *unstructured.Unstructured {
	var names []string
	for gk := range p.Kinds {
		names = append(names, gk.String())
	}
	slices.Sort(names)
	if version == "" {
		version = "v0.0.0"
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	u.SetName(ParentName(p.Federation, p.App))
	u.SetNamespace(federation.SystemNamespace)
	u.SetResourceVersion(p.ResourceVersion)
	u.SetLabels(map[string]string{
		LabelParentID:   PartOf(p.Federation, p.App),
		LabelFederation: FederationLabel(p.Federation),
	})
	u.SetAnnotations(map[string]string{
		annotationTooling:    toolingName + "/" + version,
		annotationGroupKinds: strings.Join(names, ","),
		annotationMoreSpaces: strings.Join(slices.Sorted(maps.Keys(p.Namespaces)), ","),
		annotationFederation: p.Federation,
		annotationApp:        p.App,
		annotationSource:     p.Source,
		annotationInstance:   p.Instance,
	})
	if len(p.Ended) > 0 {
		data := map[string]any{}
		for key, e := range p.Ended {
			data[key] = e.text()
		}
		u.Object["data"] = data
	}
	return u
}

// Change returns a JSON merge patch that turns the parent from before into p.
func (p Parent) Change(version string, before Parent) ([]byte, error) {
	u := p.Object(version)
	for key := range before.Ended {
		if _, stays := p.Ended[key]; !stays {
			if err := unstructured.SetNestedField(u.Object, nil, "data", key); err != nil {
				return nil, err
			}
		}
	}
	return json.Marshal(u.Object)
}

// TakeOver is the remedy where a federation belongs to another source.
const TakeOver = "stop the other fedsync, or rename the federation; if this is the same repository at another address, " +
	"run `fedsync takeover` with these settings to see what it would move, and add --yes to move it"

// MoveTo returns a JSON merge patch that gives the parent to another source, provided
// that it has not changed since it was read.
func (p Parent) MoveTo(source string) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": p.UID, "resourceVersion": p.ResourceVersion, "annotations": map[string]any{annotationSource: source},
	}})
}

// Owner is a fedsync with inventories of its own.
type Owner struct {
	Federation string
	Source     string
	// FormerSources are the names that earlier versions gave to the same source.
	FormerSources []string
}

// Follows reports whether source is the owner's, under its current or a former name.
func (o Owner) Follows(source string) bool {
	return source == o.Source || slices.Contains(o.FormerSources, source)
}

// Refusal returns why the owner may not write a parent for the app, and a remedy. Both
// are empty if it may.
func (o Owner) Refusal(app string, p Parent) (why, remedy string) {
	tool, _, _ := strings.Cut(p.tooling, "/")
	switch {
	case tool != toolingName:
		return fmt.Sprintf("it belongs to the tool %q", p.tooling), "rename the federation or the app"
	case p.Federation != o.Federation || p.App != app:
		return fmt.Sprintf("it belongs to app %q of federation %q", p.App, p.Federation), "rename the federation or the app"
	case !o.Follows(p.Source):
		why = fmt.Sprintf("it belongs to another source (repository, ref and federation): %q; this source is %q", p.Source, o.Source)
		remedy = TakeOver
	}
	return why, remedy
}
