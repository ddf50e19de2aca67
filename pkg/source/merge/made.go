package merge

import (
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// made holds objects that exist only in memory.
type made map[plumbing.Hash][]byte

func (m made) Read(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	content, ok := m[id]
	switch {
	case !ok:
		return 0, nil, plumbing.ErrObjectNotFound
	case int64(len(content)) > limit:
		return 0, nil, objectdb.TooLargeError{Size: int64(len(content))}
	}
	return plumbing.BlobObject, slices.Clone(content), nil
}

func (m made) Size(id plumbing.Hash) (int64, error) {
	content, ok := m[id]
	if !ok {
		return 0, plumbing.ErrObjectNotFound
	}
	return int64(len(content)), nil
}
