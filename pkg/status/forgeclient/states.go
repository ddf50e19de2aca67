package forgeclient

import "github.com/fedsync/fedsync/pkg/status"

// States are a forge's words for the states that are posted.
type States[S comparable] struct{ Pending, Success, Failure S }

// Of gives the forge's word for a state.
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

// From reads a forge's word. Those that are never posted mean that somebody else posted
// under our context; a failure is what they come closest to.
func (w States[S]) From(word S) status.State {
	switch word {
	case w.Pending:
		return status.Pending
	case w.Success:
		return status.Success
	}
	return status.Failure
}
