package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

var unlimited = packLimits{objects: math.MaxInt64, inflated: math.MaxInt64, live: math.MaxInt64}

// packOf makes a pack, with deltas, of a repository that is fit to have them.
func packOf(t testing.TB, repo *sourcetest.Repo) []byte {
	t.Helper()
	for i := range 5 {
		files := map[string]string{}
		for j := range 20 {
			files[fmt.Sprintf("apps/a%d.yaml", j)] = strings.Repeat(fmt.Sprintf("some line %d\n", j), 200) + fmt.Sprint(i)
		}
		repo.Push(fmt.Sprint("commit ", i), files)
	}
	repo.Git("repack", "-adfq", "--depth=20")
	names, err := filepath.Glob(filepath.Join(repo.Path, "objects", "pack", "*.pack"))
	if err != nil || len(names) != 1 {
		t.Fatalf("packs = %q, %v, want one", names, err)
	}
	content, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestAPackGivesWhatGitGives(t *testing.T) {
	repo := sourcetest.New(t)
	content := packOf(t, repo)
	p, err := newPack(t.Context(), bytes.NewReader(content), int64(len(content)), nil, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(repo.Git("cat-file", "--batch-all-objects", "--batch-check")), "\n")
	if len(lines) != len(p.entries) {
		t.Fatalf("%d objects, want %d", len(p.entries), len(lines))
	}
	for _, line := range lines {
		var id, kind string
		var size int64
		if _, err := fmt.Sscan(line, &id, &kind, &size); err != nil {
			t.Fatal(err)
		}
		gotKind, got, err := packs{p}.read(plumbing.NewHash(id), size)
		if err != nil || gotKind.String() != kind || plumbing.ComputeHash(gotKind, got).String() != id {
			t.Errorf("%s = %s of %d bytes, %v, want %s of %d", id, gotKind, len(got), err, kind, size)
		}
		if got, err := (packs{p}).size(plumbing.NewHash(id)); err != nil || got != size {
			t.Errorf("size of %s = %d, %v, want %d", id, got, err, size)
		}
		if _, _, err := (packs{p}).read(plumbing.NewHash(id), size-1); !errors.As(err, new(errTooLarge)) {
			t.Errorf("%s with a limit below its size: %v, want errTooLarge", id, err)
		}
	}
}

func TestPacksAboveALimitAreRefused(t *testing.T) {
	content := packOf(t, sourcetest.New(t))
	for _, c := range []struct {
		name   string
		change func(*packLimits)
		want   string
	}{
		{"objects", func(l *packLimits) { l.objects = 10 }, "10 objects"},
		{"unpacked", func(l *packLimits) { l.inflated = 1 << 10 }, "when unpacked"},
		{"memory", func(l *packLimits) { l.live = 1 << 10 }, "similar versions"},
	} {
		limits := unlimited
		c.change(&limits)
		_, err := newPack(t.Context(), bytes.NewReader(content), int64(len(content)), nil, limits)
		if _, ok := errors.AsType[*LimitError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: newPack = %v, want a LimitError with %q", c.name, err, c.want)
		}
	}
}

func FuzzPacksNeverPanic(f *testing.F) {
	content := packOf(f, sourcetest.New(f))
	f.Add(content)
	f.Add(content[:len(content)/2])
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"))
	limits := packLimits{objects: 10_000, inflated: 16 << 20, live: 4 << 20}
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := newPack(t.Context(), bytes.NewReader(content), int64(len(content)), nil, limits)
		if err != nil {
			return
		}
		for _, e := range p.entries {
			_, _, _ = packs{p}.read(e.id, 1<<20)
		}
	})
}

func TestDamagedPacksAreErrors(t *testing.T) {
	content := packOf(t, sourcetest.New(t))
	for i := 0; i < len(content); i += 101 {
		damaged := bytes.Clone(content)
		damaged[i] ^= 0x55
		if _, err := newPack(t.Context(), bytes.NewReader(damaged), int64(len(damaged)), nil, packLimits{10_000, 16 << 20, 4 << 20}); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
		if _, err := newPack(t.Context(), bytes.NewReader(content[:i]), int64(i), nil, unlimited); err == nil {
			t.Errorf("cut to %d bytes: no error", i)
		}
	}
}

// heldWhile gives by how much the heap grows at most while f runs.
func heldWhile(f func()) int64 {
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() { f(); close(done) }()
	var peak uint64
	for {
		select {
		case <-done:
			return int64(peak) - int64(before.HeapAlloc)
		default:
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			runtime.Gosched()
		}
	}
}

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
		held := heldWhile(func() { _, err = s.Snapshot(t.Context(), "") })
		if _, ok := errors.AsType[*LimitError](err); ok != c.fails {
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
		cmd := exec.Command("git", "mktree")
		cmd.Dir, cmd.Stdin = repo.Path, strings.NewReader(in.String())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
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
	if limit, ok := errors.AsType[*LimitError](err); !ok || limit.Setting != "--max-files" {
		t.Errorf("Snapshot = %v, want a LimitError for Files", err)
	}
}

func TestASpoolGivesBackWhatItTookFromMemoryAndDisk(t *testing.T) {
	for _, memory := range []int64{0, 10, 1000} {
		dir := t.TempDir()
		s := &spool{dir: dir, memory: memory}
		for range 10 {
			if n, err := s.Write([]byte("123456789")); n != 9 || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		r, err := s.reader()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if want := strings.Repeat("123456789", 10); err != nil || string(got) != want {
			t.Errorf("with %d bytes of memory: read %q, %v, want %q", memory, got, err, want)
		}
		if inFile := s.file != nil; inFile != (memory < 90) {
			t.Errorf("with %d bytes of memory: in a file: %v", memory, inFile)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("with %d bytes of memory: %d files are left, want none with a name", memory, len(left))
		}
		s.discard()
	}
	s := &spool{dir: "/nonexistent"}
	if _, err := s.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "CacheDir") {
		t.Errorf("Write to no folder = %v, want an error that names CacheDir", err)
	}
}
