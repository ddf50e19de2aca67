package printer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/preview"
)

func TestOutputDoesNotControlTerminals(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"words", "203.0.113.10 · 13/13 clusters…", "203.0.113.10 · 13/13 clusters…"},
		{"lines and tabs", "a\n\tb", "a\n\tb"},
		{"escape sequence", "\x1b[2Jgone", `\x1b[2Jgone`},
		{"escape sequence in one character", "\u009b2Jgone", `\u009b2Jgone`},
		{"bell, carriage return, delete", "a\a\r\x7f", `a\a\r\x7f`},
		{"writing from right to left", "a\u202egnp.exe", `a\u202egnp.exe`},
		{"characters that cannot be seen", "ad\u200bmin", `ad\u200bmin`},
		{"bytes that are no text", "a\x9bb", "a\ufffdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if n, err := (plain{&b}).Write([]byte(c.text)); n != len(c.text) || err != nil || b.String() != c.want {
				t.Errorf("%q is written as %q (%d, %v), want %q", c.text, b.String(), n, err, c.want)
			}
		})
	}
}

func TestFilesThatAreNotCommittedTakeALineEach(t *testing.T) {
	var b strings.Builder
	Uncommitted(&b, preview.Uncommitted{Files: []string{"a\nE D99 c1 the cluster is lost", "b"}}, "shown")
	const want = "fedsync: a E D99 c1 the cluster is lost has changes that are not committed: not shown\n" +
		"fedsync: b has changes that are not committed: not shown\n"
	if got := b.String(); got != want {
		t.Errorf("Uncommitted wrote %q, want %q", got, want)
	}
}

func TestUntrustedErrorsCannotImitateOurLines(t *testing.T) {
	var b strings.Builder
	Error(&b, fmt.Errorf("apply: %s", "the webhook says\nfedsync: all is well\n"))
	if got, want := b.String(), "fedsync: apply: the webhook says\n  fedsync: all is well\n"; got != want {
		t.Errorf("Error wrote %q, want %q", got, want)
	}
}

func TestALongUntrustedLineIsCut(t *testing.T) {
	var b strings.Builder
	Error(&b, fmt.Errorf("read %s: no such file\nand more", strings.Repeat("a/", 1_000_000)))
	first, rest, _ := strings.Cut(b.String(), "\n")
	if len(first) > 4*maxPrinted || !strings.HasPrefix(first, "fedsync: read a/a/") || !strings.HasSuffix(first, "…") || rest != "  and more\n" {
		t.Errorf("Error wrote a line of %d bytes and %q", len(first), rest)
	}
}

func TestErrorsAreComplete(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"all mistakes of the file, each in its line", fmt.Errorf("read: %w", fedfile.Errors{
			{File: federation.FileName, Line: 3, Field: "spec.apps", Message: "one"},
			{File: federation.FileName, Line: 4, Message: "two"},
		}), "fedsync: fedsync.yaml cannot be followed\n  fedsync.yaml:3: spec.apps: one\n  fedsync.yaml:4: two\n"},
		{"a question that cannot be asked", errors.New("no"), "fedsync: no\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			Error(&b, c.err)
			if got := b.String(); got != c.want {
				t.Errorf("Error wrote\n%q, want\n%q", got, c.want)
			}
		})
	}
}

func TestFindingsThatAreErrorsMakeTheAnswerNo(t *testing.T) {
	note := federation.Finding{ID: "adopted", Severity: federation.SeverityNote, Message: untrusted.New("taken over")}
	warning := federation.Finding{ID: "D03", Severity: federation.SeverityWarning, Cluster: "asia", Message: untrusted.New("away"), Remedy: untrusted.New("start it\nor wait")}
	wrong := federation.Finding{ID: "held", Severity: federation.SeverityError, Message: untrusted.New("held")}
	for _, c := range []struct {
		findings []federation.Finding
		want     error
		text     string
	}{
		{nil, nil, ""},
		{[]federation.Finding{note, warning}, nil, "I adopted taken over\nW D03  asia: away\n       start it or wait\n"},
		{[]federation.Finding{wrong, note}, ErrNo, "E held held\nI adopted taken over\n"},
	} {
		var b strings.Builder
		if got := Findings(&b, c.findings); !errors.Is(got, c.want) {
			t.Errorf("Findings(%v) = %v, want %v", c.findings, got, c.want)
		}
		if b.String() != c.text {
			t.Errorf("Findings(%v) wrote %q, want %q", c.findings, b.String(), c.text)
		}
	}
}
