package gitdir

import (
	"bytes"
	"compress/zlib"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestLooseObjectsThatLieAreErrors(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Commit("first", map[string]string{"a": "1"})
	id := strings.TrimSpace(repo.InWork("rev-parse", "HEAD:a"))
	file := filepath.Join(repo.Work, ".git", "objects", id[:2], id[2:])
	for name, header := range map[string]string{
		"too short": "blob 5\x00", "negative": "blob -1\x00", "no end": "blob 5", "no number": "blob x\x00", "no kind": "5\x00", "huge": "blob 99999999999\x00",
	} {
		var content bytes.Buffer
		deflated, _ := zlib.NewWriterLevel(&content, zlib.BestSpeed) // which is a level
		_, _ = deflated.Write([]byte(header))
		_, _ = deflated.Write(make([]byte, 32<<20))
		_ = deflated.Close()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content.Bytes(), 0o444); err != nil {
			t.Fatal(err)
		}
		objects := NewObjects(repo.Work)
		var err error
		held := sourcetest.HeldWhile(func() { _, _, err = objects.Read(plumbing.NewHash(id), 1<<20) })
		if err == nil || held > 16<<20 {
			t.Errorf("%s: read = %v with %d bytes held, want an error and little memory", name, err, held)
		}
	}
}
