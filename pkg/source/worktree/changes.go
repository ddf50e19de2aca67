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

// Changes returns what the work tree at dir holds besides the commit it is at, as
// git add --all would note it: entries by their paths, none for what is gone, and the
// objects that they name. A bare repository is git.ErrIsBareRepository.
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

// diskFiles are files of a work tree as objects. They are read when they are asked for:
// one that was changed meanwhile is not there any more.
type diskFiles struct {
	path  string
	names map[plumbing.Hash]string // nobody changes it once it is made
}

// changes returns the entries that Git would note of what is not committed, by their
// paths; none for what is gone.
func (d *diskFiles) changes(status git.Status) (map[string]tree.Entry, error) {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // it was only read
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

// isNested reports whether a path is in a repository of its own, of which Git adds no
// files. What is known of folders is noted.
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

// errNoFile is what there is for something that Git has no object for.
var errNoFile = errors.New("it is no file")

// add returns what Git would note of a path.
func (d *diskFiles) add(root *os.Root, name string) (tree.Entry, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return tree.Entry{}, nil // since the status was read
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
	defer func() { _ = content.Close() }() // it was only read
	h := plumbing.NewHasher(plumbing.BlobObject, size)
	if n, err := io.Copy(h, io.LimitReader(content, size+1)); err != nil || n != size {
		return tree.Entry{}, fmt.Errorf("%s changed while it was read: %w", limit.Text(name, limit.ValueBytes), cmp.Or(err, io.ErrUnexpectedEOF))
	}
	e.ID = h.Sum()
	d.names[e.ID] = name
	return e, nil
}

// openWork opens what Git keeps of a file: its content, or the text of a link.
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
	defer func() { _ = file.Close() }() // it was only read
	if size > most {
		return 0, nil, objectdb.TooLargeError{Size: size}
	}
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return 0, nil, err
	}
	if plumbing.ComputeHash(plumbing.BlobObject, content) != id {
		return 0, nil, fmt.Errorf("%s was changed while it was read: plan again", limit.Text(d.names[id], limit.ValueBytes))
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
	defer func() { _ = root.Close() }() // what was opened by it stays open
	info, err := root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if info.Mode()&fs.ModeSymlink == 0 && !info.Mode().IsRegular() {
		return nil, 0, errNoFile // a pipe would keep who opens it waiting
	}
	return openWork(root, name, info)
}
