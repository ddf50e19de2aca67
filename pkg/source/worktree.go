package source

import (
	"context"
	"errors"
	"maps"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/tree"
	"github.com/fedsync/fedsync/pkg/source/worktree"
)

// WorkTreeRef is the ref of a revision that is a work tree rather than a
// commit.
const WorkTreeRef = "working tree"

// ProposeWorkTree is Propose for the content of a local repository's work tree, as `git
// add --all` and a commit would record it: with new files that are not ignored, and
// without removed ones. Nothing is written. Git's filters, such as those for line ends
// or Git LFS, are not applied.
//
// No such commit exists, so the SHA of Head is that of the tree, as git write-tree would
// print it.
func (s *Source) ProposeWorkTree(ctx context.Context, base string) (*Proposal, error) {
	if base == "" {
		base = s.opts.Ref
	}
	l, ok := s.repository.(*local)
	if !ok {
		return nil, &Error{Repository: s.at.text, Kind: ErrUnreadable, Detail: "it has no working tree here", Remedy: "name a clone on this machine"}
	}
	return s.proposal(base, WorkTreeRef, func() (sides, error) {
		all, err := l.propose(ctx, base, string(plumbing.HEAD))
		if err == nil {
			all.head, err = l.workTree(all.head)
		}
		return all, err
	})
}

// workTree returns the work tree as a revision on top of the commit that is
// checked out.
func (l *local) workTree(at *revision) (*revision, error) {
	changes, disk, err := worktree.Changes(l.at.path)
	if errors.Is(err, git.ErrIsBareRepository) {
		return nil, &Error{Repository: l.at.text, Kind: ErrUnreadable, Detail: "it is bare, and has no working tree", Remedy: "name a clone of it"}
	}
	if err != nil {
		return nil, l.wrap(err)
	}
	maps.DeleteFunc(changes, func(name string, _ tree.Entry) bool { return tree.IsOutside(l.opts.Path, name) })
	root := at.files.Root().With(changes)
	if root == nil {
		root = tree.New(nil)
	}
	if root.Files > l.opts.Limits.Files {
		return nil, &objectdb.LimitError{Repository: l.at.text, What: "files", Limit: l.opts.Limits.Files, Setting: "--max-files"}
	}
	if err := root.Fit(); err != nil {
		return nil, l.unreadable(err)
	}
	rev := *at
	rev.tip = tip{ref: WorkTreeRef, id: root.ID}
	rev.commit = objectdb.Commit{ID: root.ID, Tree: root.ID, Subject: "uncommitted changes", Time: at.commit.Time}
	rev.files = tree.NewFiles(root, objectdb.Several{disk, l.objects}, at.commit.Time, l.opts.tree())
	return &rev, nil
}
