package untrusted

import (
	"regexp"
	"slices"
	"strings"
)

// A shape is the form of a kind of secret. Its expression has two groups: what
// stays in front of the secret, and the secret.
type shape struct {
	hints   []string // without one of them in the text, in any case, there is no match
	pattern *regexp.Regexp
}

// named matches the end of a name for secrets.
const named = `(?:token|passw(?:or)?d|passphrase|secret|(?:api|access|private|signing)[_-]?key)`

var namedHints = []string{"token", "passw", "passphrase", "secret", "key"}

// shapes are tried in this order. A closing delimiter after a secret is optional:
// the text may be cut.
var shapes = []shape{
	{[]string{"-----begin"}, regexp.MustCompile(`(?i)()(-----BEGIN.*?(?:-----END[^-]*(?:-----|$)|$))`)},
	{[]string{"bearer", "basic", "negotiate"}, regexp.MustCompile(`(?i)(\b(?:bearer|basic|negotiate)\s+)([A-Za-z0-9._~+/=-]{4,})`)},
	{[]string{"authorization"}, regexp.MustCompile(`(?i)(\bauthorization\\?["']?\s*[:=]\s*(?:\\?["'\[])*[a-z]+\s+)([^\s"',}\]\\]+)`)},
	{[]string{"token"}, regexp.MustCompile(`(?i)(\btoken\s+)([A-Za-z0-9._~+/=-]{16,})`)}, // a shorter one may be a word
	{[]string{"://"}, regexp.MustCompile(`(://)([^\s"']+)@`)},                            // up to the last @, since a password may contain others
	{[]string{"?", "&"}, regexp.MustCompile(`(?i)([?&](?:[a-z_-]*token|[a-z_-]*key|password|secret|sig|signature|code)=)([^&\s"']+)`)},
	{namedHints, regexp.MustCompile(`(?i)([a-z0-9_-]*` + named + `\s*=\s*)("[^"]*"?|'[^']*'?|[^\s"'&,;]+)`)},
	{namedHints, regexp.MustCompile(`(?i)("[a-z0-9_-]*` + named + `"\s*:\s*")((?:[^"\\]|\\.)+)`)},
	{namedHints, regexp.MustCompile(`(?i)(\\"[a-z0-9_-]*` + named + `\\"\s*:\s*\\")((?:[^"\\]|\\[^"])+)`)},
	{namedHints, regexp.MustCompile(`(?i)('[a-z0-9_-]*` + named + `'\s*:\s*')([^']+)`)},
	// In headers and validation errors.
	{[]string{"cookie", "-token", "-key"}, regexp.MustCompile(`(?i)(\b(?:(?:set-)?cookie|[a-z]+-(?:[a-z]+-)*(?:token|api-?key))\s*:\s*)([^\s"',;]+(?:;\s*[^\s"',;]+=[^\s"',;]+)*)`)},
	{[]string{"invalid value"}, regexp.MustCompile(`(?i)(` + named + `\]?: invalid value: )("(?:[^"\\]|\\.)*"?)`)},
	{[]string{"passw"}, regexp.MustCompile(`(?i)(\bpassw(?:or)?d:)([^\s"',;\]}]+)`)}, // as Go prints a map or a struct
	// The head of a JSON web token is enough: {" in base64 and what follows.
	{[]string{"eyj"}, regexp.MustCompile(`()(\beyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]+){1,4}|\beyJ[A-Za-z0-9_-]{17,})`)},
	{
		[]string{"gh", "glpat-", "ya29.", "aiza", "akia", "xox"},
		regexp.MustCompile(`()(\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}|ya29\.[A-Za-z0-9_-]{16,}|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{12,}|xox[abeoprs]-[A-Za-z0-9-]{10,}))`),
	},
}

// withoutShapes masks what looks like a secret in a line. All shapes are matched
// against the same text, so that masking one does not hide another.
func withoutShapes(line string) string {
	hinted := hintedIn(line)
	if hinted == 0 {
		return line
	}
	var found [][2]int
	for i := range shapes {
		if hinted&(1<<i) != 0 {
			found = shapes[i].find(found, line)
		}
	}
	return masked(line, found)
}

// hintedIn returns the shapes with a hint in the line, a bit each. It reads the
// line once: usually there is no hint, and reports have many lines.
func hintedIn(line string) (hinted uint32) {
	if strings.Contains(line, kelvin) {
		line = strings.ReplaceAll(line, kelvin, "k")
	}
	for i := range len(line) {
		for _, h := range hints[lower(line[i])] {
			if hinted&h.shapes != h.shapes && hasFold(line[i:], h.text) {
				hinted |= h.shapes
			}
		}
	}
	return hinted
}

// kelvin is a sign that a case-insensitive expression matches as k.
const kelvin = "\u212a"

// hint is a text, in lower case, that every match of some shapes contains.
type hint struct {
	text   string
	shapes uint32 // a bit for each shape
}

// hints are the hints of all shapes, by their first byte.
var hints = func() (table [256][]hint) {
	for i, shape := range shapes {
		for _, text := range shape.hints {
			list := &table[text[0]]
			at := slices.IndexFunc(*list, func(h hint) bool { return h.text == text })
			if at < 0 {
				at = len(*list)
				*list = append(*list, hint{text: text})
			}
			(*list)[at].shapes |= 1 << i
		}
	}
	return table
}()

// hasFold reports whether a text begins with a lower-case prefix, ignoring case.
func hasFold(text, prefix string) bool {
	if len(text) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if lower(text[i]) != prefix[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// find appends the positions of secrets of this shape. A mask is not a secret, so
// that a line does not change when it is cleaned again.
func (s *shape) find(found [][2]int, line string) [][2]int {
	for _, at := range s.pattern.FindAllStringSubmatchIndex(line, -1) {
		from, to := at[4], at[5]
		if strings.Trim(line[from:to], `*…"'`) != "" && !sshUser(line[:from], line[from:to]) {
			found = append(found, [2]int{from, to})
		}
	}
	return found
}

// sshUser reports whether a word is the user of an ssh URL without a password. It is
// not a secret: usually it is git.
func sshUser(before, word string) bool {
	return strings.HasSuffix(before, "ssh://") && plainUser.MatchString(word)
}

// masked returns the text with a mask for each range; adjacent ranges share one.
func masked(text string, ranges [][2]int) string {
	if len(ranges) == 0 {
		return text
	}
	slices.SortFunc(ranges, func(a, b [2]int) int { return a[0] - b[0] })
	var b strings.Builder
	end := 0
	for i, r := range ranges {
		if i == 0 || r[0] > end {
			b.WriteString(text[end:r[0]] + mask)
		}
		end = max(end, r[1])
	}
	return b.String() + text[end:]
}
