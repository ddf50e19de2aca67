package gitnotes

import (
	"bytes"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/status"
)

func FuzzSetLineKeepsForeignLines(f *testing.F) {
	f.Add([]byte("Reviewed-by: somebody\n{\"context\":\"fedsync/web\",\"state\":\"pending\"}\nno newline"), "203.0.113.10")
	f.Add([]byte("{\"context\":\"fedsync/web\",\"state\":\"pending\"}"), "")
	f.Add([]byte("\n\n"), "line\nbreak")
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, note []byte, words string) {
		c := status.Commit{SHA: "1", Context: "fedsync/web", State: status.Failure, Description: untrusted.Clean(words, limit)}
		got, err := setLine(note, c, now)
		if err != nil {
			t.Fatal(err)
		}
		if found, ok := findLine(got, "1", "fedsync/web"); !ok || !found.Same(c) {
			t.Errorf("setLine(%q) = %q, which holds %+v, want %+v", note, got, found, c)
		}
		if before, after := foreign(note), foreign(got); !bytes.Equal(before, after) {
			t.Errorf("setLine(%q) = %q: foreign lines %q became %q", note, got, before, after)
		}
		if again, err := setLine(got, c, now.Add(time.Hour)); err != nil || !bytes.Equal(again, got) {
			t.Errorf("setLine again = %q, %v, want %q", again, err, got)
		}
	})
}

// foreign returns the lines that are not ours, each with an end.
func foreign(note []byte) []byte {
	var out []byte
	for l := range bytes.Lines(note) {
		if s, ours := parseLine(l); !ours || s.Context != "fedsync/web" {
			out = append(append(out, bytes.TrimSuffix(l, []byte("\n"))...), '\n')
		}
	}
	return out
}
