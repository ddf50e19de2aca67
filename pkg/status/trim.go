package status

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ellipsis ends a text that was cut.
const ellipsis = "…"

// Trim makes one line of s that is valid UTF-8, has no control or invisible
// formatting characters, and takes at most limit bytes. What is too long is cut
// at a rune's border and ends with "…".
//
// The limit counts bytes, since they are never fewer than the characters that a
// forge counts, however it counts them.
func Trim(s string, limit int) string {
	s = line(s)
	if len(s) <= limit {
		return s
	}
	if limit < len(ellipsis) {
		return strings.TrimRight(cut(s, limit), " ")
	}
	return strings.TrimRight(cut(s, limit-len(ellipsis)), " ") + ellipsis
}

// cut gives the longest prefix of s of at most n bytes that ends with a rune.
func cut(s string, n int) string {
	n = max(n, 0)
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:min(n, len(s))]
}

// line turns a text of any origin into one line that is safe to show. Runs of
// white space and control characters become one blank; format characters go,
// because those that reverse the direction of writing can make a line read as
// another.
func line(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
