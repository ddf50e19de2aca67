package merge

import (
	"errors"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// Limits bound what is merged.
type Limits struct {
	FileBytes int64 // of one file that both sides changed
	Files     int64 // in the result
}

// Result is the result of a merge.
type Result struct {
	Root *tree.Node
	// Objects has the objects of all sides and the merged files.
	Objects objectdb.Reader
	// Conflicts are the paths, sorted, of files that both sides changed and that do not
	// merge. Root has their version.
	Conflicts []string
	// Both are the paths, sorted, of the other files that both sides changed.
	Both []string
}

// Trees returns the three-way merge of the root folders, as git merge would, but
// without detecting renames. Nothing is written: new objects are in memory.
func Trees(objects []objectdb.Reader, base, ours, theirs *tree.Node, limits Limits) (Result, error) {
	made := made{}
	m := &merger{
		objects:   append(objectdb.Several{made}, objects...),
		fileBytes: limits.FileBytes,
		maxFiles:  limits.Files,
		left:      allowance{bytes: mergeAllBytes, lines: mergeAllLines},
		made:      made,
		merged:    map[[3]*tree.Node]*tree.Node{},
	}
	root, err := m.root(base, ours, theirs)
	if err != nil {
		return Result{}, err
	}
	return Result{Root: root, Objects: m.objects, Conflicts: m.conflicts, Both: m.both}, nil
}

// merger computes the folders of a merge.
type merger struct {
	objects   objectdb.Reader // of all sides
	fileBytes int64
	maxFiles  int64

	left      allowance
	made      made
	merged    map[[3]*tree.Node]*tree.Node // nil where a folder became empty
	visits    int64                        // entries compared
	conflicts []string                     // paths of files that do not merge; the result has theirs
	both      []string                     // paths of files that both sides changed, and that merge
}

// root merges the root folders.
func (m *merger) root(base, ours, theirs *tree.Node) (*tree.Node, error) {
	n, err := m.dir("", base, ours, theirs)
	if err != nil {
		return nil, err
	}
	if n == nil {
		n = tree.New(nil)
	}
	slices.Sort(m.conflicts)
	slices.Sort(m.both)
	return n, nil
}

// dir merges a folder. Each of the three may be nil.
func (m *merger) dir(path string, base, ours, theirs *tree.Node) (*tree.Node, error) {
	key := [3]*tree.Node{base, ours, theirs}
	if n, ok := m.merged[key]; ok {
		return n, nil
	}
	var entries []tree.Entry
	for _, name := range namesOf(base, ours, theirs) {
		// Folders may refer to one another so that there are billions of paths.
		if m.visits++; m.visits > 4*m.maxFiles {
			return nil, &objectdb.LimitError{What: "files", Limit: m.maxFiles, Setting: "--max-files"}
		}
		e, ok, err := m.entry(path+name, get(base, name), get(ours, name), get(theirs, name))
		if err != nil {
			return nil, err
		}
		if ok {
			e.Name = name
			entries = append(entries, e)
		}
	}
	var n *tree.Node
	if len(entries) > 0 {
		n = tree.New(entries)
	}
	if n != nil && n.Files > m.maxFiles {
		return nil, &objectdb.LimitError{What: "files", Limit: m.maxFiles, Setting: "--max-files"}
	}
	m.merged[key] = n
	return n, nil
}

// entry merges one name, and reports whether the result has it.
func (m *merger) entry(path string, base, ours, theirs tree.Entry) (tree.Entry, bool, error) {
	switch {
	case same(theirs, ours), same(theirs, base):
		return ours, !ours.None(), nil
	case same(ours, base):
		return theirs, !theirs.None(), nil
	case folderOrNone(ours) && folderOrNone(theirs): // one of them is none: its files were removed
		n, err := m.dir(path+"/", base.Dir, ours.Dir, theirs.Dir)
		if n == nil || err != nil {
			return tree.Entry{}, false, err
		}
		return tree.Entry{Mode: filemode.Dir, ID: n.ID, Dir: n}, true, nil
	case regular(ours) && regular(theirs):
		e, ok, err := m.file(base, ours, theirs)
		if err != nil {
			return tree.Entry{}, false, err
		}
		if ok {
			m.both = append(m.both, path)
			return e, true, nil
		}
	}
	m.conflicts = append(m.conflicts, path)
	if theirs.None() {
		return tree.Entry{}, false, nil
	}
	return theirs, true, nil
}

// file merges a file that both sides changed in different ways. It returns false if
// the file does not merge.
func (m *merger) file(base, ours, theirs tree.Entry) (tree.Entry, bool, error) {
	var content [3][]byte
	for i, e := range []tree.Entry{base, ours, theirs} {
		if !regular(e) {
			continue // new on both sides
		}
		kind, text, err := m.objects.Read(e.ID, m.fileBytes)
		if _, ok := errors.AsType[objectdb.TooLargeError](err); ok || err == nil && kind != plumbing.BlobObject {
			return tree.Entry{}, false, nil
		}
		if _, ok := errors.AsType[objectdb.HeavyError](err); ok {
			return tree.Entry{}, false, nil
		}
		if err != nil {
			return tree.Entry{}, false, tree.Missing(e.ID, err)
		}
		content[i] = text
	}
	mode := theirs.Mode
	if theirs.Mode == base.Mode {
		mode = ours.Mode
	}
	switch {
	case ours.ID == theirs.ID || base.ID == theirs.ID:
		return tree.Entry{Mode: mode, ID: ours.ID}, true, nil
	case base.ID == ours.ID:
		return tree.Entry{Mode: mode, ID: theirs.ID}, true, nil
	}
	if !m.left.take(content[:]...) {
		return tree.Entry{}, false, nil
	}
	text, ok := mergeText(content[0], content[1], content[2])
	if !ok {
		return tree.Entry{}, false, nil
	}
	id := plumbing.ComputeHash(plumbing.BlobObject, text)
	m.made[id] = text
	return tree.Entry{Mode: mode, ID: id}, true, nil
}

// namesOf returns the names in all folders, sorted.
func namesOf(all ...*tree.Node) []string {
	var names []string
	for _, n := range all {
		if n != nil {
			for _, e := range n.Entries {
				names = append(names, e.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// get is Find for a folder that may be nil and a name that may be missing.
func get(n *tree.Node, name string) tree.Entry {
	if n == nil {
		return tree.Entry{}
	}
	e, _ := n.Find(name)
	return e
}

// folderOrNone reports whether an entry is a folder or does not exist.
func folderOrNone(e tree.Entry) bool { return e.Dir != nil || e.None() }

func same(a, b tree.Entry) bool { return a.ID == b.ID && a.Mode == b.Mode }

func regular(e tree.Entry) bool {
	switch e.Mode { //nolint:exhaustive // nothing else is a file
	case filemode.Regular, filemode.Executable, filemode.Deprecated:
		return true
	}
	return false
}
