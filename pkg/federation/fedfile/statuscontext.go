package fedfile

import (
	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/federation"
)

// StatusContext returns the status context for the content of a fedsync.yaml in a
// folder, even if the file has mistakes: its commit then fails under the context that the
// forge already knows.
func StatusContext(folder string, data []byte, allowed func(context string) bool) string {
	var file any
	if docs, _ := strictyaml.Decode(data); len(docs) > 0 { // mistakes are ignored
		file = docs[0].Value
	}
	return federation.StatusContext(textAt(file, "spec", "commitStatus", "context"), folder, textAt(file, "metadata", "name"), allowed)
}

// StatusContextLine returns the line of the status context in a fedsync.yaml, or of the
// nearest enclosing field if it sets none; 0 for a file that is not YAML.
func StatusContextLine(data []byte) int {
	doc, _ := federationFormat.document(data)
	if doc == nil {
		return 0
	}
	return doc.Line("spec", "commitStatus", "context")
}

// textAt returns the text at a path of keys; empty if there is none.
func textAt(v any, keys ...string) string {
	for _, key := range keys {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	text, _ := v.(string)
	return text
}
