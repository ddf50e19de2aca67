package status

import "context"

// Prober is implemented by providers that can check, without writing anything, whether
// the forge accepts the credential and grants it the permissions that the provider needs.
type Prober interface {
	Provider

	// Probe returns nil if all is well. An error that wraps ErrUnauthorized names the
	// permission that the credential lacks. Any other error, such as a forge that does
	// not answer, proves nothing about the credential. No error holds a credential.
	Probe(ctx context.Context) error
}

// Checker is implemented by providers of forges where a status can have a text and
// annotations: GitHub's check runs.
type Checker interface {
	Provider

	// PostCheck is Post with the details of the status. Like Post, it is safe to repeat.
	PostCheck(ctx context.Context, c Commit, details Details) error
}

// Details are what a forge shows to a user who opens a status.
type Details struct {
	// Summary is Markdown of at most SummaryBytes. Text from other sources is escaped in
	// it.
	Summary     string
	Annotations []Annotation // the most severe first
}

// SummaryBytes bounds the summary of Details: GitHub takes 65,535 characters.
const SummaryBytes = 65_535

// Annotation is a remark on a line of a file in the repository.
type Annotation struct {
	File    string // within the repository
	Line    int    // from 1
	Level   Level
	Title   string // a few words
	Message string
}

// Level is how much an annotation matters.
type Level string

// The levels.
const (
	LevelError   Level = "error"
	LevelWarning Level = "warning"
	LevelNote    Level = "note"
)
