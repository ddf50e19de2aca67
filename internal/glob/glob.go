// Package glob matches names with the patterns of fedsync's settings.
package glob

import "strings"

// Match reports whether a pattern matches a whole name. An asterisk matches any
// text, including the empty text and slashes, which have no meaning in contexts of
// kubeconfigs and commit statuses. Every other character matches itself.
func Match(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, parts[last])
}

// MatchAny reports whether one of the patterns matches the name.
func MatchAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if Match(pattern, name) {
			return true
		}
	}
	return false
}
