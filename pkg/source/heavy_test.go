package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestAFileThatUnpacksToALotCostsNoMemory(t *testing.T) {
	repo := sourcetest.New(t)
	name := filepath.Join(repo.Work, "bomb")
	bomb, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := bomb.Truncate(100 << 20); err != nil {
		t.Fatal(err)
	}
	if err := bomb.Close(); err != nil {
		t.Fatal(err)
	}
	repo.Push("bomb", nil)
	server := sourcetest.ServeHTTP(t, repo, "")
	for _, c := range []struct {
		limit int64
		fails bool
	}{{4 << 20, true}, {8 << 20, false}} {
		s, err := Open(Options{URL: server.CloneURL(), Limits: Limits{RepositoryBytes: c.limit}}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		held := sourcetest.HeldWhile(func() { _, err = s.Snapshot(t.Context(), "") })
		if _, ok := errors.AsType[*objectdb.LimitError](err); ok != c.fails {
			t.Errorf("limit %d: Snapshot = %v, want a LimitError: %v", c.limit, err, c.fails)
		}
		if held > 32<<20 {
			t.Errorf("limit %d: %d bytes of memory were held, want less than 32 MiB", c.limit, held)
		}
	}
}

func TestATreeThatNamesItselfIntoBillionsOfFilesIsRefused(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("one", map[string]string{"a": "1"})
	blob := strings.TrimSpace(repo.Git("rev-parse", "main:a"))
	mktree := func(kind, id string) string {
		var in strings.Builder
		for i := range 10 {
			fmt.Fprintf(&in, "%s %s\tf%d\n", kind, id, i)
		}
		return strings.TrimSpace(repo.Input(in.String(), "mktree"))
	}
	tree := mktree("100644 blob", blob)
	for range 9 {
		tree = mktree("040000 tree", tree)
	}
	commit := strings.TrimSpace(repo.Git("commit-tree", "-m", "bomb", tree))
	repo.Git("update-ref", "refs/heads/main", commit)
	s, err := Open(Options{URL: repo.Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Snapshot(t.Context(), "")
	if limit, ok := errors.AsType[*objectdb.LimitError](err); !ok || limit.Setting != "--max-files" {
		t.Errorf("Snapshot = %v, want a LimitError for Files", err)
	}
}
