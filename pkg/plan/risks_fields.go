package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/fields"
	"github.com/fedsync/fedsync/internal/untrusted"
)

// immutables are immutable fields, from the validation of the API server (ValidateXUpdate in
// k8s.io/kubernetes/pkg/apis). A dry run finds others.
var immutables = map[schema.GroupKind][]string{
	{Group: "apps", Kind: "Deployment"}:                              {"spec.selector"},
	{Group: "apps", Kind: "ReplicaSet"}:                              {"spec.selector"},
	{Group: "apps", Kind: "DaemonSet"}:                               {"spec.selector"},
	{Group: "apps", Kind: "StatefulSet"}:                             {"spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"},
	{Group: "batch", Kind: "Job"}:                                    {"spec.selector", "spec.template", "spec.completionMode"},
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        {"roleRef"},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: {"roleRef"},
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                  {"provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"},
	{Kind: "Secret"}:                                    {"type"},
	{Kind: "PersistentVolumeClaim"}:                     {"spec.accessModes", "spec.storageClassName", "spec.selector", "spec.volumeName"},
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}: {"value"},
}

// immutable returns the immutable fields that a change modifies.
func immutable(o ObjectChange) []string {
	var paths []string
	for _, path := range immutables[o.Object.GroupKind()] {
		if changed(o, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// changed reports whether a field, or one within it, changes.
func changed(o ObjectChange, path string) bool {
	return slices.ContainsFunc(o.Fields, func(f fields.Difference) bool { return within(f.Path, path) })
}

// was reports whether a field changes from a text to another value.
func was(o ObjectChange, path, text string) bool {
	return slices.ContainsFunc(o.Fields, func(f fields.Difference) bool { return f.Path == path && string(f.Before) == strconv.Quote(text) })
}

// becomes reports whether a field changes to a value.
func becomes(o ObjectChange, path, value string) bool {
	return slices.ContainsFunc(o.Fields, func(f fields.Difference) bool { return f.Path == path && string(f.After) == value })
}

func within(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// describe returns the changes of fields, and of fields within them, on one line.
func describe(o ObjectChange, paths ...string) string {
	var parts []string
	for _, f := range o.Fields {
		if slices.ContainsFunc(paths, func(path string) bool { return within(f.Path, path) }) {
			parts = append(parts, f.Path+" "+cmp.Or(string(f.Before), "none")+" → "+cmp.Or(string(f.After), "none"))
		}
	}
	return untrusted.Some(parts, 3)
}
