package apply

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestFindingsBoundWhatAnAPIServerSays(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"short", "denied: no reason", "denied: no reason"},
		{"a token", "denied: Authorization: Bearer abc.def-ghi is nobody's", "denied: Authorization: Bearer *** is nobody's"},
		{"a JSON web token", "got eyJhbGciOi.eyJpc3Mi.c2ln", "got ***"},
		{"long", strings.Repeat("ü", 1<<20), strings.Repeat("ü", textMax-len("apply: ")) + "…"},
		{"no text", "a\xffb", "a\uFFFDb"},
	} {
		e := &Error{Verb: "apply", Object: federation.ObjectRef{Kind: "Service", Name: "s"}, Err: errors.New(c.text), Remedy: c.text}
		f := e.finding("a", "x")
		if got := f.Message; got != "apply: "+c.want || !utf8.ValidString(got) {
			t.Errorf("%s: the message is %.100q of %d bytes, want %.100q", c.name, got, len(got), "apply: "+c.want)
		}
		if n := utf8.RuneCountInString(f.Remedy); n > textMax+1 {
			t.Errorf("%s: the remedy has %d runes, want at most %d", c.name, n, textMax+1)
		}
	}
}
