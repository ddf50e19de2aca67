package source

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	git "github.com/go-git/go-git/v5"
)

// Uncommitted gives the paths, sorted and relative to the work tree at dir, that
// differ from the commit it is at: modified, staged, removed, or neither tracked
// nor ignored. Only those at or below one of the slash-separated paths in under
// are given; without any, all are. A bare repository has none.
func Uncommitted(dir string, under []string) ([]string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	if _, err := findGitDir(abs); err != nil {
		return nil, err
	}
	repository, err := git.PlainOpenWithOptions(abs, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	tree, err := repository.Worktree()
	if errors.Is(err, git.ErrIsBareRepository) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	status, err := tree.Status()
	if err != nil {
		return nil, fmt.Errorf("compare %s with its commit: %w", dir, err)
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

func isUnder(name string, under []string) bool {
	return len(under) == 0 || slices.ContainsFunc(under, func(u string) bool {
		u = path.Clean(u)
		return u == "." || name == u || strings.HasPrefix(name, u+"/")
	})
}
