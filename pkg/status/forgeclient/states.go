package forgeclient

import "github.com/fedsync/fedsync/pkg/status"

// States are a forge's words for the states that are posted.
type States[S comparable] struct{ Pending, Success, Failure S }

// Of returns the forge's word for a state.
func (w States[S]) Of(s status.State) S {
	switch s {
	case status.Pending:
		return w.Pending
	case status.Success:
		return w.Success
	case status.Failure:
		return w.Failure
	}
	return w.Failure
}

// From parses a forge's word. A word that we never post means that another client posted
// under our context; a failure comes closest to it.
func (w States[S]) From(word S) status.State {
	switch word {
	case w.Pending:
		return status.Pending
	case w.Success:
		return status.Success
	}
	return status.Failure
}
