package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
)

// Error is a rendering error that names the file with the mistake.
type Error struct {
	File   string // within the repository
	Line   int    // 0 if unknown
	Field  string // "helmCharts"; empty for the file as a whole
	Reason string
	Remedy string // an edit; may be empty
	// Exceeds reports that a limit is exceeded, so that anything built on it exceeds it
	// too.
	Exceeds bool
}

// Error returns "apps/echo/kustomization.yaml:3: helmCharts: …".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Reason)
	if e.Remedy != "" {
		b.WriteString(": " + e.Remedy)
	}
	return b.String()
}

// YAMLErrors returns an Error in file for each problem that strictyaml found.
func YAMLErrors(file string, err error) error {
	problems, ok := errors.AsType[strictyaml.Problems](err)
	if !ok {
		return &Error{File: file, Reason: err.Error()}
	}
	all := make([]error, len(problems))
	for i, p := range problems {
		all[i] = &Error{File: file, Line: p.Line, Reason: p.Message}
	}
	return Join(all)
}

// Join joins errors. A single error is returned unchanged, and of many errors
// the rest is only counted.
func Join(all []error) error {
	all = Flat(all)
	if len(all) == 1 {
		return all[0]
	}
	if more := len(all) - limit.Findings; more > 0 {
		all = append(slices.Clip(all[:limit.Findings]), errors.New(limit.More(more)+" mistakes"))
	}
	return errors.Join(all...)
}

// JoinOrNil joins errors, and is nil for none.
func JoinOrNil(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return Join(errs)
}

// Exceeds reports whether an error means that a limit is exceeded.
func Exceeds(err error) bool {
	for _, one := range Flat([]error{err}) {
		if e, ok := errors.AsType[*Error](one); ok && e.Exceeds {
			return true
		}
	}
	return false
}

// Flat returns the single errors of joined ones.
func Flat(all []error) []error {
	var out []error
	for _, err := range all {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			out = append(out, Flat(several.Unwrap())...)
		} else if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// Cause returns the text of an error without the path, which the message
// already names.
func Cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
