package manifest

import (
	"strings"
	"unicode/utf8"
)

// strayRemedy is the remedy for a file in a plain folder that is not a manifest.
const strayRemedy = "move it out of the app's folder, or add a kustomization.yaml that lists the manifests"

// isStray reports whether a document is not meant for a cluster, such as a dashboard,
// and why: it lacks what identifies an object.
func isStray(content map[string]any) (reason string, stray bool) {
	if content["apiVersion"] == nil && content["kind"] == nil {
		return "is not a manifest: it has neither apiVersion nor kind", true
	}
	apiVersion, _ := content["apiVersion"].(string)
	if kind, _ := content["kind"].(string); strings.HasPrefix(apiVersion, "kustomize.config.k8s.io/") {
		if kind != "Component" {
			kind = "Kustomization"
		}
		return "is a " + kind + ", and is built only under the name kustomization.yaml", true
	}
	return "", false
}

// Stray returns an error for a document that is not a manifest; nil for a
// manifest.
func (m Manifest) Stray() *Error {
	reason, stray := isStray(m.Content)
	if !stray {
		return nil
	}
	e := m.problem("", reason)
	e.Remedy = strayRemedy
	return e
}

// Misnamed returns an error for a file that cannot be read because its name is not
// UTF-8; nil for other names. Invalid bytes in the name may have been replaced already.
func Misnamed(name string) *Error {
	if !strings.ContainsRune(name, utf8.RuneError) {
		return nil
	}
	return &Error{File: name, Reason: "the name of the file is not UTF-8", Remedy: "rename it"}
}
