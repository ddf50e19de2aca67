package source

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// merger makes the folders that a three-way merge gives, as git merge would, without
// looking for files that were renamed. Nothing is written: what is new is in memory.
type merger struct {
	objects   objectdb.Reader // of all sides
	fileBytes int64
	maxFiles  int64

	left      allowance
	made      made
	merged    map[[3]*node]*node // nil where nothing is left of a folder
	visits    int64              // entries that were looked at
	conflicts []string           // paths of files that do not merge; theirs was taken
	both      []string           // paths of files that both sides changed, and that merge
}

// made are objects that exist nowhere else.
type made map[plumbing.Hash][]byte

// root merges the root folders.
func (m *merger) root(base, ours, theirs *node) (*node, error) {
	n, err := m.dir("", base, ours, theirs)
	if err != nil {
		return nil, err
	}
	if n == nil {
		n = newNode(nil)
	}
	slices.Sort(m.conflicts)
	slices.Sort(m.both)
	return n, nil
}

// Dir merges a folder. Each of the three may be nil.
func (m *merger) dir(path string, base, ours, theirs *node) (*node, error) {
	key := [3]*node{base, ours, theirs}
	if n, ok := m.merged[key]; ok {
		return n, nil
	}
	var entries []entry
	for _, name := range namesOf(base, ours, theirs) {
		// Folders may name one another into billions of paths.
		if m.visits++; m.visits > 4*m.maxFiles {
			return nil, &objectdb.LimitError{What: "files", Limit: m.maxFiles, Setting: "--max-files"}
		}
		e, ok, err := m.entry(path+name, base.get(name), ours.get(name), theirs.get(name))
		if err != nil {
			return nil, err
		}
		if ok {
			e.name = name
			entries = append(entries, e)
		}
	}
	var n *node
	if len(entries) > 0 {
		n = newNode(entries)
	}
	if n != nil && n.files > m.maxFiles {
		return nil, &objectdb.LimitError{What: "files", Limit: m.maxFiles, Setting: "--max-files"}
	}
	m.merged[key] = n
	return n, nil
}

// entry merges one name, and reports whether anything is left of it.
func (m *merger) entry(path string, base, ours, theirs entry) (entry, bool, error) {
	switch {
	case theirs.same(ours), theirs.same(base):
		return ours, !ours.none(), nil
	case ours.same(base):
		return theirs, !theirs.none(), nil
	case ours.folder() && theirs.folder(): // one of them is none: its files were removed
		n, err := m.dir(path+"/", base.dir, ours.dir, theirs.dir)
		if n == nil || err != nil {
			return entry{}, false, err
		}
		return entry{mode: filemode.Dir, id: n.id, dir: n}, true, nil
	case ours.regular() && theirs.regular():
		e, ok, err := m.file(base, ours, theirs)
		if err != nil {
			return entry{}, false, err
		}
		if ok {
			m.both = append(m.both, path)
			return e, true, nil
		}
	}
	m.conflicts = append(m.conflicts, path)
	if theirs.none() {
		return entry{}, false, nil
	}
	return theirs, true, nil
}

// file merges a file that both sides have, and changed in different ways; false where
// it does not merge.
func (m *merger) file(base, ours, theirs entry) (entry, bool, error) {
	var content [3][]byte
	for i, e := range []entry{base, ours, theirs} {
		if !e.regular() {
			continue // it is new on both sides
		}
		kind, text, err := m.objects.Read(e.id, m.fileBytes)
		if _, ok := errors.AsType[objectdb.TooLargeError](err); ok || err == nil && kind != plumbing.BlobObject {
			return entry{}, false, nil
		}
		if _, ok := errors.AsType[objectdb.HeavyError](err); ok {
			return entry{}, false, nil
		}
		if err != nil {
			return entry{}, false, missing(e.id, err)
		}
		content[i] = text
	}
	mode := theirs.mode
	if theirs.mode == base.mode {
		mode = ours.mode
	}
	switch {
	case ours.id == theirs.id || base.id == theirs.id:
		return entry{mode: mode, id: ours.id}, true, nil
	case base.id == ours.id:
		return entry{mode: mode, id: theirs.id}, true, nil
	}
	if !m.left.take(content[:]...) {
		return entry{}, false, nil
	}
	text, ok := mergeText(content[0], content[1], content[2])
	if !ok {
		return entry{}, false, nil
	}
	id := plumbing.ComputeHash(plumbing.BlobObject, text)
	m.made[id] = text
	return entry{mode: mode, id: id}, true, nil
}

// namesOf gives the names in folders, sorted.
func namesOf(all ...*node) []string {
	var names []string
	for _, n := range all {
		if n != nil {
			for _, e := range n.entries {
				names = append(names, e.name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// get is find for a folder that may be nil and a name that may be missing.
func (n *node) get(name string) entry {
	if n == nil {
		return entry{}
	}
	e, _ := n.find(name)
	return e
}

func (e entry) none() bool { return e.mode == filemode.Empty && e.id.IsZero() }

func (e entry) folder() bool { return e.dir != nil || e.none() }

func (e entry) same(o entry) bool { return e.id == o.id && e.mode == o.mode }

func (e entry) regular() bool {
	switch e.mode { //nolint:exhaustive // all else is no file
	case filemode.Regular, filemode.Executable, filemode.Deprecated:
		return true
	}
	return false
}

// newNode makes a folder of its entries, which are sorted by name.
func newNode(entries []entry) *node {
	n := &node{entries: entries}
	for _, e := range entries {
		n.count(e)
	}
	n.id = treeID(entries)
	return n
}

// treeID is the id that Git gives a folder.
func treeID(entries []entry) plumbing.Hash {
	sorted := slices.Clone(entries)
	// Git compares folders as if their names ended with a slash.
	slices.SortFunc(sorted, func(a, b entry) int { return bytes.Compare([]byte(a.sortName()), []byte(b.sortName())) })
	var out bytes.Buffer
	for _, e := range sorted {
		fmt.Fprintf(&out, "%o %s\x00%s", uint32(e.mode), e.name, e.id[:])
	}
	return plumbing.ComputeHash(plumbing.TreeObject, out.Bytes())
}

func (e entry) sortName() string {
	if e.mode == filemode.Dir {
		return e.name + "/"
	}
	return e.name
}

// several are the objects of several stores, and those that were made.
type several struct {
	stores []objectdb.Reader
	made   made
}

func (s several) Read(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	if content, ok := s.made[id]; ok {
		if int64(len(content)) > limit {
			return 0, nil, objectdb.TooLargeError{Size: int64(len(content))}
		}
		return plumbing.BlobObject, slices.Clone(content), nil
	}
	for _, store := range s.stores {
		kind, content, err := store.Read(id, limit)
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return kind, content, err
		}
	}
	return 0, nil, plumbing.ErrObjectNotFound
}

func (s several) Size(id plumbing.Hash) (int64, error) {
	if content, ok := s.made[id]; ok {
		return int64(len(content)), nil
	}
	for _, store := range s.stores {
		size, err := store.Size(id)
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return size, err
		}
	}
	return 0, plumbing.ErrObjectNotFound
}
