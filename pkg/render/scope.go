package render

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A scope states whether the objects of a kind are namespaced.
type scope bool

const namespaced scope = true

// scopes holds the scopes that CustomResourceDefinitions define.
type scopes map[schema.GroupKind]scope

// of returns the scope of a kind, first from Kubernetes' own kinds. If it is
// unknown, only the cluster can tell.
func (s scopes) of(o *federation.Object) (found scope, known bool) {
	gvk := o.GVK()
	meta := yaml.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind}
	if in, ok := openapi.IsNamespaceScoped(meta); ok {
		return scope(in), true
	}
	found, known = s[gvk.GroupKind()]
	return found, known
}

// definedScopes reads the CustomResourceDefinitions among objects.
func definedScopes(objects []*federation.Object) (scopes, error) {
	var all scopes
	for _, o := range objects {
		if o.Ref.Kind != "CustomResourceDefinition" || o.Ref.Group != "apiextensions.k8s.io" {
			continue
		}
		var crd struct {
			Spec struct {
				Group string `json:"group"`
				Names struct {
					Kind string `json:"kind"`
				} `json:"names"`
				Scope string `json:"scope"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(o.JSON, &crd); err != nil {
			return nil, &Error{File: o.File, Reason: fmt.Sprintf("%s cannot be read: %v", o.Ref, err)}
		}
		if all == nil {
			all = scopes{}
		}
		all[schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind}] = scope(crd.Spec.Scope != "Cluster")
	}
	return all, nil
}
