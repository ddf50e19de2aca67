package objectdb

import (
	"errors"

	"github.com/go-git/go-git/v5/plumbing"
)

// Several reads from several stores: each object from the first that has it.
type Several []Reader

// Read implements Reader.
func (s Several) Read(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	for _, store := range s {
		kind, content, err := store.Read(id, limit)
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return kind, content, err
		}
	}
	return 0, nil, plumbing.ErrObjectNotFound
}

// Size implements Reader.
func (s Several) Size(id plumbing.Hash) (int64, error) {
	for _, store := range s {
		size, err := store.Size(id)
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return size, err
		}
	}
	return 0, plumbing.ErrObjectNotFound
}
