package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// WorkTreeRef is the ref of a revision that is a work tree and not a commit.
const WorkTreeRef = "working tree"

// ProposeWorkTree is Propose for what the work tree of a local repository holds, as
// `git add --all` and a commit would take it: with what is neither tracked nor ignored,
// and without what was removed. Nothing is written. Filters that Git has, such as those
// for line ends or Git LFS, are not applied.
//
// Nobody has made a commit of it: the SHA of Head is that of its tree, as git write-tree
// would give it.
func (s *Source) ProposeWorkTree(ctx context.Context, base string) (*Proposal, error) {
	if base == "" {
		base = s.opts.Ref
	}
	l, ok := s.repository.(*local)
	if !ok {
		return nil, &Error{Repository: s.at.text, Kind: ErrUnreadable, Detail: "it has no working tree here", Remedy: "name a clone on this machine"}
	}
	return s.proposal(base, WorkTreeRef, func() (sides, error) {
		all, err := l.propose(ctx, base, string(plumbing.HEAD))
		if err == nil {
			all.head, err = l.workTree(all.head)
		}
		return all, err
	})
}

// workTree returns what the work tree holds above the commit that it is at.
func (l *local) workTree(at *revision) (*revision, error) {
	status, err := workTreeStatus(l.at.path)
	if errors.Is(err, git.ErrIsBareRepository) {
		return nil, &Error{Repository: l.at.text, Kind: ErrUnreadable, Detail: "it is bare, and has no working tree", Remedy: "name a clone of it"}
	}
	if err != nil {
		return nil, l.wrap(err)
	}
	disk := &diskFiles{path: l.at.path, names: map[plumbing.Hash]string{}}
	changes, err := disk.changes(status)
	if err != nil {
		return nil, l.unreadable(fmt.Errorf("working tree: %w", err))
	}
	maps.DeleteFunc(changes, func(name string, _ entry) bool { return isOutside(l.opts.Path, name) })
	root := at.files.root.with(changes)
	if root == nil {
		root = newNode(nil)
	}
	if root.files > l.opts.Limits.Files {
		return nil, &objectdb.LimitError{Repository: l.at.text, What: "files", Limit: l.opts.Limits.Files, Setting: "--max-files"}
	}
	if err := fits(root, "", 0); err != nil {
		return nil, l.unreadable(err)
	}
	rev := *at
	rev.tip = tip{ref: WorkTreeRef, id: root.id}
	rev.commit = objectdb.Commit{ID: root.id, Tree: root.id, Subject: "what is not committed", Time: at.commit.Time}
	rev.files = newFiles(root, several{stores: []objectdb.Reader{disk, l.objects}}, at.commit.Time, l.opts)
	return &rev, nil
}

// changes returns the entries that Git would note of what is not committed, by their
// paths; none for what is gone.
func (d *diskFiles) changes(status git.Status) (map[string]entry, error) {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // it was only read
	changes := map[string]entry{}
	nested := map[string]bool{}
	for name, s := range status {
		gone := s.Worktree == git.Deleted || s.Worktree == git.Unmodified && s.Staging == git.Deleted
		switch {
		case s.Worktree == git.Unmodified && s.Staging == git.Unmodified:
			continue
		case s.Worktree == git.Untracked && isNested(root, name, nested):
			continue
		case gone:
			changes[name] = entry{}
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

// with returns a folder with changes, by their paths; an entry that is none is removed.
// It is nil where nothing is left.
func (n *node) with(changes map[string]entry) *node {
	entries := map[string]entry{}
	if n != nil {
		for _, e := range n.entries {
			entries[e.name] = e
		}
	}
	below := map[string]map[string]entry{}
	for name, e := range changes {
		name, rest, deep := strings.Cut(name, "/")
		switch {
		case deep && below[name] == nil:
			below[name] = map[string]entry{rest: e}
		case deep:
			below[name][rest] = e
		case e.none():
			delete(entries, name)
		default:
			e.name = name
			entries[name] = e
		}
	}
	for name, changes := range below {
		was := entries[name]
		switch dir := was.dir.with(changes); {
		case dir != nil:
			entries[name] = entry{name: name, mode: filemode.Dir, id: dir.id, dir: dir}
		case was.dir != nil:
			delete(entries, name)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	sorted := make([]entry, 0, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		sorted = append(sorted, entries[name])
	}
	return newNode(sorted)
}

// diskFiles are files of a work tree as objects. They are read when they are asked for:
// one that was changed meanwhile is not there any more.
type diskFiles struct {
	path  string
	names map[plumbing.Hash]string // nobody changes it once it is made
}

// errNoFile is what there is for something that Git has no object for.
var errNoFile = errors.New("it is no file")

// add returns what Git would note of a path.
func (d *diskFiles) add(root *os.Root, name string) (entry, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, nil // since the status was read
	}
	if err != nil {
		return entry{}, err
	}
	e := entry{mode: filemode.Regular}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		e.mode = filemode.Symlink
	case !info.Mode().IsRegular():
		return entry{}, errNoFile
	case info.Mode()&0o100 != 0:
		e.mode = filemode.Executable
	}
	content, size, err := openWork(root, name, info)
	if err != nil {
		return entry{}, err
	}
	defer func() { _ = content.Close() }() // it was only read
	h := plumbing.NewHasher(plumbing.BlobObject, size)
	if n, err := io.Copy(h, io.LimitReader(content, size+1)); err != nil || n != size {
		return entry{}, fmt.Errorf("%s changed while it was read: %w", short(name), cmp.Or(err, io.ErrUnexpectedEOF))
	}
	e.id = h.Sum()
	d.names[e.id] = name
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

func (d *diskFiles) Read(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	file, size, err := d.open(id)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	if size > limit {
		return 0, nil, objectdb.TooLargeError{Size: size}
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return 0, nil, err
	}
	if plumbing.ComputeHash(plumbing.BlobObject, content) != id {
		return 0, nil, fmt.Errorf("%s was changed while it was read: plan again", short(d.names[id]))
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
