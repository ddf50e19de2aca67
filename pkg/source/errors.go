package source

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// The kinds of failure to read a repository, for errors.Is.
var (
	// ErrUnreachable reports that the remote gave no usable answer: its name does
	// not resolve, it refuses connections, it is too slow, or it fails.
	ErrUnreachable = errors.New("the repository cannot be reached")
	// ErrUnauthorised reports that the remote refused the credentials.
	ErrUnauthorised = errors.New("the credentials were refused")
	// ErrCredentials reports that the credentials could not be read from their
	// files, so the remote was not asked.
	ErrCredentials = errors.New("the credentials cannot be read")
	// ErrUntrusted reports that the remote could not prove its identity: its host
	// key is not in known_hosts, or no known authority signed its certificate.
	ErrUntrusted = errors.New("the remote could not prove its identity")
	// ErrNotFound reports that the remote has no such repository, or hides it from
	// these credentials.
	ErrNotFound = errors.New("there is no such repository")
	// ErrEmpty reports that the repository has no commit yet.
	ErrEmpty = errors.New("the repository is empty")
	// ErrUnreadable reports that the repository's content could not be understood.
	ErrUnreadable = errors.New("the repository cannot be read")
)

// Error is a failure to read a repository. Neither its text nor any error that
// it wraps holds credentials.
type Error struct {
	Repository string // URL or path, without credentials
	Kind       error  // one of the Err variables, for errors.Is
	Detail     string // what exactly went wrong; may be empty
	Remedy     string // an imperative; may be empty
}

// Error returns "read REPOSITORY: KIND: DETAIL; REMEDY".
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "read %s: %v", e.Repository, e.Kind)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// maxNamesInError bounds how many branches a RefError names.
const maxNamesInError = 10

// RefError reports that a branch, tag or commit does not exist.
type RefError struct {
	Repository string
	Ref        string   // as it was requested; empty for the remote's HEAD
	Branches   []string // the first of the existing ones, sorted, at most ten
	Total      int      // how many branches exist
	Remedy     string   // instead of the list of branches; may be empty
}

// Error names the existing branches.
func (e *RefError) Error() string {
	what := fmt.Sprintf("there is no branch, tag or commit %q", e.Ref)
	if e.Ref == "" {
		what = "its HEAD names no branch that exists"
	}
	there := e.Remedy
	if there == "" {
		there = "branches: " + untrusted.SomeOf(e.Branches, e.Total)
		if e.Total == 0 {
			there = "it has no branches"
		}
	}
	return fmt.Sprintf("read %s: %s; %s", e.Repository, what, there)
}

// NotFastForwardError reports that a ref moved to a commit that is not known to
// descend from the previous one, and that the operator refuses such moves.
type NotFastForwardError struct {
	Repository string
	Ref        string
	From, To   string // commits
}

// Error names both commits.
func (e *NotFastForwardError) Error() string {
	return fmt.Sprintf("read %s: %s moved from %.7s to %.7s, which is not known to descend from it (a forced push?), and such moves are refused; "+
		"push a commit that descends from %.7s, or allow moves that are not fast-forward", e.Repository, e.Ref, e.From, e.To, e.From)
}
