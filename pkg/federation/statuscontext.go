package federation

import (
	"path"
	"strings"
)

// DefaultStatusContext returns the status context of a federation that does not set one:
// "fedsync/NAME", or "fedsync/FOLDER/NAME" if it is in a folder of its repository, since
// another folder may have a federation of the same name. While the name is not known, it
// is "fedsync" or "fedsync/FOLDER".
func DefaultStatusContext(folder, name string) string { return path.Join("fedsync", folder, name) }

// maxStatusContext is the schema's maxLength of spec.commitStatus.context, in bytes.
const maxStatusContext = 255

// ValidStatusContext reports whether a text may be the context of a commit status:
// up to 255 printable ASCII characters without a space at either end. A forge shows it
// next to the contexts of other tools, so it must not contain characters that hide it or
// imitate another context.
func ValidStatusContext(context string) bool {
	printable := func(r rune) bool { return r >= ' ' && r <= '~' }
	return context != "" && len(context) <= maxStatusContext && strings.TrimSpace(context) == context &&
		strings.IndexFunc(context, func(r rune) bool { return !printable(r) }) < 0
}

// StatusContext returns the context for the statuses of a federation. It is the first of
// these that is valid and allowed: the wanted one, the default for the federation's folder
// and name, the default for its name. Otherwise it is the plain "fedsync", which
// imitates no other repository's context.
func StatusContext(wanted, folder, name string, allowed func(context string) bool) string {
	for _, context := range []string{wanted, DefaultStatusContext(folder, name), DefaultStatusContext("", name)} {
		if ValidStatusContext(context) && allowed(context) {
			return context
		}
	}
	return DefaultStatusContext("", "")
}

// ClusterStatusContext returns the context for the status of one cluster, in a
// federation with this context.
func ClusterStatusContext(context, cluster string) string { return context + "/" + cluster }
