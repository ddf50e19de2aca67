package render

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fedsync/fedsync/internal/limit"
)

// A mistake is what is wrong with an object, and where in it.
type mistake struct {
	path   []string
	reason string
	remedy string
}

// check finds what no cluster should be asked to run: objects without a name of
// their own, and fields that belong to the API server or to a controller. What a
// kind's schema says is left to the API server, which knows its version.
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
		add("want a map with a name, got "+typeName(content["metadata"]), "", "metadata")
		return found
	}
	name, _ := metadata["name"].(string)
	switch {
	case metadata["generateName"] != nil:
		add("every sync would create another object", "give the object a name", "metadata", "generateName")
	case name == "":
		add("want a name, got "+shown(metadata["name"]), "", "metadata", "name")
	default:
		found = append(found, checkName(refOf(content).GroupKind(), name)...)
	}
	found = append(found, checkNamespace(metadata["namespace"])...)
	for _, field := range []string{"managedFields", "resourceVersion", "uid"} {
		if metadata[field] != nil {
			add("belongs to the API server; the manifest was read out of a cluster", "delete the field", "metadata", field)
		}
	}
	for _, field := range []string{"annotations", "labels"} {
		found = append(found, checkLabels(field, metadata[field])...)
	}
	if annotations, _ := metadata["annotations"].(map[string]any); kind == "Ingress" {
		for _, key := range ingressOutput {
			if _, listed := annotations[key]; listed {
				add("the ingress controller writes this annotation in every cluster; a sync would undo it", "delete the annotation", "metadata", "annotations", key)
			}
		}
	}
	return found
}

// ingressOutput are the annotations by which the ingress controller of Google
// Cloud (kubernetes/ingress-gce) says what it made for an Ingress.
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

// field gives "metadata.annotations[a.b/c]".
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
	return typeName(v)
}
