package untrusted

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is how much of one untrusted text is kept, in bytes. A condition's
// message may be 32 KiB long, and every report holds it; the rest would not be
// read.
const MaxLine = 1024

const (
	mask     = "***" // replaces a secret
	ellipsis = "…"   // marks the end of a cut text
)

// Line returns Clean(text, MaxLine).
func Line(text string) string { return Clean(text, MaxLine) }

// Clean turns a text into one line: valid UTF-8 of no more than most bytes, cut
// between two runes, without control and invisible characters, and without anything
// that looks like a secret. Only the head of a much longer text is read, so that the
// time depends only on most. Clean(Clean(text, most), most) equals Clean(text,
// most).
func Clean(text string, most int) string {
	var none *Secrets
	return none.Clean(text, most)
}

// Line returns s.Clean(text, MaxLine).
func (s *Secrets) Line(text string) string { return s.Clean(text, MaxLine) }

// Clean is like the function Clean, and also masks the secrets, in every shape.
func (s *Secrets) Clean(text string, most int) string {
	text, more := head(text, most)
	text = s.settle(s.Mask(text)) // some secrets contain characters that a line cannot
	for range maxPasses {
		short := shorten(text, most, more)
		if short == text {
			return text
		}
		text = s.settle(short)
	}
	return shorten(ellipsis, most, false)
}

// maxPasses bounds how often a text is cleaned. What one pass removes may complete a
// secret for the next; only an attacker's text needs more than three passes.
const maxPasses = 12

// settle removes what must not be shown, until a pass finds nothing more.
func (s *Secrets) settle(text string) string {
	for range maxPasses {
		before := text
		if text = withoutShapes(s.Mask(oneLine(text))); text == before {
			return text
		}
	}
	return ellipsis // no part of it is safe to show
}

// window returns how many bytes of a text are read to show most bytes of it. It is
// more than most, since white space and secrets shrink.
func window(most int) int { return max(4*most, 8<<10) }

// head returns the part of a text that is read, and whether there is more. It
// drops the last word if that may be the beginning of a secret that continues
// after the cut.
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

// shorten cuts a line to no more than most bytes, including an ellipsis. If more is
// set, the line gets an ellipsis in any case.
func shorten(line string, most int, more bool) string {
	if len(line) <= most && (!more || strings.HasSuffix(line, ellipsis)) {
		return line
	}
	if most < len(ellipsis) {
		return strings.TrimRight(prefix(line, most), " ")
	}
	return strings.TrimRight(prefix(line, most-len(ellipsis)), " ") + ellipsis
}

// prefix returns the longest prefix of at most n bytes that ends with a whole
// rune.
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
// clean the text: it is for columns of a fixed width.
func Shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	runes, end := 0, 0 // end of the part that fits together with the ellipsis
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

// oneLine converts a text to one line of valid UTF-8: runs of white space and control
// characters become one blank. Invisible characters are removed, since they can split
// a secret or disguise a line. Joiners stay where a language needs them.
func oneLine(text string) string {
	if isOneLine(text) {
		return text
	}
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	var b strings.Builder
	b.Grow(len(text))
	last := ' ' // the last character kept
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

// joiner reports whether a character is one that Persian, Hindi and emoji need
// between two others. Elsewhere it is invisible.
func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// joined reports whether a joiner may be next to a character.
func joined(r rune) bool {
	return r > unicode.MaxASCII && r != utf8.RuneError && unicode.In(r, unicode.L, unicode.M, unicode.S)
}

// isOneLine reports whether a text is ASCII that oneLine would not change.
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

// invisible reports whether a character is invisible: a format character, such as
// one that reverses the writing direction, or not a character.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Noncharacter_Code_Point)
}
