package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/source/gitdir"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// local reads a repository on this machine's disk. It uses go-git and never the
// program git, whose settings can name programs to run.
type local struct {
	at      location
	opts    Options
	objects *gitdir.Objects
}

func (l *local) poll(_ context.Context, ref string, last *revision, skip plumbing.Hash) (*revision, tip, error) {
	t, err := l.tip(ref)
	if err != nil {
		return nil, tip{}, err
	}
	if t.id == skip || last != nil && last.tip == t {
		return last, t, nil
	}
	rev, err := l.read(t, last)
	return rev, t, err
}

func (l *local) resolve(_ context.Context, revision string) (*revision, error) {
	t, err := l.find(revision)
	if err != nil {
		return nil, err
	}
	return l.read(t, nil)
}

// tip finds what a ref leads to now. Refs are read from disk each time.
func (l *local) tip(ref string) (tip, error) {
	dir, err := gitdir.Find(l.at.path)
	if err != nil {
		return tip{}, err
	}
	refs := dir.Storage()
	defer func() { _ = refs.Close() }()

	if ref == "" {
		return l.head(refs, dir)
	}
	for _, name := range candidates(ref) {
		r, err := storer.ResolveReference(refs, name)
		switch {
		case err == nil:
			return tip{ref: r.Name().Short(), id: r.Hash()}, nil
		case errors.Is(err, plumbing.ErrReferenceNotFound), errors.Is(err, dotgit.ErrIsDir), errors.Is(err, dotgit.ErrReferenceNameEscape):
		default:
			return tip{}, l.unreadable(fmt.Errorf("%s: %w", name, err))
		}
	}
	return tip{}, l.noSuchRef(ref, dir)
}

func (l *local) head(refs storer.ReferenceStorer, dir gitdir.Dir) (tip, error) {
	r, err := storer.ResolveReference(refs, plumbing.HEAD)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return tip{}, l.noSuchRef("", dir)
	}
	if err != nil {
		return tip{}, l.unreadable(err)
	}
	if r.Name() == plumbing.HEAD { // detached
		return tip{id: r.Hash()}, nil
	}
	return tip{ref: r.Name().Short(), id: r.Hash()}, nil
}

// find finds what a revision leads to. It accepts what git rev-parse accepts.
func (l *local) find(revision string) (tip, error) {
	t, err := l.tip(revision)
	if _, ok := errors.AsType[*RefError](err); !ok {
		return t, err
	}
	dir, dirErr := gitdir.Find(l.at.path)
	if dirErr != nil {
		return tip{}, dirErr
	}
	storage := dir.Storage()
	defer func() { _ = storage.Close() }()
	repository, openErr := git.Open(storage, nil)
	if openErr != nil {
		return tip{}, l.unreadable(openErr)
	}
	id, revErr := repository.ResolveRevision(plumbing.Revision(revision))
	if revErr != nil {
		return tip{}, err // It names the branches.
	}
	return tip{id: *id}, nil
}

// noSuchRef returns an error that names the existing branches.
func (l *local) noSuchRef(ref string, dir gitdir.Dir) error {
	branches := dir.Branches()
	if len(branches) == 0 {
		return &Error{Repository: l.at.text, Kind: ErrEmpty, Detail: "it has no branch", Remedy: "make a first commit: git add, git commit"}
	}
	if slices.ContainsFunc(candidates(ref), func(n plumbing.ReferenceName) bool { return slices.Contains(branches, n) }) {
		return errMoved // It was created just now.
	}
	return newRefError(l.at.text, ref, branches, l.opts.Secrets)
}

func (l *local) unreadable(err error) error {
	remedy := ""
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		remedy = "if the clone is partial (git clone --filter), fetch the missing objects: git fetch --refetch --filter=blob:limit=1g; otherwise run git fsck"
	}
	return &Error{Repository: l.at.text, Kind: ErrUnreadable, Detail: err.Error(), Remedy: remedy}
}

// read returns a revision. Files are read from the repository when they are
// opened: opening one of a thousand files costs milliseconds.
func (l *local) read(t tip, last *revision) (*revision, error) {
	rev, err := newRevision(l.objects, t, last, l.opts)
	if err != nil {
		return nil, l.wrap(err)
	}
	if last != nil && last.commit.ID != rev.commit.ID {
		rev.forced, err = l.forced(last.commit.ID, rev.commit, l.opts.DeepenLimit)
	}
	if err != nil {
		return nil, l.wrap(err)
	}
	return rev, nil
}

// forced reports whether old is not among the newest limit ancestors of the commit.
func (l *local) forced(old plumbing.Hash, from objectdb.Commit, limit int) (bool, error) {
	seen := map[plumbing.Hash]bool{}
	queue := slices.Clone(from.Parents)
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		if id == old {
			return false, nil
		}
		if seen[id] {
			continue
		}
		if len(seen) >= limit {
			return true, nil
		}
		seen[id] = true
		c, err := objectdb.Peel(l.objects, id)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			continue // The end of a shallow clone.
		}
		if err != nil {
			return true, err
		}
		queue = append(queue, c.Parents...)
	}
	return true, nil
}

func (l *local) wrap(err error) error {
	if limit, ok := errors.AsType[*objectdb.LimitError](err); ok {
		limit.Repository = l.at.text
		return limit
	}
	if _, ok := errors.AsType[*gitdir.NotRepositoryError](err); ok {
		return err
	}
	return l.unreadable(err)
}

func (l *local) close() { l.objects.Close() }

// candidates returns the full names that a short ref may mean. Unlike in Git,
// branches come before tags: usually a branch is followed.
func candidates(ref string) []plumbing.ReferenceName {
	if strings.HasPrefix(ref, "refs/") || ref == "HEAD" {
		return []plumbing.ReferenceName{plumbing.ReferenceName(ref)}
	}
	return []plumbing.ReferenceName{plumbing.NewBranchReferenceName(ref), plumbing.NewTagReferenceName(ref)}
}

func newRefError(repository, ref string, all []plumbing.ReferenceName, secrets *secret.Set) *RefError {
	var branches []string
	for _, n := range all {
		if n.IsBranch() {
			branches = append(branches, secrets.Clean(n.Short()))
		}
	}
	slices.Sort(branches)
	return &RefError{Repository: repository, Ref: ref, Branches: branches[:min(len(branches), maxNamesInError)], Total: len(branches)}
}
