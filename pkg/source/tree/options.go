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

// CleanFolder returns a setting for Options.Folder as io/fs writes a path; empty for the root.
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

// FolderError says that a revision does not have the folder that is read of it.
type FolderError struct {
	Folder string // Options.Folder
	At     string // the part of it that is not a folder
	Reason string // what that is instead
}

// Error says what is there instead.
func (e *FolderError) Error() string {
	return fmt.Sprintf("the folder %s cannot be read: %s %s; add it, or correct --path", e.Folder, short(e.At), e.Reason)
}

// Options say what is read of a revision.
type Options struct {
	Folder    string      // as CleanFolder returns it; empty for all that there is
	Files     int64       // that there may be
	FileBytes int64       // that a file may have that is opened
	Secrets   *secret.Set // notes what is found in files
}

// Read reads the folders of a revision: the root, and all by their ids for the next
// call, which need not read those again. With Options.Folder, the root and the folders on
// the way to that have nothing else in them. What is not there, or is no folder, is found
// out by Files: that one commit lacks it is no failure to read the repository.
func Read(o objectdb.Reader, root plumbing.Hash, known map[plumbing.Hash]*Node, opts Options) (*Node, map[plumbing.Hash]*Node, error) {
	r := &treeReader{objects: o, known: known, nodes: make(map[plumbing.Hash]*Node), maxFiles: opts.Files}
	n, err := r.only(root, "", opts.Folder, 0)
	if err != nil {
		return nil, nil, err
	}
	return n, r.nodes, nil
}

// only reads a folder as if there were nothing in it but what leads to rest.
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

// checkFolder reports as a *FolderError that a folder is not there.
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

// IsOutside reports whether a name is neither in a folder nor on the way to it.
func IsOutside(folder, name string) bool {
	return folder != "" && name != "." && name != folder &&
		!strings.HasPrefix(name, folder+"/") && !strings.HasPrefix(folder, name+"/")
}

// errOutside is the reason why what is not in the folder is not read.
func (f *Files) errOutside(name string) error {
	return &RefusedError{Path: name, Reason: OutsideFolder, Folder: f.folder}
}
