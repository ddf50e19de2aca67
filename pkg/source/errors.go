package source

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// The kinds of failure to read a repository that need nothing but a name. They
// are found with errors.Is.
var (
	// ErrUnreachable says that the remote gave no usable answer: its name does
	// not resolve, it refuses connections, it is too slow, or it fails.
	ErrUnreachable = errors.New("the repository cannot be reached")
	// ErrUnauthorised says that the remote refused the credentials.
	ErrUnauthorised = errors.New("the credentials were refused")
	// ErrCredentials says that the credentials could not be read from their
	// files, so the remote was not asked.
	ErrCredentials = errors.New("the credentials cannot be read")
	// ErrUntrusted says that the remote could not prove who it is: its host key
	// is not in known_hosts, or no known authority signed its certificate.
	ErrUntrusted = errors.New("the remote could not prove its identity")
	// ErrNotFound says that the remote has no such repository, or hides it from
	// these credentials.
	ErrNotFound = errors.New("there is no such repository")
	// ErrEmpty says that the repository has no commit yet.
	ErrEmpty = errors.New("the repository is empty")
	// ErrUnreadable says that what the repository holds could not be understood.
	ErrUnreadable = errors.New("the repository cannot be read")
)

// Error is a failure to read a repository. Its text never holds credentials,
// and nothing that might is to be found by unwrapping it.
type Error struct {
	Repository string // URL or path, without credentials
	Kind       error  // one of the Err variables, for errors.Is
	Detail     string // what exactly went wrong; may be empty
	Remedy     string // what to do about it; may be empty
}

// Error gives "read REPOSITORY: KIND: DETAIL; REMEDY".
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

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }

// maxNamesInError bounds how many branches a RefError names.
const maxNamesInError = 10

// RefError says that a branch, tag or commit is not there.
type RefError struct {
	Repository string
	Ref        string   // as it was asked for; empty for the remote's HEAD
	Branches   []string // some of those there are, sorted, at most ten
	Total      int      // how many branches there are
	Remedy     string   // instead of the list of branches; may be empty
}

// Error names the branches that are there.
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

// NotFastForwardError says that a ref moved to a commit that does not descend
// from the one before it, or could not be proved to, and that the operator
// refuses that.
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
