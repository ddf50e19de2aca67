package federation

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Severity is what a finding means for the federation's state.
type Severity string

// The severities.
const (
	SeverityError   Severity = "E" // the state is a failure
	SeverityWarning Severity = "W" // a user should check it
	SeverityNote    Severity = "I" // worth knowing, nothing to do
)

// Finding names a problem, its place and its remedy. Its texts may contain sanitized
// output of clusters and repositories. Names are not sanitized: code that displays
// them must escape them.
type Finding struct {
	ID       string         `json:"id"` // a number such as "D10", or a word such as "render" or "held"
	Severity Severity       `json:"severity"`
	Cluster  string         `json:"cluster,omitempty"`
	App      string         `json:"app,omitempty"`
	Object   ObjectRef      `json:"object,omitzero"`
	File     string         `json:"file,omitempty"` // within the repository
	Line     int            `json:"line,omitempty"`
	Message  untrusted.Text `json:"message"`         // what is wrong, with the observed values
	Remedy   untrusted.Text `json:"remedy,omitzero"` // a command or an edit
	Since    time.Time      `json:"since,omitzero"`
	Count    int            `json:"count,omitempty"` // FindingMore: how many findings are omitted
}

// String returns the finding on one line, as logs and commands show it.
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

// Key identifies the finding over time. The same key means the same problem, even if
// its message has changed.
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
