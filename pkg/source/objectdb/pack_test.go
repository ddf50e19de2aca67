package objectdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

var unlimited = Limits{Objects: math.MaxInt64, Inflated: math.MaxInt64, Live: math.MaxInt64}

// packOf returns a pack, with deltas, of a repository whose content suits
// deltas.
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

func TestAPackHasWhatGitHas(t *testing.T) {
	repo := sourcetest.New(t)
	content := packOf(t, repo)
	p, err := ReadPack(t.Context(), bytes.NewReader(content), int64(len(content)), nil, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(repo.Git("cat-file", "--batch-all-objects", "--batch-check")), "\n")
	if len(lines) != len(p.Entries) {
		t.Fatalf("%d objects, want %d", len(p.Entries), len(lines))
	}
	for _, line := range lines {
		var id, kind string
		var size int64
		if _, err := fmt.Sscan(line, &id, &kind, &size); err != nil {
			t.Fatal(err)
		}
		gotKind, got, err := Packs{p}.Read(plumbing.NewHash(id), size)
		if err != nil || gotKind.String() != kind || plumbing.ComputeHash(gotKind, got).String() != id {
			t.Errorf("%s = %s of %d bytes, %v, want %s of %d", id, gotKind, len(got), err, kind, size)
		}
		if got, err := (Packs{p}).Size(plumbing.NewHash(id)); err != nil || got != size {
			t.Errorf("size of %s = %d, %v, want %d", id, got, err, size)
		}
		if _, _, err := (Packs{p}).Read(plumbing.NewHash(id), size-1); !errors.As(err, new(TooLargeError)) {
			t.Errorf("%s with a limit below its size: %v, want a TooLargeError", id, err)
		}
	}
}

func TestPacksAboveALimitAreRefused(t *testing.T) {
	content := packOf(t, sourcetest.New(t))
	for _, c := range []struct {
		name   string
		change func(*Limits)
		want   string
	}{
		{"objects", func(l *Limits) { l.Objects = 10 }, "10 objects"},
		{"unpacked", func(l *Limits) { l.Inflated = 1 << 10 }, "when unpacked"},
		{"memory", func(l *Limits) { l.Live = 1 << 10 }, "similar versions"},
	} {
		limits := unlimited
		c.change(&limits)
		_, err := ReadPack(t.Context(), bytes.NewReader(content), int64(len(content)), nil, limits)
		if _, ok := errors.AsType[*LimitError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: ReadPack = %v, want a LimitError with %q", c.name, err, c.want)
		}
	}
}

func FuzzPacksNeverPanic(f *testing.F) {
	content := packOf(f, sourcetest.New(f))
	f.Add(content)
	f.Add(content[:len(content)/2])
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"))
	limits := Limits{Objects: 10_000, Inflated: 16 << 20, Live: 4 << 20}
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := ReadPack(t.Context(), bytes.NewReader(content), int64(len(content)), nil, limits)
		if err != nil {
			return
		}
		for _, e := range p.Entries {
			_, _, _ = Packs{p}.Read(e.ID, 1<<20)
		}
	})
}

func TestDamagedPacksAreErrors(t *testing.T) {
	content := packOf(t, sourcetest.New(t))
	for i := 0; i < len(content); i += 101 {
		damaged := bytes.Clone(content)
		damaged[i] ^= 0x55
		if _, err := ReadPack(t.Context(), bytes.NewReader(damaged), int64(len(damaged)), nil, Limits{10_000, 16 << 20, 4 << 20}); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
		if _, err := ReadPack(t.Context(), bytes.NewReader(content[:i]), int64(i), nil, unlimited); err == nil {
			t.Errorf("cut to %d bytes: no error", i)
		}
	}
}

func TestASpoolReturnsWhatWasWrittenFromMemoryAndDisk(t *testing.T) {
	for _, memory := range []int64{0, 10, 1000} {
		dir := t.TempDir()
		s := &Spool{Dir: dir, Memory: memory}
		for range 10 {
			if n, err := s.Write([]byte("123456789")); n != 9 || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		r, err := s.Reader()
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
		s.Discard()
	}
	s := &Spool{Dir: "/nonexistent"}
	if _, err := s.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "CacheDir") {
		t.Errorf("Write to no folder = %v, want an error that names CacheDir", err)
	}
}
