package untrusted

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Visible replaces what a reader could not see, or would see in the wrong place, by
// its escape: control characters, which a terminal would obey, and the format
// characters that reorder or hide text (https://trojansource.codes). A commit's
// subject with a right-to-left override in it then reads \u202e, and cannot disguise
// itself. Line ends and tabs stay. Invalid UTF-8 becomes U+FFFD.
//
// It is for whole answers rather than for single texts, so that no text can be
// forgotten.
func Visible(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			out = utf8.AppendRune(out, utf8.RuneError)
		case Hidden(r):
			quoted := strconv.QuoteRuneToASCII(r)
			out = append(out, quoted[1:len(quoted)-1]...)
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}

// Hidden reports whether Visible escapes a character.
func Hidden(r rune) bool {
	switch r {
	case '\n', '\t':
		return false
	case '\u200c', '\u200d': // the joiners, which Persian, Hindi and emoji need
		return false
	case '\u2028', '\u2029': // line and paragraph separator
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf)
}
