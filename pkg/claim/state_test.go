//go:build unix

package claim

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// reopen opens a folder like the next start.
func reopen(t *testing.T, dir string) *state {
	t.Helper()
	s := openState(dir, "source")
	t.Cleanup(func() { _ = s.close() })
	return s
}

func keepIn(t *testing.T, dir string, token Token) {
	t.Helper()
	s := openState(dir, "source")
	if err := s.keep(token); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestATokenIsKeptForTheNextStart(t *testing.T) {
	dir := t.TempDir()
	keepIn(t, dir, token(7, 1))
	s := reopen(t, dir)
	if s.token != token(7, 1) || s.number != 0 {
		t.Errorf("token = %s, number %d", s.token, s.number)
	}
	// The lock is taken: another process has a token of its own.
	if beside := reopen(t, dir); !beside.token.IsZero() || beside.number != 1 {
		t.Errorf("beside it: token = %s, number %d", beside.token, beside.number)
	}
	if other := openState(dir, "another"); !other.token.IsZero() || other.number != 0 {
		t.Errorf("of another source: token = %s, number %d", other.token, other.number)
	}
}

// A program that is being started has a copy of all descriptors until it runs.
func TestAReleasedLockIsFreeEvenWhileAProgramStarts(t *testing.T) {
	dir := t.TempDir()
	s := openState(dir, "source")
	if err := s.keep(token(7, 1)); err != nil {
		t.Fatal(err)
	}
	copied, err := syscall.Dup(int(s.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(copied) }()
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if next := reopen(t, dir); next.token != token(7, 1) || next.number != 0 {
		t.Errorf("token = %s, number %d; want that of before and 0", next.token, next.number)
	}
}

func TestACopyOfTheFolderIsANewInstance(t *testing.T) {
	dir := t.TempDir()
	keepIn(t, dir, token(7, 1))
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if s := reopen(t, copied); !s.token.IsZero() || s.floor != 7 {
		t.Errorf("token = %s, floor %d; want none and 7", s.token, s.floor)
	}
	if s := reopen(t, dir); s.token != token(7, 1) {
		t.Errorf("in the folder itself: token = %s", s.token)
	}
}

func TestAFileThatCannotBeReadOrWrittenCostsAGeneration(t *testing.T) {
	file := "claim-source-0.json"
	for name, spoil := range map[string]func(dir string) error{
		"a torn file":      func(dir string) error { return os.Truncate(filepath.Join(dir, file), 20) },
		"an empty file":    func(dir string) error { return os.Truncate(filepath.Join(dir, file), 0) },
		"a lost file":      func(dir string) error { return os.Remove(filepath.Join(dir, file)) },
		"another's holder": func(dir string) error { return os.WriteFile(filepath.Join(dir, file), []byte(`{"token":"x"}`), 0o600) },
		"a folder in its place": func(dir string) error {
			return os.Rename(dir, dir+".old")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			keepIn(t, dir, token(7, 1))
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if s := reopen(t, dir); !s.token.IsZero() {
				t.Errorf("token = %s", s.token)
			}
		})
	}
	t.Run("a folder that cannot be written", func(t *testing.T) {
		s := reopen(t, "/proc/self/nowhere")
		if s.failure() == nil || s.keep(token(8, 1)) == nil {
			t.Error("it claims to keep a token")
		}
	})
	t.Run("a disk that is full", func(t *testing.T) {
		dir := t.TempDir()
		keepIn(t, dir, token(7, 1))
		s := reopen(t, dir)
		if err := os.Mkdir(s.file+".new", 0o700); err != nil { // now the file cannot be written
			t.Fatal(err)
		}
		if s.keep(token(8, 1)) == nil || s.failure() == nil {
			t.Error("it claims to keep the token")
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if again := reopen(t, dir); again.token != token(7, 1) {
			t.Errorf("token = %s, want the previous one", again.token)
		}
	})
}
