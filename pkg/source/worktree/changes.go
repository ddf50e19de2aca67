package worktree

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// Changes returns how the work tree at dir differs from the commit that is checked
// out, as git add --all would record it: entries by path, None for removed files, and
// the objects that they name. For a bare repository the error is
// git.ErrIsBareRepository.
func Changes(dir string) (map[string]tree.Entry, objectdb.Reader, error) {
	status, err := workTreeStatus(dir)
	if err != nil {
		return nil, nil, err
	}
	disk := &diskFiles{path: dir, names: map[plumbing.Hash]string{}}
	changes, err := disk.changes(status)
	if err != nil {
		return nil, nil, fmt.Errorf("working tree: %w", err)
	}
	return changes, disk, nil
}

// diskFiles provides files of a work tree as objects. A file is read when its object
// is: if it has changed by then, the read fails.
type diskFiles struct {
	path  string
	names map[plumbing.Hash]string // read-only after changes
}

// changes returns the entries that Git would record for uncommitted files, by path;
// None for removed files.
func (d *diskFiles) changes(status git.Status) (map[string]tree.Entry, error) {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // opened for reading only
	changes := map[string]tree.Entry{}
	nested := map[string]bool{}
	for name, s := range status {
		gone := s.Worktree == git.Deleted || s.Worktree == git.Unmodified && s.Staging == git.Deleted
		switch {
		case s.Worktree == git.Unmodified && s.Staging == git.Unmodified:
			continue
		case s.Worktree == git.Untracked && isNested(root, name, nested):
			continue
		case gone:
			changes[name] = tree.Entry{}
			continue
		}
		e, err := d.add(root, name)
		if errors.Is(err, errNoFile) {
			continue
		}
		if err != nil {
			return nil, err
		}
		changes[name] = e
	}
	return changes, nil
}

// isNested reports whether a path is in a nested repository, whose files Git does not
// add. It caches its answers for folders in known.
func isNested(root *os.Root, name string, known map[string]bool) bool {
	dir := path.Dir(name)
	if dir == "." {
		return false
	}
	nested, ok := known[dir]
	if !ok {
		_, err := root.Lstat(dir + "/" + git.GitDirName)
		nested = err == nil || isNested(root, dir, known)
		known[dir] = nested
	}
	return nested
}

// errNoFile is returned for something that Git has no object for, such as a
// pipe.
var errNoFile = errors.New("not a regular file or symbolic link")

// add returns the entry that Git would record for a path.
func (d *diskFiles) add(root *os.Root, name string) (tree.Entry, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return tree.Entry{}, nil // removed since the status was read
	}
	if err != nil {
		return tree.Entry{}, err
	}
	e := tree.Entry{Mode: filemode.Regular}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		e.Mode = filemode.Symlink
	case !info.Mode().IsRegular():
		return tree.Entry{}, errNoFile
	case info.Mode()&0o100 != 0:
		e.Mode = filemode.Executable
	}
	content, size, err := openWork(root, name, info)
	if err != nil {
		return tree.Entry{}, err
	}
	defer func() { _ = content.Close() }() // opened for reading only
	h := plumbing.NewHasher(plumbing.BlobObject, size)
	if n, err := io.Copy(h, io.LimitReader(content, size+1)); err != nil || n != size {
		return tree.Entry{}, fmt.Errorf("%s changed while it was read: %w", limit.Text(name, limit.ValueBytes), cmp.Or(err, io.ErrUnexpectedEOF))
	}
	e.ID = h.Sum()
	d.names[e.ID] = name
	return e, nil
}

// openWork opens what Git would store for a file: its content, or the target of
// a link.
func openWork(root *os.Root, name string, info fs.FileInfo) (io.ReadCloser, int64, error) {
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := root.Readlink(name)
		return io.NopCloser(strings.NewReader(target)), int64(len(target)), err
	}
	file, err := root.Open(name)
	return file, info.Size(), err
}

func (d *diskFiles) Read(id plumbing.Hash, most int64) (plumbing.ObjectType, []byte, error) {
	file, size, err := d.open(id)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = file.Close() }() // opened for reading only
	if size > most {
		return 0, nil, objectdb.TooLargeError{Size: size}
	}
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return 0, nil, err
	}
	if plumbing.ComputeHash(plumbing.BlobObject, content) != id {
		return 0, nil, fmt.Errorf("%s changed while it was read; plan again", limit.Text(d.names[id], limit.ValueBytes))
	}
	return plumbing.BlobObject, content, nil
}

func (d *diskFiles) Size(id plumbing.Hash) (int64, error) {
	file, size, err := d.open(id)
	if err != nil {
		return 0, err
	}
	return size, file.Close()
}

func (d *diskFiles) open(id plumbing.Hash) (io.ReadCloser, int64, error) {
	name, ok := d.names[id]
	if !ok {
		return nil, 0, plumbing.ErrObjectNotFound
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = root.Close() }() // files opened through it stay open
	info, err := root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if info.Mode()&fs.ModeSymlink == 0 && !info.Mode().IsRegular() {
		return nil, 0, errNoFile // opening a pipe would block
	}
	return openWork(root, name, info)
}
