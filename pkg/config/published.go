package config

import (
	"errors"
	"fmt"
)

// contextError reports that a context is not in the kubeconfig, or may not be named. Its
// text is for the operator: it may contain paths, and the names of other contexts.
type contextError struct {
	words string // the public text
	err   error
}

// Error implements error.
func (e *contextError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *contextError) Unwrap() error { return e.err }

// publishedError replaces the text of an error that must not reach the page, the
// report and the forge, where everyone can read it. errors.Is and errors.As still
// find the original.
type publishedError struct {
	words string
	err   error
}

// Error implements error.
func (e *publishedError) Error() string { return e.words }

// Unwrap returns the original.
func (e *publishedError) Unwrap() error { return e.err }

// Published returns an error of Connection with a text that everyone may read.
func Published(err error) error {
	words := "its entry in fedsync's kubeconfig cannot be used; fedsync's log says why"
	if file, ok := errors.AsType[*credentialFileError](err); ok {
		words = fmt.Sprintf("the %s of its context cannot be used: %v; fedsync's log names the file", file.What, file.Err)
	} else if context, ok := errors.AsType[*contextError](err); ok {
		words = context.words
	}
	return &publishedError{words: words, err: err}
}

// IsNews reports whether the reason why a context cannot be used differs from the
// last one.
func (k *Kubeconfig) IsNews(context string, err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		delete(k.logged, context)
		return false
	}
	before := k.logged[context]
	k.logged[context] = err.Error()
	return before != err.Error()
}
