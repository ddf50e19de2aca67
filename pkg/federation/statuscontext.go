package federation

import (
	"path"
	"strings"

	"github.com/fedsync/fedsync/internal/strictyaml"
)

// DefaultStatusContext is the status context of a federation that asks for none:
// "fedsync/NAME", or "fedsync/FOLDER/NAME" where it lives in a folder of its repository,
// since another folder may have a federation of the same name for other clusters. One
// whose name could not be read yet is "fedsync" or "fedsync/FOLDER".
func DefaultStatusContext(folder, name string) string { return path.Join("fedsync", folder, name) }

// maxStatusContext is the schema's maxLength of spec.commitStatus.context, in bytes.
const maxStatusContext = 255

// ValidStatusContext reports whether a text may be the context of a commit status:
// up to 255 printable characters of ASCII without a space at either end. A forge
// shows it beside the contexts of others, so nothing in it may hide or pretend.
func ValidStatusContext(context string) bool {
	printable := func(r rune) bool { return r >= ' ' && r <= '~' }
	return context != "" && len(context) <= maxStatusContext && strings.TrimSpace(context) == context &&
		strings.IndexFunc(context, func(r rune) bool { return !printable(r) }) < 0
}

// StatusContext returns the context for the statuses of a federation that asks for
// one: that, if it is valid and allowed, or else the default for the federation's
// folder and name, or for its name, or else the plain "fedsync", which no repository can
// ask another for.
func StatusContext(wanted, folder, name string, allowed func(context string) bool) string {
	for _, context := range []string{wanted, DefaultStatusContext(folder, name), DefaultStatusContext("", name)} {
		if ValidStatusContext(context) && allowed(context) {
			return context
		}
	}
	return DefaultStatusContext("", "")
}

// ReadStatusContext returns the status context for the content of a fedsync.yaml in a
// folder, as far as it can be read: a file with mistakes in it fails its commit under the
// context by which the forge knows it.
func ReadStatusContext(folder string, data []byte, allowed func(context string) bool) string {
	var file any
	if docs, _ := strictyaml.Decode(data); len(docs) > 0 { // whatever mistakes there are
		file = docs[0].Value
	}
	return StatusContext(textAt(file, "spec", "commitStatus", "context"), folder, textAt(file, "metadata", "name"), allowed)
}

// ClusterStatusContext returns the context for the status of one cluster, in a
// federation with that context.
func ClusterStatusContext(context, cluster string) string { return context + "/" + cluster }

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
