package gitdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// NotRepositoryError reports that a local path holds no Git repository that can be
// read.
type NotRepositoryError struct {
	Path   string
	Reason string
	Remedy string
}

// Error returns the reason with its remedy.
func (e *NotRepositoryError) Error() string {
	return fmt.Sprintf("read %s: %s; %s", e.Path, e.Reason, e.Remedy)
}

// Dir is the Git folder of a local repository.
type Dir struct {
	Own    string // has HEAD
	Common string // has the rest; the same as Own except for `git worktree add`
}

// Find finds the Git folder of a work tree or a bare repository, and refuses a
// format that cannot be read.
func Find(path string) (Dir, error) {
	dir, err := lookupGitDir(path)
	if err != nil {
		return Dir{}, err
	}
	return dir, dir.checkFormat(path)
}

func lookupGitDir(path string) (Dir, error) {
	dotGit := filepath.Join(path, ".git")
	st, err := os.Stat(dotGit)
	switch {
	case err == nil && st.IsDir():
		return Dir{Own: dotGit, Common: dotGit}, nil
	case err == nil:
		return linkedGitDir(path, dotGit)
	case isGitDir(path):
		return Dir{Own: path, Common: path}, nil
	}
	if _, err := os.Stat(path); err != nil {
		reason := "it cannot be opened: " + err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			reason = "there is no such folder"
		}
		return Dir{}, &NotRepositoryError{Path: path, Reason: reason, Remedy: "give the path of a Git repository"}
	}
	if above := above(path); above != "" {
		return Dir{}, &NotRepositoryError{Path: path, Reason: "it is a folder within a Git repository, not its root", Remedy: "give " + withinRepository(above, path)}
	}
	return Dir{}, &NotRepositoryError{
		Path: path, Reason: "it is not a Git repository",
		Remedy: "make it one: git init, git add, git commit",
	}
}

// above returns the repository that contains a folder; empty for none.
func above(path string) string {
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil || isGitDir(dir) {
			return dir
		}
	}
	return ""
}

// Settings returns the flags for a folder that is a repository's root, is below one, or is
// to become a repository: --repo, and --path if it is below a root.
func Settings(folder string) string {
	path, err := filepath.Abs(folder)
	if err != nil {
		return "--repo " + untrusted.Quote(folder)
	}
	_, statErr := os.Stat(filepath.Join(path, ".git"))
	if above := above(path); above != "" && statErr != nil && !isGitDir(path) {
		return withinRepository(above, path)
	}
	return "--repo " + untrusted.Quote(folder)
}

// withinRepository returns the flags for a folder below a repository's root.
func withinRepository(repository, folder string) string {
	below, err := filepath.Rel(repository, folder)
	if err != nil {
		return "--repo " + untrusted.Quote(repository)
	}
	if here, err := os.Getwd(); err == nil && here == repository {
		repository = "."
	}
	return "--repo " + untrusted.Quote(repository) + " --path " + untrusted.Quote(filepath.ToSlash(below))
}

func isGitDir(path string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(path, name)); err != nil {
			return false
		}
	}
	return true
}

// linkedGitDir reads the file .git of a work tree whose repository is elsewhere.
func linkedGitDir(path, file string) (Dir, error) {
	broken := &NotRepositoryError{Path: path, Reason: "its file .git names no repository", Remedy: "repair it: git worktree repair"}
	content, err := objectdb.ReadFile(file)
	if err != nil {
		return Dir{}, broken
	}
	target, ok := strings.CutPrefix(strings.TrimSpace(string(content)), "gitdir: ")
	if !ok {
		return Dir{}, broken
	}
	own := objectdb.Join(path, target)
	common := own
	if content, err := objectdb.ReadFile(filepath.Join(own, "commondir")); err == nil {
		common = objectdb.Join(own, strings.TrimSpace(string(content)))
	}
	if _, err := os.Stat(filepath.Join(common, "objects")); err != nil {
		return Dir{}, broken
	}
	return Dir{Own: own, Common: common}, nil
}

// checkFormat refuses repositories whose refs or objects have a format that
// go-git cannot read. It would find none, and report an empty repository.
func (d Dir) checkFormat(path string) error {
	refuse := func(reason, remedy string) error {
		return &NotRepositoryError{Path: path, Reason: reason, Remedy: remedy}
	}
	if _, err := os.Stat(filepath.Join(d.Common, "reftable")); err == nil {
		return refuse("its refs are in the reftable format, which is not supported", "git refs migrate --ref-format=files")
	}
	head := filepath.Join(d.Own, "HEAD")
	if info, err := os.Stat(head); err == nil {
		if err := objectdb.Readable(head, info, maxRef); err != nil {
			return refuse("its HEAD cannot be read: "+err.Error(), "repair it: git symbolic-ref HEAD refs/heads/main")
		}
	}
	content, err := objectdb.ReadAtMost(filepath.Join(d.Common, "config"), maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Git accepts such a repository too.
	}
	if err != nil {
		return refuse("its config cannot be read: "+err.Error(), "let this user read it, or make it shorter")
	}
	cfg, err := config.ReadConfig(bytes.NewReader(content))
	if err != nil {
		return refuse("its config is malformed: "+err.Error(), "repair it: git config --list shows where")
	}
	for _, o := range cfg.Raw.Section("extensions").Options {
		switch key, value := strings.ToLower(o.Key), strings.ToLower(o.Value); {
		case key == "refstorage" && value != "files":
			return refuse("its refs are in the "+value+" format, which is not supported", "git refs migrate --ref-format=files")
		case key == "objectformat" && value != "sha1":
			return refuse(NotSHA1(value))
		}
	}
	return nil
}

// Branches lists the existing branches. go-git would also list the lock files
// of a push, and fail to read them.
func (d Dir) Branches() []plumbing.ReferenceName {
	var names []plumbing.ReferenceName
	heads := filepath.Join(d.Common, "refs", "heads")
	// What vanishes during the walk, or cannot be read, is not listed.
	_ = filepath.WalkDir(heads, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasSuffix(path, ".lock") {
			names = append(names, plumbing.NewBranchReferenceName(filepath.ToSlash(path[len(heads)+1:])))
		}
		return nil
	})
	packed, err := objectdb.ReadFile(filepath.Join(d.Common, "packed-refs"))
	if err != nil {
		return names
	}
	for line := range strings.Lines(string(packed)) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n := plumbing.ReferenceName(name); n.IsBranch() {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return slices.Compact(names) // a branch may be in both
}

const (
	// maxConfig bounds Git's config file, in bytes: enough for about a thousand
	// branches. The time that go-git needs to read it grows with the square of its
	// size.
	maxConfig = 256 << 10
	// maxRef bounds the file of a ref, in bytes: it names another ref or an object.
	maxRef = 64 << 10
)

// ownFiles bounds what go-git may open in a Git folder: go-git reads such files
// whole, whatever they are.
type ownFiles struct{ billy.Filesystem }

// Open opens a file if it may be read.
func (f ownFiles) Open(name string) (billy.File, error) {
	most := int64(objectdb.MaxOwnFile)
	switch first, _, _ := strings.Cut(filepath.ToSlash(name), "/"); first {
	case "objects":
		return f.Filesystem.Open(name) // these are not read whole
	case "HEAD", "refs":
		most = maxRef
	case "config":
		most = maxConfig
	}
	info, err := f.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if err := objectdb.Readable(f.Join(f.Root(), name), info, most); err != nil {
			return nil, err
		}
	}
	return f.Filesystem.Open(name)
}

// Storage returns the folder as go-git's storage. Nothing is read before it is
// needed. What is read of packs is held until the storage is closed.
func (d Dir) Storage() *filesystem.Storage {
	var dot billy.Filesystem = ownFiles{osfs.New(d.Own)}
	if d.Common != d.Own {
		dot = dotgit.NewRepositoryFilesystem(dot, ownFiles{osfs.New(d.Common)})
	}
	return filesystem.NewStorageWithOptions(dot, cache.NewObjectLRU(objectCacheBytes), filesystem.Options{
		KeepDescriptors: true, // A pack that gc removes stays readable while it is open.
		AlternatesFS:    osfs.New("/"),
	})
}

// objectCacheBytes bounds go-git's cache, whose default is 96 MiB. It helps
// only with the bases of deltas, and those are near one another.
const objectCacheBytes = 4 * cache.MiByte

// NotSHA1 returns the reason and the remedy for a repository whose object ids use a hash
// other than SHA-1.
func NotSHA1(hash string) (reason, remedy string) {
	return "its objects are named by " + hash + ", which is not supported", "make a repository with git init --object-format=sha1"
}
