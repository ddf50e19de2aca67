package tree

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// CleanFolder returns a value for Options.Folder in the form of an io/fs path; empty for the
// root.
func CleanFolder(folder string) (string, error) {
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

// FolderError reports that a revision does not have the folder that is to be read.
type FolderError struct {
	Folder string // Options.Folder
	At     string // the part of it that is not a folder
	Reason string // what it is instead
}

// Error states what is there instead.
func (e *FolderError) Error() string {
	return fmt.Sprintf("the folder %s cannot be read: %s %s; add it, or correct --path", e.Folder, short(e.At), e.Reason)
}

// Options state what is read of a revision.
type Options struct {
	Folder    string      // as CleanFolder returns it; empty for the whole tree
	Files     int64       // the most that a revision may have
	FileBytes int64       // the most that an opened file may have
	Secrets   *secret.Set // collects the secrets found in files
}

// Read reads the folders of a revision. It returns the root, and all folders by their ids
// for the next call, which need not read them again. With Options.Folder, the root and
// the folders on the path to it have nothing else in them. A missing folder is reported
// by Files: it is not a failure to read the repository.
func Read(o objectdb.Reader, root plumbing.Hash, known map[plumbing.Hash]*Node, opts Options) (*Node, map[plumbing.Hash]*Node, error) {
	r := &treeReader{objects: o, known: known, nodes: make(map[plumbing.Hash]*Node), maxFiles: opts.Files}
	n, err := r.only(root, "", opts.Folder, 0)
	if err != nil {
		return nil, nil, err
	}
	return n, r.nodes, nil
}

// only reads a folder as if it held only what leads to rest.
func (r *treeReader) only(id plumbing.Hash, at, rest string, depth int) (*Node, error) {
	if rest == "" {
		return r.read(id, at, depth)
	}
	all, err := r.parse(id, at)
	if err != nil {
		return nil, err
	}
	name, rest, _ := strings.Cut(rest, "/")
	e, found := all.Find(name)
	if !found {
		return New(nil), nil
	}
	if e.Mode == filemode.Dir {
		if e.Dir, err = r.only(e.ID, at+name+"/", rest, depth+1); err != nil {
			return nil, err
		}
		e.ID = e.Dir.ID
	}
	return New([]Entry{e}), nil
}

// checkFolder returns a *FolderError if a folder does not exist.
func (n *Node) checkFolder(folder string) error {
	if folder == "" {
		return nil
	}
	at := ""
	for name := range strings.SplitSeq(folder, "/") {
		at = path.Join(at, name)
		e, found := n.Find(name)
		if !found {
			return &FolderError{Folder: folder, At: at, Reason: "is not in this commit"}
		}
		if e.Dir == nil {
			return &FolderError{Folder: folder, At: at, Reason: kindOf(e.Mode)}
		}
		n = e.Dir
	}
	return nil
}

// kindOf describes an entry that is not a folder.
func kindOf(mode filemode.FileMode) string {
	switch mode { //nolint:exhaustive // everything else is a file
	case filemode.Symlink:
		return "is a symbolic link, and --path does not follow links"
	case filemode.Submodule:
		return "is a submodule, and submodules are not fetched"
	}
	return "is a file"
}

// IsOutside reports whether a name is neither in a folder nor on the path to
// it.
func IsOutside(folder, name string) bool {
	return folder != "" && name != "." && name != folder &&
		!strings.HasPrefix(name, folder+"/") && !strings.HasPrefix(folder, name+"/")
}

// errOutside returns the error for a name outside the folder.
func (f *Files) errOutside(name string) error {
	return &RefusedError{Path: name, Reason: OutsideFolder, Folder: f.folder}
}
