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
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
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

// offsetReference is how far before a delta its base is, as a pack writes it.
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
		held := heldWhile(func() {
			snapshot, err := s.Snapshot(t.Context(), "")
			if snapErr = err; err != nil {
				return
			}
			if info, err := fs.Stat(snapshot.Files, "small"); err == nil {
				size = info.Size()
			}
			_, readErr = fs.ReadFile(snapshot.Files, "small")
		})
		refused, ok := errors.AsType[*RefusedError](readErr)
		if snapErr != nil || !ok || refused.Reason != HeavyDelta || refused.Path != "small" || size != 10 {
			t.Errorf("%s: Snapshot = %v, size %d, ReadFile = %v; want a RefusedError for a delta", path, snapErr, size, readErr)
		}
		if held > 16<<20 {
			t.Errorf("%s: %d bytes were held, want less than 16 MiB", path, held)
		}
	}
}

// borrower makes a repository that has its objects in the work tree's.
func borrower(t *testing.T, repo *sourcetest.Repo) string {
	t.Helper()
	repo.InWork("clone", "--quiet", "--bare", "--shared", repo.Work, filepath.Join(repo.Work, "..", "borrows.git"))
	return filepath.Join(repo.Work, "..", "borrows.git")
}

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
		_, _ = io.Copy(deflated, io.LimitReader(zeros{}, 32<<20))
		_ = deflated.Close()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content.Bytes(), 0o444); err != nil {
			t.Fatal(err)
		}
		objects := localObjects{path: repo.Work}
		var err error
		held := heldWhile(func() { _, _, err = objects.Read(plumbing.NewHash(id), 1<<20) })
		if err == nil || held > 16<<20 {
			t.Errorf("%s: read = %v with %d bytes held, want an error and little memory", name, err, held)
		}
	}
}

func TestTreesWithAFolderOfGitsOwnAreRefused(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("one", map[string]string{"a": "1"})
	blob := strings.TrimSpace(repo.Git("rev-parse", "main:a"))
	content := append([]byte("100644 .GIT\x00"), hash(blob)...)
	inner := writeTree(t, repo, content)
	outer := writeTree(t, repo, append([]byte("40000 apps\x00"), hash(inner)...))
	repo.Git("update-ref", "refs/heads/main", strings.TrimSpace(repo.Git("commit-tree", "-m", "x", outer)))
	s, err := Open(Options{URL: repo.Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Snapshot(t.Context(), ""); err == nil || !strings.Contains(err.Error(), `/apps/: ".GIT" is no name for a file`) {
		t.Errorf("Snapshot = %v, want an error that names the folder and .GIT", err)
	}
}

func hash(id string) []byte { h := plumbing.NewHash(id); return h[:] }

// writeTree writes a loose tree that git itself would not.
func writeTree(t *testing.T, repo *sourcetest.Repo, content []byte) string {
	t.Helper()
	id := plumbing.ComputeHash(plumbing.TreeObject, content).String()
	var file bytes.Buffer
	deflated := zlib.NewWriter(&file)
	_, _ = deflated.Write(append([]byte("tree "+strconv.Itoa(len(content))+"\x00"), content...))
	_ = deflated.Close()
	folder := filepath.Join(repo.Path, "objects", id[:2])
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, id[2:]), file.Bytes(), 0o444); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestUncommittedEndsWithATreeOfManyEmptyFolders(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Commit("one", map[string]string{"a": "1"})
	tree := "4b825dc642cb6eb9a060e54bf8d69288fbee4904" // Git's empty tree
	writeTree(t, repo, nil)
	for range 40 {
		var content []byte
		for i := range 10 {
			content = append(append(content, "40000 f"+strconv.Itoa(i)+"\x00"...), hash(tree)...)
		}
		tree = writeTree(t, repo, content)
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
			t.Errorf("Uncommitted = %v, want an error that speaks of folders", err)
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

// Folders that are equal are read once. Nested in one another they may be deeper
// than any of them was when it was read.
func TestTreesThatNestFoldersTheyKnowAreRefused(t *testing.T) {
	repo := sourcetest.New(t)
	tree := writeTree(t, repo, nil)
	var root []byte
	for i := range 300 {
		// One entry of the root is read before the next, which has it within.
		root = append(append(root, "40000 d"+strconv.Itoa(1000+i)+"\x00"...), hash(tree)...)
		tree = writeTree(t, repo, append([]byte("40000 d\x00"), hash(tree)...))
	}
	all := writeTree(t, repo, root)
	repo.Git("update-ref", "refs/heads/main", strings.TrimSpace(repo.Git("commit-tree", "-m", "deep", all)))
	s, err := Open(Options{URL: repo.Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Snapshot(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "nested more than 256 deep") {
		t.Errorf("Snapshot = %v, want an error that speaks of the depth", err)
	}
}

func TestPathsThatNoSystemTakesAreRefused(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("one", map[string]string{"a": "1"})
	blob := strings.TrimSpace(repo.Git("rev-parse", "main:a"))
	tree := writeTree(t, repo, append([]byte("100644 "+strings.Repeat("x", 100_000)+"\x00"), hash(blob)...))
	repo.Git("update-ref", "refs/heads/main", strings.TrimSpace(repo.Git("commit-tree", "-m", "long", tree)))
	s, err := Open(Options{URL: repo.Path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Snapshot(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "longer than 4,096 bytes") || len(err.Error()) > 2000 {
		t.Errorf("Snapshot = %.500v, want a short error that speaks of the path", err)
	}
}
