package federation

import (
	"path"
	"strings"
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

// ClusterStatusContext returns the context for the status of one cluster, in a
// federation with that context.
func ClusterStatusContext(context, cluster string) string { return context + "/" + cluster }
