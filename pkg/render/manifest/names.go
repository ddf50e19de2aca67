package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	rules "k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/limit"
)

// subdomainKinds are the kinds of Kubernetes whose names are DNS subdomains, by
// group. Other kinds, such as those of RBAC, of extensions and of unknown APIs,
// may have any name that fits into a URL's path.
var subdomainKinds = map[string][]string{
	"": {
		"ConfigMap", "Endpoints", "LimitRange", "Node", "PersistentVolume", "PersistentVolumeClaim", "Pod", "PodTemplate",
		"ReplicationController", "ResourceQuota", "Secret", "ServiceAccount",
	},
	"admissionregistration.k8s.io": {
		"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
	},
	"apiextensions.k8s.io":         {"CustomResourceDefinition"},
	"apps":                         {"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"},
	"autoscaling":                  {"HorizontalPodAutoscaler"},
	"batch":                        {"CronJob", "Job"},
	"coordination.k8s.io":          {"Lease"},
	"discovery.k8s.io":             {"EndpointSlice"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"networking.k8s.io":            {"Ingress", "IngressClass", "NetworkPolicy"},
	"node.k8s.io":                  {"RuntimeClass"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"storage.k8s.io":               {"CSIDriver", "StorageClass", "VolumeAttributesClass"},
}

// nameReasons returns why an API server would refuse a name for an object of that
// kind; nothing if some server accepts it. A newer server may accept more than an
// older one, such as a Service whose name begins with a digit; the newer one
// decides.
func nameReasons(kind schema.GroupKind, name string) []string {
	switch {
	case kind == schema.GroupKind{Kind: "Namespace"}, kind == schema.GroupKind{Kind: "Service"}:
		return rules.IsDNS1123Label(name)
	case slices.Contains(subdomainKinds[kind.Group], kind.Kind):
		return rules.IsDNS1123Subdomain(name)
	}
	return rules.IsPathSegmentName(name)
}

// checkName validates a name.
func checkName(kind schema.GroupKind, name string) []mistake {
	var found []mistake
	for _, reason := range nameReasons(kind, name) {
		found = append(found, mistake{
			path:   []string{"metadata", "name"},
			reason: fmt.Sprintf("%s is not a valid name for kind %s: %s", limit.Quote(name), limit.Text(kind.Kind, limit.ValueBytes), withoutExpression(reason)),
		})
	}
	return found
}

// checkNamespace validates a namespace. No cluster has a Namespace of another
// form, whatever the object's kind.
func checkNamespace(value any) []mistake {
	path := []string{"metadata", "namespace"}
	namespace, isString := value.(string)
	switch {
	case value == nil || isString && namespace == "":
		return nil
	case !isString:
		return []mistake{{path: path, reason: "want a namespace, got " + TypeName(value)}}
	}
	var found []mistake
	for _, reason := range rules.IsDNS1123Label(namespace) {
		found = append(found, mistake{path: path, reason: limit.Quote(namespace) + " is not a valid namespace: " + withoutExpression(reason)})
	}
	return found
}

// withoutExpression removes examples and the regular expression from a reason,
// which has stated the rule in words.
func withoutExpression(reason string) string {
	words, _, _ := strings.Cut(reason, " (e.g. ")
	return words
}

// annotationBytes is how many bytes the annotations of an object may have, keys and
// values: TotalAnnotationSizeLimitB of k8s.io/apimachinery/pkg/api/validation.
const annotationBytes = 256 << 10

// checkLabels validates labels or annotations. It reports the first mistakes,
// since a file may have any number of keys.
func checkLabels(field string, value any) []mistake {
	values, isMap := value.(map[string]any)
	if !isMap {
		if value == nil {
			return nil
		}
		return []mistake{{path: []string{"metadata", field}, reason: "want a map, got " + TypeName(value)}}
	}
	var found []mistake
	size, wrong := 0, 0
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text, isString := values[key].(string)
		size += len(key) + len(text)
		m := mistake{path: []string{"metadata", field, key}}
		switch {
		case !isString && values[key] != nil:
			m.reason, m.remedy = "want a string, got "+TypeName(values[key]), "put the value in quotes"
		case field == "labels":
			m.reason = labelReason(key, text)
		default: // an API server ignores the case of an annotation's key
			m.reason = keyReason("an annotation", strings.ToLower(key))
		}
		if m.reason == "" {
			continue
		}
		if wrong++; wrong <= limit.Names {
			found = append(found, m)
		}
	}
	if wrong > limit.Names {
		found = append(found, mistake{path: []string{"metadata", field}, reason: limit.More(wrong-limit.Names) + " are wrong"})
	}
	if field == "annotations" && size > annotationBytes {
		found = append(found, mistake{path: []string{"metadata", field}, reason: fmt.Sprintf("they have %s bytes, more than the %s that an API server accepts", limit.Number(size), limit.Number(annotationBytes))})
	}
	return found
}

func labelReason(key, value string) string {
	if reason := keyReason("a label", key); reason != "" {
		return reason
	}
	if reasons := rules.IsLabelValue(value); len(reasons) > 0 {
		return limit.Quote(value) + " is not a valid label value: " + withoutExpression(strings.Join(reasons, "; "))
	}
	return ""
}

// keyReason does not name the key: the mistake's field does.
func keyReason(of, key string) string {
	if reasons := rules.IsLabelKey(key); len(reasons) > 0 {
		return "the key of " + of + " is not valid: " + withoutExpression(strings.Join(reasons, "; "))
	}
	return ""
}
