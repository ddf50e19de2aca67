package source_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestASHA256RepositoryIsRefusedByName(t *testing.T) {
	repo := sourcetest.New(t)
	if err := os.RemoveAll(repo.Path); err != nil {
		t.Fatal(err)
	}
	repo.InWork("init", "--quiet", "--bare", "--object-format=sha256", repo.Path)
	work := filepath.Join(t.TempDir(), "work")
	repo.InWork("init", "--quiet", "--object-format=sha256", "--initial-branch=main", work)
	repo.InWork("-C", work, "commit", "--quiet", "--allow-empty", "-m", "first")
	repo.InWork("-C", work, "push", "--quiet", repo.Path, "main")
	for name, opts := range transports(t, repo) {
		_, err := open(t, opts).Snapshot(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), "sha256") || !strings.Contains(err.Error(), "--object-format=sha1") {
			t.Errorf("%s: Snapshot = %v, want the cause and the remedy", name, err)
		}
		if errors.Is(err, source.ErrUnreachable) {
			t.Errorf("%s: Snapshot = %v, but it was reached", name, err)
		}
	}
}
