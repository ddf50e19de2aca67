package refusal

import (
	"errors"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestTextOfAnAPIServerIsCleanedInFindingsAndErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"short", "denied: no reason", "denied: no reason"},
		{"a token", "denied: Authorization: Bearer abc.def-ghi is nobody's", "denied: Authorization: Bearer *** is nobody's"},
		{"a JSON web token", "got eyJhbGciOi.eyJpc3Mi.c2ln", "got ***"},
		{"a password in a URL", `Post "https://bob:pa55@hook/x": EOF`, `Post "https://***@hook/x": EOF`},
		{"a password", "login with password=pa55 failed", "login with password=*** failed"},
		{"a basic header", "got Basic Ym9iOnBhNTU=", "got Basic ***"},
		{"a token in JSON", `got {"token":"s3cr3t"}`, `got {"token":"***"}`},
		{"several lines, and what steers", "a\nfedsync: \x1b[31mb\u202e", "a fedsync: [31mb"},
		{"long", strings.Repeat("ü", 1<<20), ""},
		{"no text", "a\xffb", "a\uFFFDb"},
	} {
		e := &Error{Verb: "apply", Object: federation.ObjectRef{Kind: "Service", Name: "s"}, Err: errors.New(c.text), Remedy: c.text}
		f := e.Finding("a", "x")
		for of, text := range map[string]struct{ got, before string }{
			"message": {f.Message.String(), "apply: "}, "remedy": {f.Remedy.String(), ""}, "error": {e.Error(), "apply Service/s: "},
		} {
			want := text.before + c.want
			if c.want == "" {
				want = text.before + strings.Repeat("ü", (untrusted.MaxText-len(text.before+"…"))/2) + "…"
			}
			if text.got != want {
				t.Errorf("%s: the %s is %.100q of %d bytes, want %.100q of %d", c.name, of, text.got, len(text.got), want, len(want))
			}
		}
	}
}
