package manifest

import "strings"

// dropPlaceholders removes placeholders from an object that the cluster fills in: the rules of an
// aggregated ClusterRole, and the CA bundle that a controller injects.
func dropPlaceholders(content map[string]any) {
	apiVersion, _ := content["apiVersion"].(string)
	group, _, _ := strings.Cut(apiVersion, "/")
	switch kind, _ := content["kind"].(string); kind + "." + group {
	case "ClusterRole.rbac.authorization.k8s.io":
		if content["aggregationRule"] != nil {
			delete(content, "rules")
		}
	case "ValidatingWebhookConfiguration.admissionregistration.k8s.io", "MutatingWebhookConfiguration.admissionregistration.k8s.io",
		"CustomResourceDefinition.apiextensions.k8s.io", "APIService.apiregistration.k8s.io":
		metadata, _ := content["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		withoutAuthorities(content, isInjected(annotations))
	}
}

// isInjected reports whether annotations request a CA bundle, as for cert-manager and
// OpenShift.
func isInjected(annotations map[string]any) bool {
	for name := range annotations {
		if strings.HasPrefix(name, "cert-manager.io/inject-") || name == "service.beta.openshift.io/inject-cabundle" {
			return true
		}
	}
	return false
}

// withoutAuthorities removes CA bundles: all of them, or only placeholders ("Cg==" is a
// line break).
func withoutAuthorities(value any, all bool) {
	switch value := value.(type) {
	case map[string]any:
		if held, stated := value["caBundle"]; stated && (all || held == "" || held == "Cg==") {
			delete(value, "caBundle")
		}
		for _, one := range value {
			withoutAuthorities(one, all)
		}
	case []any:
		for _, one := range value {
			withoutAuthorities(one, all)
		}
	}
}
