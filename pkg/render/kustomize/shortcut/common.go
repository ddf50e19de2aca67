package shortcut

import (
	"bytes"
	"slices"

	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // deprecated for an API v1 that is not there; the version is pinned
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"
)

// unpatched is the kustomization without what it is and what it merges.
func (l Layer) unpatched() types.Kustomization {
	left := l.Kustomization
	left.TypeMeta = types.TypeMeta{}
	left.MetaData = nil
	left.Resources = nil
	left.Patches = nil
	left.PatchesStrategicMerge = nil //nolint:staticcheck // deprecated, and still built
	return left
}

// uncommon is the kustomization without its patches and without what is given to its
// objects one by one: such an overlay changes no name, so nothing that one object
// gets depends on another.
func (l Layer) uncommon() types.Kustomization {
	left := l.unpatched()
	left.CommonAnnotations = nil
	left.Labels = nil
	left.Images = nil
	left.Replicas = nil
	return left
}

// commonSteps are the steps of what an overlay gives to its objects besides patches,
// in the order in which kustomize takes them. It says false where a label goes
// anywhere but into an object's own metadata.
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

// Where kustomize puts labels, annotations, replica counts and images: its defaults, which it
// keeps to itself (api/internal/konfig/builtinpluginconsts). The comparison with
// kustomize in the tests holds these to them.
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

// mayHaveImages reports whether the fields that images are put into may be in an
// object, or fields of their names that are something else, which is an error.
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
