package health

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxText is the most, in bytes, that is kept of a text which a cluster sent. A
// condition's message may be 32 KiB long; nobody reads the rest of it.
const maxText = 1024

// What a secret looks like wherever it turns up in a text.
var (
	credentialPattern = regexp.MustCompile(`(?i)\b(bearer|basic|negotiate)\s+[A-Za-z0-9._~+/=-]{4,}`)
	userinfoPattern   = regexp.MustCompile(`://[^\s"']+@`)
	queryPattern      = regexp.MustCompile(`(?i)([?&](?:[a-z_-]*token|[a-z_-]*key|password|secret|sig|signature|code)=)[^&\s"']+`)
	jwtPattern        = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?`)
)

// Redact takes out of a text what must not be shown: the secrets given, bearer
// and basic credentials, the userinfo of URLs (all up to the last @), tokens in queries, and JSON web
// tokens. What is left is valid UTF-8 of at most a kilobyte, in one line.
func Redact(text string, secrets ...string) string {
	for _, secret := range secrets {
		if len(secret) >= 4 { // a shorter one would blank out ordinary words
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	text = credentialPattern.ReplaceAllString(text, "$1 ***")
	text = userinfoPattern.ReplaceAllString(text, "://***@")
	text = queryPattern.ReplaceAllString(text, "$1***")
	text = jwtPattern.ReplaceAllString(text, "***")
	return shorten(text)
}

// shorten makes an untrusted text one line of valid UTF-8 of at most maxText
// bytes, cut between two runes.
func shorten(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) <= maxText {
		return text
	}
	end := maxText - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
