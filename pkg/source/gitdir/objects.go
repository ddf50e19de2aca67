package gitdir

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// Objects reads the objects of a repository that Git may change at the same time: a
// push adds packs, and gc moves objects. The list of packs is read once, so when
// an object is not found, everything is reopened and the read is repeated.
type Objects struct {
	path string

	mu  sync.Mutex       // protects odb, which is not safe for concurrent use
	odb *objectdb.Folder // nil until it is needed
}

// NewObjects returns the objects of the repository at a path. The repository is opened
// at the first read.
func NewObjects(path string) *Objects { return &Objects{path: path} }

// Read implements objectdb.Reader.
func (o *Objects) Read(id plumbing.Hash, limit int64) (kind plumbing.ObjectType, content []byte, err error) {
	err = o.use(func(odb *objectdb.Folder) (err error) {
		kind, content, err = odb.Read(id, limit)
		return err
	})
	return kind, content, err
}

// Size implements objectdb.Reader.
func (o *Objects) Size(id plumbing.Hash) (size int64, err error) {
	err = o.use(func(odb *objectdb.Folder) (err error) {
		size, err = odb.Size(id)
		return err
	})
	return size, err
}

// use calls do with the objects. If do fails, use reopens everything and calls it
// again: the known packs may be gone.
func (o *Objects) use(do func(*objectdb.Folder) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.odb != nil {
		err := do(o.odb)
		_, tooLarge := errors.AsType[objectdb.TooLargeError](err)
		_, heavy := errors.AsType[objectdb.HeavyError](err)
		if err == nil || tooLarge || heavy {
			return err
		}
		o.odb.Close()
		o.odb = nil
	}
	dir, err := Find(o.path)
	if err != nil {
		return err
	}
	o.odb, err = objectdb.Open(filepath.Join(dir.Common, "objects"))
	if err != nil {
		return err
	}
	return do(o.odb)
}

// Close closes the open files; the next read opens them again.
func (o *Objects) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.odb != nil {
		o.odb.Close()
		o.odb = nil
	}
}
