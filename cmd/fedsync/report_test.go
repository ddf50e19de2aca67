package main

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/untrusted"
)

func TestScrubberHidesSecretsAndKeepsTheRest(t *testing.T) {
	s := scrubber{untrusted.NewSecrets("hunter2-4711")}
	got, err := s.json(map[string]any{
		"number": 1234567890123456789,
		"texts":  []any{"the password hunter2-4711 is wrong", "Bearer abcdefgh12345678", "https://ada:pw4711@forge.example/web.git", "<all> & well"},
		"deep":   map[string]any{"deeper": "hunter2-4711"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "deep": {
    "deeper": "***"
  },
  "number": 1234567890123456789,
  "texts": [
    "the password *** is wrong",
    "Bearer ***",
    "https://***@forge.example/web.git",
    "<all> & well"
  ]
}
`
	if string(got) != want {
		t.Errorf("json = %s\nwant %s", got, want)
	}
	lines := s.lines([]byte("spec:\n  apps:\n  - name: a # hunter2-4711\n"))
	if got, want := string(lines), "spec:\n  apps:\n  - name: a # ***\n"; got != want {
		t.Errorf("lines = %q, want %q", got, want)
	}
	if strings.Contains(string(got), "4711") {
		t.Error("a secret is left")
	}
}
