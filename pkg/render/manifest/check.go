package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fedsync/fedsync/internal/limit"
)

// A mistake is an error in an object, with its position.
type mistake struct {
	path   []string
	reason string
	remedy string
}

// check finds what must not be applied to any cluster: objects without a name,
// and fields that belong to the API server or to a controller. Validation
// against a kind's schema is left to the API server, which knows its version.
func check(content map[string]any) []mistake {
	var found []mistake
	add := func(reason, remedy string, path ...string) {
		found = append(found, mistake{path: path, reason: reason, remedy: remedy})
	}

	if s, _ := content["apiVersion"].(string); s == "" || strings.Count(s, "/") > 1 {
		add("want an API version, as in apps/v1, got "+shown(content["apiVersion"]), "", "apiVersion")
	}
	kind, _ := content["kind"].(string)
	if first, _ := utf8.DecodeRuneInString(kind); !unicode.IsUpper(first) || strings.Contains(kind, "/") {
		add("want a kind, as in Service, got "+shown(content["kind"]), "", "kind")
	}
	metadata, ok := content["metadata"].(map[string]any)
	if !ok {
		add("want a map with a name, got "+TypeName(content["metadata"]), "", "metadata")
		return found
	}
	name, _ := metadata["name"].(string)
	switch {
	case metadata["generateName"] != nil:
		add("every sync would create another object", "give the object a name", "metadata", "generateName")
	case name == "":
		add("want a name, got "+shown(metadata["name"]), "", "metadata", "name")
	default:
		found = append(found, checkName(Ref(content).GroupKind(), name)...)
	}
	found = append(found, checkNamespace(metadata["namespace"])...)
	for _, field := range []string{"managedFields", "resourceVersion", "uid"} {
		if metadata[field] != nil {
			add("is set by the API server; the manifest was exported from a cluster", "delete the field", "metadata", field)
		}
	}
	for _, field := range []string{"annotations", "labels"} {
		found = append(found, checkLabels(field, metadata[field])...)
	}
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if writer := writerOf(kind, key); writer != "" {
			add(writer+" sets this annotation in every cluster; a sync would undo it", "delete the annotation", "metadata", "annotations", key)
		}
	}
	if builtIn(content) && hasContent(content["status"]) {
		add("is set by the object's controller in every cluster; the manifest was exported from a cluster", "delete the field", "status")
	}
	return found
}

// hasContent reports whether a value contains anything that is not empty or zero. Generators
// of manifests leave such empty fields.
func hasContent(value any) bool {
	switch value := value.(type) {
	case nil:
		return false
	case string:
		return value != ""
	case bool:
		return value
	case map[string]any:
		for _, one := range value {
			if hasContent(one) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(value, hasContent)
	}
	return fmt.Sprint(value) != "0"
}

// writerOf returns the controller that sets an annotation in each cluster; empty for
// one that users set.
func writerOf(kind, key string) string {
	switch {
	case kind == "Ingress" && slices.Contains(ingressOutput, key):
		return "the ingress controller"
	case strings.HasPrefix(key, "deployment.kubernetes.io/"):
		return "the Deployments' controller"
	case strings.HasPrefix(key, "pv.kubernetes.io/"), key == "volume.kubernetes.io/selected-node", strings.HasSuffix(key, ".kubernetes.io/storage-provisioner"):
		return "the volumes' controller"
	case key == "cloud.google.com/neg-status":
		return "Google's controller of network endpoint groups"
	}
	return ""
}

// ingressOutput are the annotations with which the ingress controller of Google
// Cloud (kubernetes/ingress-gce) records what it created for an Ingress.
var ingressOutput = []string{
	"ingress.kubernetes.io/backends",
	"ingress.kubernetes.io/forwarding-rule",
	"ingress.kubernetes.io/https-forwarding-rule",
	"ingress.kubernetes.io/https-target-proxy",
	"ingress.kubernetes.io/ssl-cert",
	"ingress.kubernetes.io/static-ip",
	"ingress.kubernetes.io/target-proxy",
	"ingress.kubernetes.io/url-map",
}

// field returns "metadata.annotations[a.b/c]".
func (m mistake) field() string {
	if len(m.path) == 3 {
		return m.path[0] + "." + m.path[1] + "[" + limit.Text(m.path[2], limit.ValueBytes) + "]"
	}
	return strings.Join(m.path, ".")
}

func shown(v any) string {
	if s, ok := v.(string); ok {
		return limit.Quote(s)
	}
	return TypeName(v)
}
