package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// Refusal is why a file of a repository is not read.
type Refusal string

// The reasons to refuse a file.
const (
	LinkOutside Refusal = "link outside" // a symbolic link that leaves the repository or the folder that is read
	LinkLoop    Refusal = "link loop"    // a symbolic link that leads back to itself
	Submodule   Refusal = "submodule"    // a commit of another repository
	LFSPointer  Refusal = "LFS pointer"  // Git LFS stores the content elsewhere
	TooLarge    Refusal = "too large"    // above Options.FileBytes
	HeavyDelta  Refusal = "heavy delta"  // stored as a delta of something too large

	OutsideFolder Refusal = "outside the folder" // not in Options.Folder
)

// RefusedError reports that a file of the repository is not read, and why. It is
// wrapped in a *fs.PathError.
type RefusedError struct {
	Path   string // of the link, submodule or file within the repository
	Reason Refusal
	Target string // of a symbolic link
	Folder string // Options.Folder
	Size   int64  // in bytes, of a file that is too large or of the base of its delta
	Limit  int64  // the limit that Size exceeds, in bytes
}

// Error states what the file is and how to fix it.
func (e *RefusedError) Error() string {
	path, target := short(e.Path), limit.Quote(e.Target)
	switch e.Reason {
	case LinkOutside:
		left := "the repository"
		if e.Folder != "" {
			left = e.Folder + ", and nothing else of the repository is read"
		}
		return fmt.Sprintf("%s is a symbolic link to %s, which leaves %s; put a copy of the file there", path, target, left)
	case OutsideFolder:
		return fmt.Sprintf("%s is outside %s, and nothing else of the repository is read; move it there, or set --path to a folder that contains both", path, e.Folder)
	case LinkLoop:
		return fmt.Sprintf("%s is a symbolic link to %s, which leads back to itself; point it at a file", path, target)
	case Submodule:
		return fmt.Sprintf("%s is a submodule, and submodules are not fetched; put its files into this repository", path)
	case LFSPointer:
		return fmt.Sprintf("%s is a Git LFS pointer, and its content is not in the repository; take it out of LFS (git lfs migrate export)", path)
	case TooLarge:
		return fmt.Sprintf("%s has %d bytes, more than the %d that a file may have; make it smaller, or raise --max-file-bytes", path, e.Size, e.Limit)
	case HeavyDelta:
		return fmt.Sprintf("%s is stored as a delta of objects of %d bytes, more than the %d that are unpacked for one file; "+
			"store large files without deltas (git -c core.bigFileThreshold=16m repack -adf)", path, e.Size, e.Limit)
	}
	return fmt.Sprintf("%s is refused: %s", path, e.Reason)
}

// An LFS pointer is a text of less than 1,024 bytes that begins with this line,
// by the specification of Git LFS (docs/spec.md).
const lfsPointerBytes = 1024

func lfsPointer(content []byte) bool {
	return len(content) < lfsPointerBytes && bytes.HasPrefix(content, []byte("version https://git-lfs.github.com/spec/"))
}

// maxLinks is how many symbolic links one name may lead through, as on Linux.
const maxLinks = 40

// resolve finds the entry of a name. It follows symbolic links on the path, and
// one at its end if follow is set.
//
// It walks the folders instead of cleaning the text, since a/link/.. need not
// be a.
func (f *Files) resolve(op, name string, follow bool) (Entry, error) {
	fail := func(err error) (Entry, error) {
		return Entry{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	switch {
	case !fs.ValidPath(name):
		return fail(fs.ErrInvalid)
	case IsOutside(f.folder, name):
		return fail(f.errOutside(name))
	case f.wrong != nil && name != ".":
		return fail(f.wrong)
	}
	floor := 1 // the number of folders that no link may leave
	if f.folder != "" {
		floor += strings.Count(f.folder, "/") + 1
	}
	dirs := []Entry{{Name: ".", Mode: filemode.Dir, ID: f.root.ID, Dir: f.root}} // from the root to the current folder
	rest := split(name)
	var links int
	var link RefusedError // the latest link, in case it must be refused
	for len(rest) > 0 {
		step := rest[0]
		rest = rest[1:]
		if step == ".." { // Only links contain these.
			if len(dirs) == floor {
				link.Reason, link.Folder = LinkOutside, f.folder
				return fail(&link)
			}
			dirs = dirs[:len(dirs)-1]
			continue
		}
		e, found := dirs[len(dirs)-1].Dir.Find(step)
		switch {
		case !found:
			return fail(fs.ErrNotExist)
		case e.Mode == filemode.Symlink && (follow || len(rest) > 0):
			target, err := f.link(e)
			if err != nil {
				return fail(err)
			}
			link = RefusedError{Path: pathTo(dirs, step), Target: target}
			if path.IsAbs(target) {
				link.Reason, link.Folder = LinkOutside, f.folder
				return fail(&link)
			}
			if links++; links > maxLinks {
				link.Reason = LinkLoop
				return fail(&link)
			}
			rest = slices.Concat(split(target), rest)
		case e.Mode == filemode.Submodule && len(rest) > 0:
			return fail(&RefusedError{Path: pathTo(dirs, step), Reason: Submodule})
		case e.Dir != nil:
			dirs = append(dirs, e)
		case len(rest) > 0:
			return fail(fs.ErrNotExist) // A file is used as a folder.
		default:
			return e, nil
		}
	}
	return dirs[len(dirs)-1], nil
}

// pathTo returns the path of a name in the last folder of dirs.
func pathTo(dirs []Entry, name string) string {
	var names []string
	for _, d := range dirs[1:] {
		names = append(names, d.Name)
	}
	return path.Join(append(names, name)...)
}

// split returns the elements of a path, without empty ones and dots.
func split(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." })
}

// link returns the target of a symbolic link.
func (f *Files) link(e Entry) (string, error) {
	_, content, err := f.objects.Read(e.ID, objectdb.MaxLinkBytes)
	if err != nil {
		return "", Missing(e.ID, err)
	}
	return string(content), nil
}

// Missing explains an object that cannot be read. In a local repository `git gc
// --prune=now` removes the objects of commits that no ref leads to any more.
func Missing(id plumbing.Hash, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("object %s is not in the repository: its history was rewritten and pruned, or the clone is partial", id)
	}
	return fmt.Errorf("object %s: %w", id, err)
}
