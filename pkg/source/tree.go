package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// node is one folder of a revision. Nodes never change, so revisions share those
// of the folders that are equal in both.
type node struct {
	id      plumbing.Hash
	entries []entry // by name, in byte order, as io/fs sorts them
	files   int64   // in it and below, counting a folder as often as it occurs
	links   bool    // there is a symbolic link in it or below
	height  int     // how deep folders nest in it
	longest int     // bytes of the longest path in it
}

// entry is one name in a folder.
type entry struct {
	name string
	mode filemode.FileMode
	id   plumbing.Hash
	dir  *node // of a folder, else nil
}

// find gives the entry of a name, or false.
func (n *node) find(name string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(n.entries, name, func(e entry, name string) int {
		return strings.Compare(e.name, name)
	})
	if !ok {
		return entry{}, false
	}
	return n.entries[i], true
}

// count adds an entry to what the folder says of all below it.
func (n *node) count(e entry) {
	n.longest = max(n.longest, len(e.name))
	switch {
	case e.dir != nil:
		n.files += e.dir.files
		n.links = n.links || e.dir.links
		n.height = max(n.height, e.dir.height+1)
		n.longest = max(n.longest, len(e.name)+1+e.dir.longest)
	case e.mode == filemode.Symlink:
		n.links = true
		n.files++
	default: // all else counts as one file
		n.files++
	}
}

// maxTreeDepth bounds the nesting of folders.
const maxTreeDepth = 256

// treeReader reads the folders of one revision: all of them at once, since there
// are few and everything but the content of files is in them. Files are read
// when they are opened.
type treeReader struct {
	objects  objectdb.Reader
	known    map[plumbing.Hash]*node // of the revision before
	nodes    map[plumbing.Hash]*node // of this one
	entries  int64                   // in nodes
	maxFiles int64
}

// readTree gives a revision's root folder, and all its folders by id for the
// next call, which need not read those again.
func readTree(o objectdb.Reader, root plumbing.Hash, known map[plumbing.Hash]*node, maxFiles int64) (*node, map[plumbing.Hash]*node, error) {
	r := &treeReader{objects: o, known: known, nodes: make(map[plumbing.Hash]*node), maxFiles: maxFiles}
	n, err := r.read(root, "", 0)
	if err != nil {
		return nil, nil, err
	}
	return n, r.nodes, nil
}

func (r *treeReader) read(id plumbing.Hash, path string, depth int) (*node, error) {
	if n, ok := r.nodes[id]; ok {
		return n, fits(n, path, depth)
	}
	if n, ok := r.known[id]; ok {
		r.keep(n)
		return n, fits(n, path, depth)
	}
	if err := fits(&node{}, path, depth); err != nil {
		return nil, err
	}
	n, err := r.parse(id, path)
	if err != nil {
		return nil, err
	}
	r.entries += int64(len(n.entries))
	for i, e := range n.entries {
		if e.mode == filemode.Dir {
			sub, err := r.read(e.id, path+e.name+"/", depth+1)
			if err != nil {
				return nil, err
			}
			e.dir = sub
			n.entries[i].dir = sub
		}
		n.count(e)
		// A tree of a few objects can name itself into billions of files, so
		// files counts names; and a folder without files still takes memory.
		if n.files > r.maxFiles || r.entries > 2*r.maxFiles {
			return nil, &objectdb.LimitError{What: "files", Limit: r.maxFiles, Setting: "--max-files"}
		}
	}
	r.nodes[id] = n
	return n, fits(n, path, depth)
}

// fits reports as an error that a folder at a path has too long paths in it, or too
// deep ones. A folder that is known may be found again far below where it was first.
func fits(n *node, path string, depth int) error {
	if depth+n.height > maxTreeDepth {
		return fmt.Errorf("folder /%s: folders are nested more than %d deep", short(path), maxTreeDepth)
	}
	if len(path)+n.longest > limit.PathBytes {
		return fmt.Errorf("folder /%s: a path is longer than %s bytes", short(path), limit.Number(limit.PathBytes))
	}
	return nil
}

// short is a path as a message holds it: the name of a file has no limit in Git.
func short(path string) string { return limit.Text(path, limit.ValueBytes) }

// folders counts the folders below a node as often as they occur, up to most.
func (n *node) folders(most int64) int64 {
	return n.countFolders(most, map[*node]int64{})
}

func (n *node) countFolders(most int64, known map[*node]int64) int64 {
	if count, ok := known[n]; ok {
		return count
	}
	var count int64
	for _, e := range n.entries {
		if e.dir != nil && count < most {
			count = min(most, count+1+e.dir.countFolders(most, known))
		}
	}
	known[n] = count
	return count
}

// keep takes over a folder of the revision before, with all below it: an equal
// id is an equal tree.
func (r *treeReader) keep(n *node) {
	if _, ok := r.nodes[n.id]; ok {
		return
	}
	r.nodes[n.id] = n
	r.entries += int64(len(n.entries))
	for _, e := range n.entries {
		if e.dir != nil {
			r.keep(e.dir)
		}
	}
}

// parse gives the folder's own entries, without their dir fields.
func (r *treeReader) parse(id plumbing.Hash, path string) (*node, error) {
	kind, content, err := r.objects.Read(id, objectdb.MaxTreeBytes)
	if err != nil {
		return nil, fmt.Errorf("folder /%s (%s): %w", short(path), id, err)
	}
	if kind != plumbing.TreeObject {
		return nil, fmt.Errorf("folder /%s (%s) is a %s", short(path), id, kind)
	}
	var t object.Tree
	if err := t.Decode(objectdb.Encode(kind, content)); err != nil {
		return nil, fmt.Errorf("folder /%s (%s): %w", short(path), id, err)
	}
	n := &node{id: id, entries: make([]entry, 0, len(t.Entries))}
	for _, e := range t.Entries {
		// Git checks none of these out.
		if e.Name == "." || e.Name == ".." || strings.Contains(e.Name, "/") || strings.EqualFold(e.Name, ".git") {
			return nil, fmt.Errorf("folder /%s: %s is no name for a file", short(path), limit.Quote(e.Name))
		}
		n.entries = append(n.entries, entry{name: e.Name, mode: e.Mode, id: e.Hash})
	}
	slices.SortFunc(n.entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	for i := 1; i < len(n.entries); i++ {
		if n.entries[i].name == n.entries[i-1].name {
			return nil, fmt.Errorf("folder /%s: two files are named %s", short(path), limit.Quote(n.entries[i].name))
		}
	}
	return n, nil
}
