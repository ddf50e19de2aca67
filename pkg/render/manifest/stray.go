package manifest

import (
	"strings"
	"unicode/utf8"
)

// strayRemedy is what to do about a file of a plain folder that is there for something
// else.
const strayRemedy = "move it out of the app's folder, or add a kustomization.yaml that names what counts"

// isStray reports whether a document is there for something else than a cluster, such
// as a dashboard, and why: it says nothing by which an API server would know it.
func isStray(content map[string]any) (reason string, stray bool) {
	if content["apiVersion"] == nil && content["kind"] == nil {
		return "is no manifest: it has neither apiVersion nor kind", true
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

// Stray is the mistake of a document that is no manifest; nil for one that is.
func (m Manifest) Stray() *Error {
	reason, stray := isStray(m.Content)
	if !stray {
		return nil
	}
	e := m.problem("", reason)
	e.Remedy = strayRemedy
	return e
}

// Misnamed is the mistake of a file that cannot be read since its name is not UTF-8; nil
// for another. A name may have come with its odd bytes replaced.
func Misnamed(name string) *Error {
	if !strings.ContainsRune(name, utf8.RuneError) {
		return nil
	}
	return &Error{File: name, Reason: "the name of the file is not UTF-8", Remedy: "rename it"}
}
