package web

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"
)

// visible replaces what a reader could not see, or would see in the wrong
// place, by its escape: control characters, and the format characters that
// reorder or hide text (https://trojansource.codes). A commit's subject with a
// right-to-left override in it then reads \u202e, and cannot disguise itself.
// Line ends and tabs stay. Invalid UTF-8 becomes U+FFFD.
//
// It runs over whole answers rather than over single texts, so that no text can
// be forgotten.
func visible(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			out = utf8.AppendRune(out, utf8.RuneError)
		case hidden(r):
			quoted := strconv.QuoteRuneToASCII(r)
			out = append(out, quoted[1:len(quoted)-1]...)
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}

func hidden(r rune) bool {
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

// cut shortens a text to at most n runes, the last of them an ellipsis.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	runes := 0
	end := 0 // of the text that fits beside the ellipsis
	for i := range s {
		if runes == n-1 {
			end = i
		}
		if runes == n {
			return s[:end] + "…"
		}
		runes++
	}
	return s
}

// moment is a point in time as the page shows it.
type moment struct {
	Machine string // RFC 3339, for the datetime attribute
	Full    string // for the tooltip
	Age     string // "3m12s", as kubectl writes it
}

// at gives nil for the zero time, which the page leaves out.
func at(t, now time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &moment{
		Machine: t.Format(time.RFC3339),
		Full:    t.Format("2006-01-02 15:04:05 UTC"),
		// Clocks differ a little between machines: nothing is younger than now.
		Age: duration.HumanDuration(max(0, now.Sub(t))),
	}
}
