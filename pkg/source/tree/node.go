package tree

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// New returns a folder with these entries, which are sorted by name.
func New(entries []Entry) *Node {
	n := &Node{Entries: entries}
	for _, e := range entries {
		n.count(e)
	}
	n.ID = treeID(entries)
	return n
}

// treeID is the id that Git gives a folder.
func treeID(entries []Entry) plumbing.Hash {
	sorted := slices.Clone(entries)
	// Git compares folders as if their names ended with a slash.
	slices.SortFunc(sorted, func(a, b Entry) int { return bytes.Compare([]byte(a.sortName()), []byte(b.sortName())) })
	var out bytes.Buffer
	for _, e := range sorted {
		fmt.Fprintf(&out, "%o %s\x00%s", uint32(e.Mode), e.Name, e.ID[:])
	}
	return plumbing.ComputeHash(plumbing.TreeObject, out.Bytes())
}

func (e Entry) sortName() string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

// None reports whether the entry does not exist.
func (e Entry) None() bool { return e.Mode == filemode.Empty && e.ID.IsZero() }

// With returns the folder with changes, which are keyed by path; a None entry removes
// its path. It returns nil if nothing is left.
func (n *Node) With(changes map[string]Entry) *Node {
	entries := map[string]Entry{}
	if n != nil {
		for _, e := range n.Entries {
			entries[e.Name] = e
		}
	}
	below := map[string]map[string]Entry{}
	for name, e := range changes {
		name, rest, deep := strings.Cut(name, "/")
		switch {
		case deep && below[name] == nil:
			below[name] = map[string]Entry{rest: e}
		case deep:
			below[name][rest] = e
		case e.None():
			delete(entries, name)
		default:
			e.Name = name
			entries[name] = e
		}
	}
	for name, changes := range below {
		was := entries[name]
		switch dir := was.Dir.With(changes); {
		case dir != nil:
			entries[name] = Entry{Name: name, Mode: filemode.Dir, ID: dir.ID, Dir: dir}
		case was.Dir != nil:
			delete(entries, name)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	sorted := make([]Entry, 0, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		sorted = append(sorted, entries[name])
	}
	return New(sorted)
}
