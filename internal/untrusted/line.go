package untrusted

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is the most, in bytes, that is kept of one text of others. A condition's
// message may be 32 KiB long, and every report holds it; nobody reads the rest.
const MaxLine = 1024

const (
	mask     = "***" // stands where a secret was
	ellipsis = "…"   // ends what was cut
)

// Line returns Clean(text, MaxLine).
func Line(text string) string { return Clean(text, MaxLine) }

// Clean makes one line of a text: valid UTF-8 of at most most bytes, cut between two
// runes, without control and invisible characters and without what looks like a
// secret. Of a text that is much longer only the head is read, so that the time
// depends on most alone. Clean(Clean(text, most), most) is Clean(text, most).
func Clean(text string, most int) string {
	var none *Secrets
	return none.Clean(text, most)
}

// Line returns s.Clean(text, MaxLine).
func (s *Secrets) Line(text string) string { return s.Clean(text, MaxLine) }

// Clean does what the function Clean does, and takes out the secrets too, in every
// form that they were given to NewSecrets for.
func (s *Secrets) Clean(text string, most int) string {
	text, more := head(text, most)
	text = s.settle(s.Mask(text)) // some secrets hold characters that a line has not
	for range maxPasses {
		short := shorten(text, most, more)
		if short == text {
			return text
		}
		text = s.settle(short)
	}
	return shorten(ellipsis, most, false)
}

// maxPasses bounds how often a text is cleaned. What one pass takes out may complete
// what the next one finds; only an attacker's text needs more than three.
const maxPasses = 12

// settle takes out of a text what may not be shown until nothing is left of it.
func (s *Secrets) settle(text string) string {
	for range maxPasses {
		before := text
		if text = withoutShapes(s.Mask(oneLine(text))); text == before {
			return text
		}
	}
	return ellipsis // nothing of it is safe to show
}

// window is how much of a text is read so that most bytes of it can be shown. It is
// more, since white space and secrets take less room in the end.
func window(most int) int { return max(4*most, 8<<10) }

// head returns what is read of a text, and whether that is not all of it. The last
// word goes where it may be the beginning of a secret that continues behind it.
func head(text string, most int) (string, bool) {
	end := window(most)
	if len(text) <= end {
		return text, false
	}
	text = prefix(text, end)
	if i := strings.LastIndexFunc(text, unicode.IsSpace); i > most {
		return text[:i], true
	}
	return prefix(text, max(most, end/4)), true
}

// shorten cuts a line to at most most bytes, an ellipsis included, which a line gets
// too of which more was there.
func shorten(line string, most int, more bool) string {
	if len(line) <= most && (!more || strings.HasSuffix(line, ellipsis)) {
		return line
	}
	if most < len(ellipsis) {
		return strings.TrimRight(prefix(line, most), " ")
	}
	return strings.TrimRight(prefix(line, most-len(ellipsis)), " ") + ellipsis
}

// prefix is the longest prefix of at most n bytes that ends with a whole rune.
func prefix(text string, n int) string {
	if n >= len(text) {
		return text
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// Shorten cuts a text to at most n runes, the last of them an ellipsis. It does not
// clean: it is for columns of a fixed width.
func Shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	runes, end := 0, 0 // end is that of what fits beside the ellipsis
	for i := range text {
		if runes == n-1 {
			end = i
		}
		if runes == n {
			return text[:end] + ellipsis
		}
		runes++
	}
	return text
}

// oneLine makes valid UTF-8 of a text, in one line: runs of white space and control
// characters become one blank. What nobody sees goes, since it can split a secret, or
// make a line read as another, but for the joiners where a language has them.
func oneLine(text string) string {
	if isOneLine(text) {
		return text
	}
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	var b strings.Builder
	b.Grow(len(text))
	last := ' ' // that was kept
	for i, r := range text {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			if r = ' '; last == ' ' {
				continue
			}
		case joiner(r):
			next, _ := utf8.DecodeRuneInString(text[i+utf8.RuneLen(r):])
			if !joined(last) || !joined(next) {
				continue
			}
		case invisible(r):
			continue
		}
		b.WriteRune(r)
		last = r
	}
	return strings.TrimSuffix(b.String(), " ")
}

// joiner reports whether a character is one of those that Persian, Hindi and emoji
// need between two others. Elsewhere they are invisible.
func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// joined reports whether a joiner may stand beside a character.
func joined(r rune) bool {
	return r > unicode.MaxASCII && r != utf8.RuneError && unicode.In(r, unicode.L, unicode.M, unicode.S)
}

// isOneLine reports whether oneLine would change nothing, for ASCII at least.
func isOneLine(text string) bool {
	last := byte(' ')
	for i := range len(text) {
		b := text[i]
		if b < ' ' || b >= 0x7f || b == ' ' && last == ' ' {
			return false
		}
		last = b
	}
	return last != ' ' || text == ""
}

// invisible reports whether a character shows nothing of itself: those that format,
// which reverse the direction of writing among others, and those that are none.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Noncharacter_Code_Point)
}
