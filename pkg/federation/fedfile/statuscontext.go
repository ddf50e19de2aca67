package fedfile

import (
	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/federation"
)

// StatusContext returns the status context for the content of a fedsync.yaml in a
// folder, as far as it can be read: a file with mistakes in it fails its commit under the
// context by which the forge knows it.
func StatusContext(folder string, data []byte, allowed func(context string) bool) string {
	var file any
	if docs, _ := strictyaml.Decode(data); len(docs) > 0 { // whatever mistakes there are
		file = docs[0].Value
	}
	return federation.StatusContext(textAt(file, "spec", "commitStatus", "context"), folder, textAt(file, "metadata", "name"), allowed)
}

// StatusContextLine returns the line where a fedsync.yaml asks for its status
// context, or of the nearest field above where it does not; 0 for a file that is no
// YAML.
func StatusContextLine(data []byte) int {
	doc, _ := federationFormat.document(data)
	if doc == nil {
		return 0
	}
	return doc.Line("spec", "commitStatus", "context")
}

// textAt returns the text under some keys; empty where there is none.
func textAt(v any, keys ...string) string {
	for _, key := range keys {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	text, _ := v.(string)
	return text
}
