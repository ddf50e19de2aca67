package untrusted

import (
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Visible escapes characters that are invisible or misplace text: control
// characters, which a terminal would obey, and format characters that reorder or
// hide text (https://trojansource.codes). A right-to-left override in a commit's
// subject then reads \u202e, and disguises nothing. Line ends and tabs are
// unchanged. Invalid UTF-8 becomes U+FFFD.
//
// It is meant for whole answers rather than single texts, so that no text is
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

// VisibleJSON is Visible for a JSON document, with JSON escapes: a person sees the
// escapes, and a program decodes the original characters.
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

// plainPrefix returns the length of the beginning of a text that is ASCII without
// hidden characters, which is usually nearly all of it. Decoding it rune by rune would
// take longer than everything else in making a report.
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
	case '\u200c', '\u200d': // joiners, which Persian, Hindi and emoji need
		return false
	case '\u2028', '\u2029': // line and paragraph separator
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf)
}
