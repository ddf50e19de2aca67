package source

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// heavyPack is a pack of a blob of zeros and of a delta that copies ten bytes of it.
func heavyPack(t *testing.T, size int64) []byte {
	t.Helper()
	var pack bytes.Buffer
	entry := func(kind byte, size int64, reference []byte, content io.Reader) {
		first := kind<<4 | byte(size&15)
		for size >>= 4; size > 0; size >>= 7 {
			pack.WriteByte(first | 0x80)
			first = byte(size & 0x7f)
		}
		pack.WriteByte(first)
		pack.Write(reference)
		deflated := zlib.NewWriter(&pack)
		if _, err := io.Copy(deflated, content); err != nil {
			t.Fatal(err)
		}
		if err := deflated.Close(); err != nil {
			t.Fatal(err)
		}
	}
	pack.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x02")
	base := pack.Len()
	entry(3, size, nil, io.LimitReader(zeros{}, size))
	delta := append(binary.AppendUvarint(nil, uint64(size)), 10, 0x90, 10)
	entry(6, int64(len(delta)), offsetReference(pack.Len()-base), bytes.NewReader(delta))
	sum := sha1.Sum(pack.Bytes())
	pack.Write(sum[:])
	return pack.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// offsetReference encodes, as a pack does, how far before a delta its base is.
func offsetReference(n int) []byte {
	text := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		text = append([]byte{0x80 | byte(n&0x7f)}, text...)
	}
	return text
}

func TestAFileThatIsADeltaOfALargeOneIsRefused(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Commit("first", map[string]string{"a": "1"})
	pack := filepath.Join(repo.Work, ".git", "objects", "pack", "pack-1111111111111111111111111111111111111111.pack")
	if err := os.WriteFile(pack, heavyPack(t, 100<<20), 0o444); err != nil {
		t.Fatal(err)
	}
	repo.InWork("index-pack", pack)
	small := plumbing.ComputeHash(plumbing.BlobObject, make([]byte, 10)).String()
	repo.InWork("update-index", "--add", "--cacheinfo", "100644,"+small+",small")
	repo.InWork("commit", "--quiet", "-m", "heavy")
	for _, path := range []string{repo.Work, borrower(t, repo)} {
		s, err := Open(Options{URL: path}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		var snapErr, readErr error
		var size int64
		held := sourcetest.HeldWhile(func() {
			snapshot, err := s.Snapshot(t.Context(), "")
			if snapErr = err; err != nil {
				return
			}
			if info, err := fs.Stat(snapshot.Files, "small"); err == nil {
				size = info.Size()
			}
			_, readErr = fs.ReadFile(snapshot.Files, "small")
		})
		refused, ok := errors.AsType[*tree.RefusedError](readErr)
		if snapErr != nil || !ok || refused.Reason != tree.HeavyDelta || refused.Path != "small" || size != 10 {
			t.Errorf("%s: Snapshot = %v, size %d, ReadFile = %v; want a RefusedError for a delta", path, snapErr, size, readErr)
		}
		if held > 16<<20 {
			t.Errorf("%s: %d bytes were held, want less than 16 MiB", path, held)
		}
	}
}

// borrower makes a repository that borrows its objects from the work tree's.
func borrower(t *testing.T, repo *sourcetest.Repo) string {
	t.Helper()
	repo.InWork("clone", "--quiet", "--bare", "--shared", repo.Work, filepath.Join(repo.Work, "..", "borrows.git"))
	return filepath.Join(repo.Work, "..", "borrows.git")
}

func TestTreesWithAGitFolderAreRefused(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("one", map[string]string{"a": "1"})
	blob := strings.TrimSpace(repo.Git("rev-parse", "main:a"))
	content := append([]byte("100644 .GIT\x00"), sourcetest.ID(blob)...)
	inner := repo.WriteTree(content)
	outer := repo.WriteTree(append([]byte("40000 apps\x00"), sourcetest.ID(inner)...))
	repo.Git("update-ref", "refs/heads/main", strings.TrimSpace(repo.Git("commit-tree", "-m", "x", outer)))
	s, err := Open(Options{URL: repo.Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Snapshot(t.Context(), ""); err == nil || !strings.Contains(err.Error(), `/apps/: ".GIT" is not a valid file name`) {
		t.Errorf("Snapshot = %v, want an error that names the folder and .GIT", err)
	}
}

// Equal folders are read once. Nested in one another, they may be deeper
// than they were when they were read.
func TestTreesThatNestKnownFoldersTooDeeplyAreRefused(t *testing.T) {
	repo := sourcetest.New(t)
	tree := repo.WriteTree(nil)
	var root []byte
	for i := range 300 {
		// Each entry of the root is read before the next, which contains it.
		root = append(append(root, "40000 d"+strconv.Itoa(1000+i)+"\x00"...), sourcetest.ID(tree)...)
		tree = repo.WriteTree(append([]byte("40000 d\x00"), sourcetest.ID(tree)...))
	}
	all := repo.WriteTree(root)
	repo.Git("update-ref", "refs/heads/main", strings.TrimSpace(repo.Git("commit-tree", "-m", "deep", all)))
	s, err := Open(Options{URL: repo.Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Snapshot(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "nested more than 256 deep") {
		t.Errorf("Snapshot = %v, want an error that names the depth", err)
	}
}

func TestPathsThatNoSystemTakesAreRefused(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("one", map[string]string{"a": "1"})
	blob := strings.TrimSpace(repo.Git("rev-parse", "main:a"))
	tree := repo.WriteTree(append([]byte("100644 "+strings.Repeat("x", 100_000)+"\x00"), sourcetest.ID(blob)...))
	repo.Git("update-ref", "refs/heads/main", strings.TrimSpace(repo.Git("commit-tree", "-m", "long", tree)))
	s, err := Open(Options{URL: repo.Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Snapshot(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "longer than 4,096 bytes") || len(err.Error()) > 2000 {
		t.Errorf("Snapshot = %.500v, want a short error that names the path", err)
	}
}
