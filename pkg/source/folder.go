package source

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// cleanFolder returns Options.Path as io/fs writes a path; empty for the root.
func cleanFolder(folder string) (string, error) {
	trimmed := strings.TrimPrefix(strings.TrimRight(folder, "/"), "./")
	switch {
	case folder == "", trimmed == ".", trimmed == "" && strings.HasPrefix(folder, "."):
		return "", nil
	case strings.HasPrefix(folder, "/"):
		return "", fmt.Errorf("path %q: want a folder within the repository, relative to its root", folder)
	case !fs.ValidPath(trimmed), strings.ContainsAny(trimmed, "\\\x00\n"):
		return "", fmt.Errorf("path %q: want names between single slashes, and neither . nor .. among them", folder)
	case len(trimmed) > limit.PathBytes:
		return "", fmt.Errorf("path %.40q…: it is longer than %d bytes", folder, limit.PathBytes)
	}
	return trimmed, nil
}

// FolderError says that a revision does not have the folder that is read of it.
type FolderError struct {
	Folder string // Options.Path
	At     string // the part of it that is not a folder
	Reason string // what that is instead
}

// Error says what is there instead.
func (e *FolderError) Error() string {
	return fmt.Sprintf("the folder %s cannot be read: %s %s; add it, or correct --path", e.Folder, short(e.At), e.Reason)
}

// readFolder is readTree for one folder of a revision: its root and the folders on the
// way have nothing else in them. What is not there, or is no folder, is found out by
// files: that one commit lacks it is no failure to read the repository.
func readFolder(o objectdb.Reader, root plumbing.Hash, folder string, known map[plumbing.Hash]*node, maxFiles int64) (*node, map[plumbing.Hash]*node, error) {
	if folder == "" {
		return readTree(o, root, known, maxFiles)
	}
	r := &treeReader{objects: o, known: known, nodes: make(map[plumbing.Hash]*node), maxFiles: maxFiles}
	n, err := r.only(root, "", folder, 0)
	return n, r.nodes, err
}

// only reads a folder as if there were nothing in it but what leads to rest.
func (r *treeReader) only(id plumbing.Hash, at, rest string, depth int) (*node, error) {
	if rest == "" {
		return r.read(id, at, depth)
	}
	all, err := r.parse(id, at)
	if err != nil {
		return nil, err
	}
	name, rest, _ := strings.Cut(rest, "/")
	e, found := all.find(name)
	if !found {
		return newNode(nil), nil
	}
	if e.mode == filemode.Dir {
		if e.dir, err = r.only(e.id, at+name+"/", rest, depth+1); err != nil {
			return nil, err
		}
		e.id = e.dir.id
	}
	return newNode([]entry{e}), nil
}

// checkFolder reports as a *FolderError that a folder is not there.
func (n *node) checkFolder(folder string) error {
	if folder == "" {
		return nil
	}
	at := ""
	for name := range strings.SplitSeq(folder, "/") {
		at = path.Join(at, name)
		e, found := n.find(name)
		if !found {
			return &FolderError{Folder: folder, At: at, Reason: "is not in this commit"}
		}
		if e.dir == nil {
			return &FolderError{Folder: folder, At: at, Reason: kindOf(e.mode)}
		}
		n = e.dir
	}
	return nil
}

// kindOf says what an entry is that is no folder.
func kindOf(mode filemode.FileMode) string {
	switch mode { //nolint:exhaustive // all else is a file
	case filemode.Symlink:
		return "is a symbolic link, and --path does not follow links"
	case filemode.Submodule:
		return "is a submodule, and submodules are not fetched"
	}
	return "is a file"
}

// isOutside reports whether a name is neither in a folder nor on the way to it.
func isOutside(folder, name string) bool {
	return folder != "" && name != "." && name != folder &&
		!strings.HasPrefix(name, folder+"/") && !strings.HasPrefix(folder, name+"/")
}

// errOutside is the reason why what is not in the folder is not read.
func (f *files) errOutside(name string) error {
	return &RefusedError{Path: name, Reason: OutsideFolder, Folder: f.folder}
}
