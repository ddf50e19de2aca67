package health

import (
	"regexp"
	"strings"
	"unicode"
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
	headerPattern     = regexp.MustCompile(`(?i)(\bauthorization["']?\s*[:=]\s*["']?[a-z]+\s+)[^\s"',}]+`)
	tokenPattern      = regexp.MustCompile(`(?i)(\btoken\s+)[A-Za-z0-9._~+/=-]{16,}`) // a shorter one may be a word
	settingPattern    = regexp.MustCompile(`(?i)([a-z0-9_-]*(?:token|passw(?:or)?d|secret|api[_-]?key|access[_-]?key)\s*=\s*)(?:"[^"]*"|'[^']*'|[^\s"'&,;]+)`)
	fieldPattern      = regexp.MustCompile(`(?i)("[a-z0-9_-]*(?:token|passw(?:or)?d|secret|api[_-]?key|access[_-]?key)\\?"\s*:\s*\\?")(?:[^"\\]|\\[^"])+`)
	jwtPattern        = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?`)
)

// Redact takes out of a text what must not be shown: the secrets given, bearer
// and basic credentials, the userinfo of URLs (all up to the last @), tokens in
// queries, settings and JSON, and JSON web tokens. What is left is valid UTF-8 of at
// most a kilobyte, in one line, without invisible characters.
func Redact(text string, secrets ...string) string {
	text = withoutSecrets(text, secrets)
	// Characters that nobody sees may not hide a secret either.
	text = plain(text)
	for i := range secrets {
		text = withoutSecrets(text, []string{plain(secrets[i])})
	}
	text = credentialPattern.ReplaceAllString(text, "$1 ***")
	text = headerPattern.ReplaceAllString(text, "$1***")
	text = tokenPattern.ReplaceAllString(text, "$1***")
	text = userinfoPattern.ReplaceAllString(text, "://***@")
	text = queryPattern.ReplaceAllString(text, "$1***")
	text = settingPattern.ReplaceAllString(text, "$1***")
	text = fieldPattern.ReplaceAllString(text, "$1***")
	text = jwtPattern.ReplaceAllString(text, "***")
	return shorten(text)
}

func withoutSecrets(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= 4 { // a shorter one would blank out ordinary words
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// shorten makes an untrusted text one line of valid UTF-8 of at most maxText
// bytes, cut between two runes, without what plain leaves out.
func shorten(text string) string {
	text = plain(text)
	if len(text) <= maxText {
		return text
	}
	end := maxText - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// plain makes a text one line of valid UTF-8 without characters that terminals and
// readers of files act on and nobody sees: those that control, those that format,
// and those that are none.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Noncharacter_Code_Point):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Join(strings.Fields(text), " ")
}
