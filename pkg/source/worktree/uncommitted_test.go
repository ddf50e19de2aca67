package worktree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestUncommittedNamesWhatIsNotInTheCommit(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Commit("first", map[string]string{
		"apps/web/a.yaml": "1", "apps/web/b.yaml": "1", "apps/web/gone.yaml": "1", "apps/webby/a.yaml": "1",
		"fedsync.yaml": "1", ".gitignore": "*.tmp\n",
	})
	if got, err := Uncommitted(repo.Work, []string{"."}); err != nil || len(got) != 0 {
		t.Fatalf("Uncommitted = %q, %v, want none", got, err)
	}
	repo.Write(map[string]string{
		"apps/web/a.yaml": "2", "apps/web/new.yaml": "2", "apps/web/ignored.tmp": "2", "apps/web/gone.yaml": sourcetest.Removed,
		"apps/webby/a.yaml": "2", "apps/web/b.yaml": "2", "fedsync.yaml": "2",
	})
	repo.InWork("add", "apps/web/b.yaml")
	for _, c := range []struct{ under, want string }{
		{"apps/web", "apps/web/a.yaml apps/web/b.yaml apps/web/gone.yaml apps/web/new.yaml"},
		{"apps/web/ fedsync.yaml", "apps/web/a.yaml apps/web/b.yaml apps/web/gone.yaml apps/web/new.yaml fedsync.yaml"},
		{"apps/webby", "apps/webby/a.yaml"},
		{"elsewhere", ""},
		{"", "apps/web/a.yaml apps/web/b.yaml apps/web/gone.yaml apps/web/new.yaml apps/webby/a.yaml fedsync.yaml"},
	} {
		got, err := Uncommitted(repo.Work, strings.Fields(c.under))
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("Uncommitted under %q = %q, %v, want %q", c.under, got, err, c.want)
		}
	}
	if got, err := Uncommitted(repo.Path, nil); err != nil || len(got) != 0 {
		t.Errorf("Uncommitted of a bare repository = %q, %v, want none", got, err)
	}
	if _, err := Uncommitted(t.TempDir(), nil); err == nil {
		t.Error("Uncommitted of a folder that is not a repository returns no error")
	}
}

func TestUncommittedEndsWithATreeOfManyEmptyFolders(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Commit("one", map[string]string{"a": "1"})
	tree := "4b825dc642cb6eb9a060e54bf8d69288fbee4904" // Git's empty tree
	repo.WriteTree(nil)
	for range 40 {
		var content []byte
		for i := range 10 {
			content = append(append(content, "40000 f"+strconv.Itoa(i)+"\x00"...), sourcetest.ID(tree)...)
		}
		tree = repo.WriteTree(content)
	}
	repo.InWork("fetch", "--quiet", "origin")
	for _, folder := range mustGlob(t, filepath.Join(repo.Path, "objects", "??")) {
		if err := os.CopyFS(filepath.Join(repo.Work, ".git", "objects", filepath.Base(folder)), os.DirFS(folder)); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	repo.InWork("update-ref", "refs/heads/main", strings.TrimSpace(repo.InWork("commit-tree", "-m", "bomb", tree)))
	done := make(chan error, 1)
	go func() { _, err := Uncommitted(repo.Work, nil); done <- err }()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "folders") {
			t.Errorf("Uncommitted = %v, want an error that names folders", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Uncommitted does not end")
	}
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
