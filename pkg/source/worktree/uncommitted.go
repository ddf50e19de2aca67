package worktree

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/gitdir"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// Uncommitted returns the paths, sorted and relative to the work tree at dir, that
// differ from the commit that is checked out: modified, staged, removed, or
// neither tracked nor ignored. It returns only those at or below one of the
// slash-separated paths in under, or all if under is empty. A bare repository has
// none.
//
// A commit whose folders unfold to too many files is not compared: the error is
// an *objectdb.LimitError.
func Uncommitted(dir string, under []string) ([]string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	status, err := workTreeStatus(abs)
	if errors.Is(err, git.ErrIsBareRepository) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(status)) {
		s := status[name]
		if (s.Worktree != git.Unmodified || s.Staging != git.Unmodified) && isUnder(name, under) {
			paths = append(paths, name)
		}
	}
	return paths, nil
}

// workTreeStatus compares a work tree with the commit that is checked out. For a
// bare repository the error is git.ErrIsBareRepository.
func workTreeStatus(dir string) (git.Status, error) {
	if _, err := gitdir.Find(dir); err != nil {
		return nil, err
	}
	repository, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	tree, err := repository.Worktree()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	if err := checkComparable(repository, dir); err != nil {
		return nil, err
	}
	status, err := tree.Status()
	if err != nil {
		return nil, fmt.Errorf("compare %s with its commit: %w", dir, err)
	}
	return status, nil
}

// checkComparable returns an error if a work tree is too large to compare with its
// commit: Status walks every folder as often as it occurs, without a limit.
func checkComparable(repository *git.Repository, dir string) error {
	head, err := repository.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return nil // there is no commit yet
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	objects := gitdir.NewObjects(dir)
	defer objects.Close()
	c, err := objectdb.Peel(objects, head.Hash())
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	root, _, err := tree.Read(objects, c.Tree, nil, tree.Options{Files: comparedFiles})
	if limit, ok := errors.AsType[*objectdb.LimitError](err); ok {
		limit.Repository, limit.Setting = dir, ""
		return limit
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	if root.Folders(comparedFiles+1) > comparedFiles {
		return &objectdb.LimitError{Repository: dir, What: "folders", Limit: comparedFiles}
	}
	return nil
}

// comparedFiles is how many files, and how many folders, a commit may have to be
// compared with its work tree. That takes some seconds.
const comparedFiles = 1_000_000

func isUnder(name string, under []string) bool {
	return len(under) == 0 || slices.ContainsFunc(under, func(u string) bool {
		u = path.Clean(u)
		return u == "." || name == u || strings.HasPrefix(name, u+"/")
	})
}
