package untrusted

import (
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf16"
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
		plain := plainPrefix(text)
		out, text = append(out, text[:plain]...), text[plain:]
		r, size := utf8.DecodeRune(text)
		switch {
		case size == 0:
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

// VisibleJSON does the same to a document of JSON, by escapes of JSON: who reads it as
// text sees them, and a program gets what was there.
func VisibleJSON(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/64)
	for len(text) > 0 {
		plain := plainPrefix(text)
		out, text = append(out, text[:plain]...), text[plain:]
		r, size := utf8.DecodeRune(text)
		switch {
		case size == 0:
		case r != utf8.RuneError && !Hidden(r):
			out = append(out, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}

// plainPrefix returns how much of the beginning of a text is ASCII that is not hidden,
// which is nearly all of it: to look at that a rune at a time would take longer than
// all else that makes a report.
func plainPrefix(text []byte) int {
	for i, b := range text {
		if (b < ' ' && b != '\n' && b != '\t') || b >= 0x7f {
			return i
		}
	}
	return len(text)
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
