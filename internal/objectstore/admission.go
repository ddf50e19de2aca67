package objectstore

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Operation is the operation of an admission request.
type Operation string

// The operations.
const (
	OperationCreate Operation = "CREATE"
	OperationUpdate Operation = "UPDATE"
	OperationDelete Operation = "DELETE"
)

// Attempt is a valid write that is about to be stored.
type Attempt struct {
	*Request
	Operation Operation
	Object    metav1.Object // to be stored; nil for a deletion
	Old       metav1.Object // as stored; nil for a creation
}

// Refusal is a validating admission: it returns the error that refuses a write, or nil.
// It must neither change the objects nor call the store.
type Refusal func(Attempt) error

// SetRefusals replaces the admission. Unlike a [Fault], a refusal sees the result of a
// patch, and runs after the API server's own checks.
func (s *Store) SetRefusals(all ...Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.refusals = all
}

func (s *Store) admit(w writing, o Operation, object, old metav1.Object) error {
	if w.trusted || w.request == nil {
		return nil
	}
	a := Attempt{Request: w.request, Operation: o, Object: object, Old: old}
	for _, refuse := range s.faults.refusals {
		if err := refuse(a); err != nil {
			return err
		}
	}
	return nil
}
