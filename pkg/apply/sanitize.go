package apply

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// textMax is the most, in runes, that a finding keeps of what an API server or a
// webhook said: it may be megabytes, and every report holds it.
const textMax = 2000

// bearer is a token as a webhook or a proxy may quote it.
var bearer = regexp.MustCompile(`(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{4,}|\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?`)

// sanitize makes of an API server's text what a finding may hold: valid UTF-8 that is
// not too long, without tokens.
func sanitize(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	// What is cut off anyway need not be searched; a token at the end is not halved.
	if most := 2 * utf8.UTFMax * textMax; len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	text = bearer.ReplaceAllString(text, "$1***")
	runes := 0
	for i := range text {
		if runes++; runes > textMax {
			return text[:i] + "…"
		}
	}
	return text
}
