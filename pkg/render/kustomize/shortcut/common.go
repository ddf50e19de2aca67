package shortcut

import (
	"bytes"
	"slices"

	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // deprecated for an API v1 that is not there; the version is pinned
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// unpatched returns the kustomization without its type, its resources and its
// patches.
func (l Layer) unpatched() types.Kustomization {
	left := l.Kustomization
	left.TypeMeta = types.TypeMeta{}
	left.MetaData = nil
	left.Resources = nil
	left.Patches = nil
	left.PatchesStrategicMerge = nil //nolint:staticcheck // deprecated, but still built
	return left
}

// uncommon returns the kustomization without its patches and without additions to
// single objects. Neither changes a name, so the result for one object does not
// depend on another.
func (l Layer) uncommon() types.Kustomization {
	left := l.unpatched()
	left.CommonAnnotations = nil
	left.Labels = nil
	left.Images = nil
	left.Replicas = nil
	return left
}

// commonSteps returns the steps of an overlay other than patches, in the order in
// which kustomize applies them. It returns false if a label is set anywhere but in
// an object's own metadata.
func (l Layer) commonSteps() ([]step, bool) {
	var steps []step
	good := true
	add := func(s step, config any) {
		data, err := yaml.Marshal(config)
		if err == nil {
			err = s.plugin.Config(nil, data)
		}
		good = good && err == nil
		steps = append(steps, s)
	}
	for _, label := range l.Labels {
		if label.IncludeSelectors || label.IncludeTemplates || label.IncludeVolumeClaimTemplates || len(label.FieldSpecs) > 0 {
			return nil, false
		}
		add(step{plugin: &builtins.LabelTransformerPlugin{}, gift: &gift{label.Pairs, labelled}}, builtins.LabelTransformerPlugin{
			Labels: label.Pairs, FieldSpecs: labelled,
		})
	}
	if len(l.CommonAnnotations) > 0 {
		add(step{plugin: &builtins.AnnotationsTransformerPlugin{}, gift: &gift{l.CommonAnnotations, annotated}}, builtins.AnnotationsTransformerPlugin{
			Annotations: l.CommonAnnotations, FieldSpecs: annotated,
		})
	}
	for _, r := range l.Replicas {
		add(step{plugin: &builtins.ReplicaCountTransformerPlugin{}, replicas: &r}, builtins.ReplicaCountTransformerPlugin{Replica: r, FieldSpecs: counted})
	}
	for _, i := range l.Images {
		add(step{plugin: &builtins.ImageTagTransformerPlugin{}, images: true}, builtins.ImageTagTransformerPlugin{ImageTag: i, FieldSpecs: imaged})
	}
	return steps, good
}

// Where kustomize sets labels, annotations, replica counts and images: its defaults, which it
// does not export (api/internal/konfig/builtinpluginconsts). The tests verify these by
// comparing with kustomize.
var (
	labelled  = []types.FieldSpec{created("metadata/labels", "", "")}
	annotated = []types.FieldSpec{
		created("metadata/annotations", "", ""),
		{Gvk: resid.Gvk{Version: "v1", Kind: "ReplicationController"}, Path: podAnnotations, CreateIfNotPresent: true},
		created(podAnnotations, "", "Deployment"),
		created(podAnnotations, "", "ReplicaSet"),
		created(podAnnotations, "", "DaemonSet"),
		created(podAnnotations, "", "StatefulSet"),
		created(podAnnotations, "batch", "Job"),
		created("spec/jobTemplate/metadata/annotations", "batch", "CronJob"),
		created("spec/jobTemplate/"+podAnnotations, "batch", "CronJob"),
	}
	counted = []types.FieldSpec{
		created("spec/replicas", "", "Deployment"),
		created("spec/replicas", "", "ReplicationController"),
		created("spec/replicas", "", "ReplicaSet"),
		created("spec/replicas", "", "StatefulSet"),
	}
	imaged = []types.FieldSpec{
		created("spec/containers[]/image", "", ""),
		created("spec/initContainers[]/image", "", ""),
		created("spec/volumes[]/image/reference", "", ""),
		created("spec/template/spec/containers[]/image", "", ""),
		created("spec/template/spec/initContainers[]/image", "", ""),
		created("spec/template/spec/volumes[]/image/reference", "", ""),
		created("spec/jobTemplate/spec/template/spec/volumes[]/image/reference", "", ""),
	}
)

const podAnnotations = "spec/template/metadata/annotations"

func created(path, group, kind string) types.FieldSpec {
	return types.FieldSpec{Gvk: resid.Gvk{Group: group, Kind: kind}, Path: path, CreateIfNotPresent: true}
}

// counts reports whether kustomize sets replica counts of a kind.
func counts(kind resid.Gvk) bool {
	return slices.ContainsFunc(counted, func(s types.FieldSpec) bool { return kind.IsSelected(&s.Gvk) })
}

// mayHaveImages reports whether an object may have the fields that images are
// set in, or other fields of the same names, which are an error.
func mayHaveImages(content map[string]any, data []byte) bool {
	for _, name := range []string{`"containers":`, `"initContainers":`} { // wherever they are
		if bytes.Contains(data, []byte(name)) {
			return true
		}
	}
	spec, isMap := content["spec"].(map[string]any)
	if !isMap {
		return content["spec"] != nil
	}
	return spec["volumes"] != nil || spec["template"] != nil || spec["jobTemplate"] != nil
}
