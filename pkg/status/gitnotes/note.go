package gitnotes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// statusLine is one line of a note.
type statusLine struct {
	Context     string       `json:"context"`
	State       status.State `json:"state"`
	Description string       `json:"description"`
	TargetURL   string       `json:"target_url"`
	Time        time.Time    `json:"time"`
}

// setLine replaces the line of the status's context, or appends one. All other lines
// remain unchanged, and so does the note if it has the status already.
func setLine(note []byte, c status.Commit, now time.Time) ([]byte, error) {
	lines := bytes.SplitAfter(note, []byte("\n"))
	var out []byte
	var place, found, same int
	place = -1
	for _, l := range lines {
		had, ours := parseLine(l)
		if !ours || had.Context != c.Context {
			out = append(out, l...)
			continue
		}
		found++
		if had.commit(c.SHA).Same(c) {
			same++
		}
		if place < 0 {
			place = len(out)
		}
	}
	if found == 1 && same == 1 {
		return note, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // users read it in a terminal
	if err := e.Encode(statusLine{c.Context, c.State, c.Description, c.TargetURL, now}); err != nil {
		return nil, fmt.Errorf("encode a status: %w", err)
	}
	if place < 0 {
		if len(out) > 0 && !bytes.HasSuffix(out, []byte("\n")) {
			out = append(out, '\n')
		}
		place = len(out)
	}
	return append(out[:place:place], append(b.Bytes(), out[place:]...)...), nil
}

// findLine returns the status of a context. If a merge of notes has left several, the
// latest counts.
func findLine(note []byte, sha, context string) (status.Commit, bool) {
	var found status.Commit
	ok := false
	for l := range bytes.Lines(note) {
		had, ours := parseLine(l)
		if ours && had.Context == context && (!ok || had.Time.After(found.Time)) {
			found, ok = had.commit(sha), true
		}
	}
	return found, ok
}

// parseLine parses a line that this package wrote. Anything else in a note is not ours.
func parseLine(l []byte) (statusLine, bool) {
	var s statusLine
	if err := json.Unmarshal(l, &s); err != nil {
		return statusLine{}, false
	}
	switch s.State {
	case status.Pending, status.Success, status.Failure:
		return s, s.Context != ""
	}
	return statusLine{}, false
}

func (s statusLine) commit(sha string) status.Commit {
	return status.Commit{
		SHA: sha, Context: s.Context, State: s.State, Description: s.Description, TargetURL: s.TargetURL, Time: s.Time,
	}
}
