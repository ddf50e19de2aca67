package config

import (
	"errors"
	"fmt"
)

// contextError says that a context is not in the kubeconfig, or may not be named. Its
// text is for the operator: it may have paths, and the names of the other contexts.
type contextError struct {
	words string // what everybody may read
	err   error
}

// Error implements error.
func (e *contextError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *contextError) Unwrap() error { return e.err }

// publishedError stands for an error whose text is not for the page, the report and
// the forge, where everybody can read it. Who asks what kind of error it is gets the
// answer of the original.
type publishedError struct {
	words string
	err   error
}

// Error implements error.
func (e *publishedError) Error() string { return e.words }

// Unwrap returns the original.
func (e *publishedError) Unwrap() error { return e.err }

// Published returns what everybody may read of an error of Connection.
func Published(err error) error {
	words := "its entry in fedsync's kubeconfig cannot be used; fedsync's log says why"
	if file, ok := errors.AsType[*credentialFileError](err); ok {
		words = fmt.Sprintf("the %s of its context cannot be used: %v; fedsync's log names the file", file.What, file.Err)
	} else if context, ok := errors.AsType[*contextError](err); ok {
		words = context.words
	}
	return &publishedError{words: words, err: err}
}

// IsNews reports whether a context cannot be used for a reason that is another than
// the last.
func (k *Kubeconfig) IsNews(context string, err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		delete(k.said, context)
		return false
	}
	before := k.said[context]
	k.said[context] = err.Error()
	return before != err.Error()
}
