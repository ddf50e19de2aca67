package federation

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Severity says what a finding means for the federation's state.
type Severity string

// The severities.
const (
	SeverityError   Severity = "E" // the state is a failure
	SeverityWarning Severity = "W" // somebody should look
	SeverityNote    Severity = "I" // worth knowing, nothing to do
)

// Finding names something that is wrong, where, and the remedy. Its texts may
// hold what clusters and repositories say, cleaned. Names stay as they are there:
// whoever shows them escapes them.
type Finding struct {
	ID       string         `json:"id"` // "D10"; findings without a number have a word: "render", "held"
	Severity Severity       `json:"severity"`
	Cluster  string         `json:"cluster,omitempty"`
	App      string         `json:"app,omitempty"`
	Object   ObjectRef      `json:"object,omitzero"`
	File     string         `json:"file,omitempty"` // within the repository
	Line     int            `json:"line,omitempty"`
	Message  untrusted.Text `json:"message"`         // what is wrong, with the values seen
	Remedy   untrusted.Text `json:"remedy,omitzero"` // a command or an edit
	Since    time.Time      `json:"since,omitzero"`
	Count    int            `json:"count,omitempty"` // of FindingMore
}

// String gives the finding in one line, as logs and commands show it.
func (f Finding) String() string {
	var b strings.Builder
	if f.Cluster != "" {
		b.WriteString(f.Cluster + " ")
	}
	if f.Object != (ObjectRef{}) {
		b.WriteString(f.Object.String() + " ")
	}
	switch {
	case f.File != "" && f.Line > 0:
		fmt.Fprintf(&b, "%s:%d ", f.File, f.Line)
	case f.File != "":
		b.WriteString(f.File + " ")
	}
	where := untrusted.Line(b.String())
	if where == "" {
		return f.Message.String()
	}
	return where + ": " + f.Message.String()
}

// Key identifies the finding over time: the same key is the same problem,
// whatever its message says by now.
func (f Finding) Key() string {
	return strings.Join([]string{f.ID, f.Cluster, f.App, f.Object.String(), f.File}, "|")
}

// Compare orders findings for a reader: errors first, then by place.
func (f Finding) Compare(o Finding) int {
	return cmp.Or(
		f.Severity.rank()-o.Severity.rank(),
		strings.Compare(f.Cluster, o.Cluster),
		f.Object.Compare(o.Object),
		strings.Compare(f.File, o.File),
		cmp.Compare(f.Line, o.Line),
		strings.Compare(f.ID, o.ID),
		strings.Compare(f.Message.String(), o.Message.String()),
	)
}

func (s Severity) rank() int { return strings.Index("EWI", string(s)) }
