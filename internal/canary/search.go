package canary

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"iter"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// piece is how many consecutive letters and digits of a canary count as a match: a
// text may be cut within one.
const piece = 12

// Search finds canaries.
type Search struct {
	pieces map[string]string // places by the pieces to find, in lower case
	seen   map[string]bool   // texts already searched
}

// NewSearch returns a Search for secrets, which are keyed by place.
func NewSearch(secrets map[string]string) *Search {
	s := &Search{pieces: map[string]string{}, seen: map[string]bool{}}
	for place, secret := range secrets {
		for line := range strings.Lines(secret) { // lines of a PEM key
			bare := bareOf(line)
			for i := 0; i+piece <= len(bare) && !strings.HasPrefix(line, "-----"); i++ {
				s.pieces[bare[i:i+piece]] = place
			}
		}
	}
	return s
}

// Found is a canary found in a text.
type Found struct {
	Place string   // where it was planted
	By    []string // how the text was decoded
	Near  string   // the decoded text around it
}

// In returns the canaries in a text, one for each place.
func (s *Search) In(text string) []Found {
	if s.seen[text] {
		return nil
	}
	s.seen[text] = true
	found := map[string]Found{}
	tried := map[string]bool{}
	s.search(text, nil, found, tried)
	all := make([]Found, 0, len(found))
	for _, f := range found {
		all = append(all, f)
	}
	return all
}

// depth is how many times a text is decoded.
const depth = 3

func (s *Search) search(text string, by []string, found map[string]Found, tried map[string]bool) {
	if len(text) < piece || tried[text] {
		return
	}
	tried[text] = true
	bare, at := bareAt(text)
	for i := 0; i+piece <= len(bare); i++ {
		place, ok := s.pieces[bare[i:i+piece]]
		if _, known := found[place]; ok && !known {
			found[place] = Found{Place: place, By: by, Near: text[max(0, at[i]-150):min(len(text), at[i+piece-1]+150)]}
		}
	}
	if len(by) == depth {
		return
	}
	for _, d := range decoders {
		s.search(d.decode(text), append(slices.Clip(by), d.name), found, tried)
	}
}

// decoders undo the encodings that leave traces in a text reduced to letters and
// digits.
var decoders = []struct {
	name   string
	decode func(string) string // returns the empty string if there is nothing to decode
}{
	{"percent", percent},
	{"backslash", backslash},
	{"HTML", func(s string) string { return other(s, html.UnescapeString(s)) }},
	{"without blanks", func(s string) string { return other(s, strings.Map(visible, s)) }},
	{"base64", base64Words},
	{"hexadecimal", hexWords},
}

func other(before, after string) string {
	if before == after {
		return ""
	}
	return after
}

var percents = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func percent(s string) string {
	return other(s, percents.ReplaceAllStringFunc(s, func(one string) string {
		plain, err := url.PathUnescape(one)
		if err != nil {
			return one
		}
		return plain
	}))
}

var backslashes = regexp.MustCompile(`\\+(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[nrtbf"\\/])`)

func backslash(s string) string {
	return other(s, backslashes.ReplaceAllStringFunc(s, func(one string) string {
		code := strings.TrimLeft(one, `\`)
		if len(code) < 3 {
			return " "
		}
		n, err := strconv.ParseUint(code[1:], 16, 32)
		if err != nil {
			return one
		}
		return string(rune(n))
	}))
}

func visible(r rune) rune {
	if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.In(r, unicode.Cf) {
		return -1
	}
	return r
}

// words yields each maximal run, of at least least bytes, of bytes for which in
// returns true. A regular expression would take most of the time of a search.
func words(s string, least int, in func(byte) bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		begin := 0
		for i := 0; i <= len(s); i++ {
			if i < len(s) && in(s[i]) {
				continue
			}
			if i-begin >= least && !yield(s[begin:i]) {
				return
			}
			begin = i + 1
		}
	}
}

func in64(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '_' || c == '-'
}

func inHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

var urlTo64 = strings.NewReplacer("-", "+", "_", "/")

// base64Words decodes every word that may be base64, at each possible offset.
func base64Words(s string) string {
	var b strings.Builder
	for word := range words(s, 12, in64) {
		word = urlTo64.Replace(word)
		for from := range 4 {
			part := word[from:]
			if len(part)%4 == 1 {
				part = part[:len(part)-1]
			}
			if plain, err := base64.RawStdEncoding.DecodeString(part); err == nil {
				b.WriteString(strings.ToValidUTF8(string(plain), " ") + "\x00")
			}
		}
	}
	return b.String()
}

func hexWords(s string) string {
	var b strings.Builder
	for word := range words(s, 16, inHex) {
		for from := range 2 {
			part := word[from:]
			if plain, err := hex.DecodeString(part[:len(part)/2*2]); err == nil {
				b.WriteString(strings.ToValidUTF8(string(plain), " ") + "\x00")
			}
		}
	}
	return b.String()
}

func bareOf(text string) string {
	bare, _ := bareAt(text)
	return bare
}

// bareAt returns the ASCII letters, in lower case, and digits of a text, and their
// positions.
func bareAt(text string) (string, []int) {
	bare, at := make([]byte, 0, len(text)), make([]int, 0, len(text))
	for i := range len(text) {
		c := text[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			bare, at = append(bare, c), append(at, i)
		}
	}
	return string(bare), at
}
