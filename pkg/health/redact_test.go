package health

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRedactTakesOutSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"dial tcp 10.0.0.1:6443: connection refused":                  "dial tcp 10.0.0.1:6443: connection refused",
		"bad header Authorization: Bearer abc.def-ghi":                "bad header Authorization: Bearer ***",
		"sent basic dXNlcjpwYXNz to it":                               "sent basic *** to it",
		`Get "https://bob:pa55@cluster:6443/readyz": EOF`:             `Get "https://***@cluster:6443/readyz": EOF`,
		"GET /x?access_token=s3cr3t&watch=1":                          "GET /x?access_token=***&watch=1",
		"token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl": "token ***",
		"the known one is hunter2!":                                   "the known one is ***",
		"Authorization: token abcdefgh":                               "Authorization: token ***",
		"the token expired at noon":                                   "the token expired at noon",
		"sent token 0123456789abcdef0123":                             "sent token ***",
		"password=swordfish is wrong":                                 "password=*** is wrong",
		"aws_secret_access_key = AKIAabc":                             "aws_secret_access_key = ***",
		`it said {"access_token":"abcdefgh","n":1}`:                   `it said {"access_token":"***","n":1}`,
		`it said {\"token\": \"abcdefgh\"}`:                           `it said {\"token\": \"***\"}`,
		"hun\u200bter2! is hidden":                                    "*** is hidden",
		"\x1b[31mred\x7f \ufffe\u0085\u202eup":                        "[31mred up",
		"two\nlines\tand   blanks":                                    "two lines and blanks",
	} {
		if got := Redact(in, "hunter2!", "", "in"); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzRedactNeverLeaksAndStaysText(f *testing.F) {
	f.Add("Bearer %s", "s3cr3t-token")
	f.Add("https://user:%s@host/", "p%40ss")
	f.Add("\xff\xfe %s", "0123456789")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < 4 {
			return
		}
		got := Redact(strings.ReplaceAll(text, "%s", secret), secret)
		// A mask may by chance be a part of the secret, or join two halves to it.
		if !strings.Contains(secret, "*") && strings.Contains(strings.ReplaceAll(got, "***", "\x00"), secret) {
			t.Errorf("Redact(%q) = %q holds the secret %q", text, got, secret)
		}
		if !utf8.ValidString(got) || len(got) > maxText {
			t.Errorf("Redact(%q) = %q: %d bytes, valid %v", text, got, len(got), utf8.ValidString(got))
		}
	})
}
