package tree

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

// Node is one folder of a revision. A Node never changes, so revisions share the
// nodes of equal folders.
type Node struct {
	ID      plumbing.Hash
	Entries []Entry // by name, in byte order, as io/fs sorts them
	Files   int64   // in it and below; a folder counts as often as it occurs
	links   bool    // whether there is a symbolic link in it or below
	height  int     // how deep folders nest in it
	longest int     // bytes of the longest path in it
}

// Entry is one name in a folder.
type Entry struct {
	Name string
	Mode filemode.FileMode
	ID   plumbing.Hash
	Dir  *Node // of a folder; otherwise nil
}

// Find returns the entry with a name, or false.
func (n *Node) Find(name string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(n.Entries, name, func(e Entry, name string) int {
		return strings.Compare(e.Name, name)
	})
	if !ok {
		return Entry{}, false
	}
	return n.Entries[i], true
}

// count adds an entry to the folder's totals.
func (n *Node) count(e Entry) {
	n.longest = max(n.longest, len(e.Name))
	switch {
	case e.Dir != nil:
		n.Files += e.Dir.Files
		n.links = n.links || e.Dir.links
		n.height = max(n.height, e.Dir.height+1)
		n.longest = max(n.longest, len(e.Name)+1+e.Dir.longest)
	case e.Mode == filemode.Symlink:
		n.links = true
		n.Files++
	default: // anything else counts as one file
		n.Files++
	}
}

// maxTreeDepth bounds the nesting of folders.
const maxTreeDepth = 256

// treeReader reads all folders of one revision. There are few, and they hold
// everything except the content of files, which is read when a file is opened.
type treeReader struct {
	objects  objectdb.Reader
	known    map[plumbing.Hash]*Node // of the previous revision
	nodes    map[plumbing.Hash]*Node // of this one
	entries  int64                   // in nodes
	maxFiles int64
}

func (r *treeReader) read(id plumbing.Hash, path string, depth int) (*Node, error) {
	if n, ok := r.nodes[id]; ok {
		return n, fits(n, path, depth)
	}
	if n, ok := r.known[id]; ok {
		r.keep(n)
		return n, fits(n, path, depth)
	}
	if err := fits(&Node{}, path, depth); err != nil {
		return nil, err
	}
	n, err := r.parse(id, path)
	if err != nil {
		return nil, err
	}
	r.entries += int64(len(n.Entries))
	for i, e := range n.Entries {
		if e.Mode == filemode.Dir {
			sub, err := r.read(e.ID, path+e.Name+"/", depth+1)
			if err != nil {
				return nil, err
			}
			e.Dir = sub
			n.Entries[i].Dir = sub
		}
		n.count(e)
		// A few tree objects can refer to one another so that there are
		// billions of files, so Files counts names. A folder without files
		// still takes memory.
		if n.Files > r.maxFiles || r.entries > 2*r.maxFiles {
			return nil, &objectdb.LimitError{What: "files", Limit: r.maxFiles, Setting: "--max-files"}
		}
	}
	r.nodes[id] = n
	return n, fits(n, path, depth)
}

// fits returns an error if a folder at a path has paths that are too long or too
// deep. A known folder may occur again much deeper than before.
func fits(n *Node, path string, depth int) error {
	if depth+n.height > maxTreeDepth {
		return fmt.Errorf("folder /%s: folders are nested more than %d deep", short(path), maxTreeDepth)
	}
	if len(path)+n.longest > limit.PathBytes {
		return fmt.Errorf("folder /%s: a path is longer than %s bytes", short(path), limit.Number(limit.PathBytes))
	}
	return nil
}

// Fit returns an error if a root folder has paths that are too long or too deep.
func (n *Node) Fit() error { return fits(n, "", 0) }

// short shortens a path for a message: Git does not limit file names.
func short(path string) string { return limit.Text(path, limit.ValueBytes) }

// Folders counts the folders below a node, each as often as it occurs, up to
// most.
func (n *Node) Folders(most int64) int64 {
	return n.countFolders(most, map[*Node]int64{})
}

func (n *Node) countFolders(most int64, known map[*Node]int64) int64 {
	if count, ok := known[n]; ok {
		return count
	}
	var count int64
	for _, e := range n.Entries {
		if e.Dir != nil && count < most {
			count = min(most, count+1+e.Dir.countFolders(most, known))
		}
	}
	known[n] = count
	return count
}

// keep takes over a folder of the previous revision with everything below it:
// an equal id means an equal tree.
func (r *treeReader) keep(n *Node) {
	if _, ok := r.nodes[n.ID]; ok {
		return
	}
	r.nodes[n.ID] = n
	r.entries += int64(len(n.Entries))
	for _, e := range n.Entries {
		if e.Dir != nil {
			r.keep(e.Dir)
		}
	}
}

// parse returns the folder's own entries, without their Dir fields.
func (r *treeReader) parse(id plumbing.Hash, path string) (*Node, error) {
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
	n := &Node{ID: id, Entries: make([]Entry, 0, len(t.Entries))}
	for _, e := range t.Entries {
		// Git checks none of these out.
		if e.Name == "." || e.Name == ".." || strings.Contains(e.Name, "/") || strings.EqualFold(e.Name, ".git") {
			return nil, fmt.Errorf("folder /%s: %s is not a valid file name", short(path), limit.Quote(e.Name))
		}
		n.Entries = append(n.Entries, Entry{Name: e.Name, Mode: e.Mode, ID: e.Hash})
	}
	slices.SortFunc(n.Entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(n.Entries); i++ {
		if n.Entries[i].Name == n.Entries[i-1].Name {
			return nil, fmt.Errorf("folder /%s: two files are named %s", short(path), limit.Quote(n.Entries[i].Name))
		}
	}
	return n, nil
}
