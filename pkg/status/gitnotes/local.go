package gitnotes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/fedsync/fedsync/pkg/status"
)

// local is a repository on this machine.
type local struct{ path string }

// open opens the repository each time, because git may have repacked its objects since.
func (l *local) open(ctx context.Context, _ bool) (session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := l.storage()
	if err != nil {
		return nil, err
	}
	tip, err := tipOf(s)
	if err != nil {
		return nil, err
	}
	return &localSession{store: s, at: tip}, nil
}

func (l *local) storage() (*filesystem.Storage, error) {
	r, err := git.PlainOpenWithOptions(l.path, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if err != nil {
		return nil, fmt.Errorf("open the repository %s: %w", l.path, denied(err))
	}
	s, ok := r.Storer.(*filesystem.Storage)
	if !ok {
		return nil, fmt.Errorf("open the repository %s: it is not stored in files", l.path)
	}
	return s, nil
}

func (l *local) knows(sha string) (bool, error) {
	s, err := l.storage()
	if err != nil {
		return false, err
	}
	known := s.HasEncodedObject(plumbing.NewHash(sha)) == nil
	return known, s.Close()
}

func tipOf(s *filesystem.Storage) (plumbing.Hash, error) {
	ref, err := s.Reference(Ref)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, nil
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read %s: %w", Ref, denied(err))
	}
	return ref.Hash(), nil
}

type localSession struct {
	store *filesystem.Storage
	at    plumbing.Hash
}

func (s *localSession) storage() storer.EncodedObjectStorer { return s.store }
func (s *localSession) tip() plumbing.Hash                  { return s.at }
func (s *localSession) close()                              { _ = s.store.Close() }

// swap moves the ref as git does: whoever creates the file with the ref's name and
// ".lock" may write it, and renames it over the ref. go-git's own compare and swap locks
// the ref's file instead, which git ignores, and truncates it for a moment.
func (s *localSession) swap(_ context.Context, commit plumbing.Hash, _ []plumbing.Hash) error {
	files := s.store.Filesystem()
	lock := Ref + ".lock"
	f, err := files.OpenFile(lock, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // As git's own; the umask decides.
	if errors.Is(err, fs.ErrExist) {
		return errMoved // or is being moved: the next attempt will show
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", Ref, denied(err))
	}
	if err := s.swapLocked(files, f, commit); err != nil {
		_ = files.Remove(lock)
		return err
	}
	return nil
}

// swapLocked holds the lock f, and releases it by renaming it. On an error the caller
// removes it.
func (s *localSession) swapLocked(files billy.Filesystem, f billy.File, commit plumbing.Hash) error {
	_, err := f.Write([]byte(commit.String() + "\n"))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	now, err := tipOf(s.store)
	if err != nil {
		return err
	}
	if now != s.at {
		return errMoved
	}
	if err := files.Rename(Ref+".lock", Ref); err != nil {
		return fmt.Errorf("move %s: %w", Ref, denied(err))
	}
	return nil
}

// denied marks an error that a user has to fix by granting permission.
func denied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", status.ErrUnauthorized, err)
	}
	return err
}
