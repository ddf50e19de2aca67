package source

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/merge"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// Proposal is a change proposed to a branch, such as a pull request, and what the
// branch would become with it.
type Proposal struct {
	// Base is the branch as it is, Head the newest commit of the proposed change, and
	// From the commit where the two diverged.
	Base federation.Snapshot
	Head federation.Revision
	From federation.Revision
	// Merged is the branch with the change, as git merge would make it. Its revision is
	// Head, because the merge commit does not exist.
	Merged federation.Snapshot
	// Conflicts are the files, sorted, that both sides changed and that do not merge.
	// Merged has the change's version of them.
	Conflicts []string
	// Both are the other files that both sides changed, sorted.
	Both []string
}

// Propose computes the result of merging head into base. Both are revisions as for
// Snapshot; an empty base means Options.Ref. Nothing is written, and renames are not
// detected. It is independent of Run.
func (s *Source) Propose(ctx context.Context, base, head string) (*Proposal, error) {
	if base == "" {
		base = s.opts.Ref
	}
	return s.proposal(base, head, func() (sides, error) { return s.repository.propose(ctx, base, head) })
}

// ProposeRef is Propose for a change whose head a forge stores under its own ref, such as
// refs/pull/7/head. The base is the revision that Run read last. It fetches only that ref
// and the commits between. If the ref no longer leads to head, the error is a *MovedError.
func (s *Source) ProposeRef(ctx context.Context, ref, head string) (*Proposal, error) {
	if !strings.HasPrefix(ref, "refs/") {
		return nil, &RefError{Repository: s.at.text, Ref: s.opts.Secrets.Clean(ref), Remedy: "name the head of a pull request in full, such as refs/pull/7/head"}
	}
	s.mu.Lock()
	base := s.last
	s.mu.Unlock()
	if base == nil {
		return nil, &Error{Repository: s.at.text, Kind: ErrUnreadable, Detail: "it has not been read yet"}
	}
	return s.proposal(base.tip.ref, ref, func() (sides, error) {
		all, err := s.repository.proposeTo(ctx, base, ref)
		if err == nil && all.head.commit.ID.String() != head {
			err = &MovedError{Repository: s.at.text, Ref: ref, Want: head, Is: all.head.commit.ID.String()}
		}
		return all, err
	})
}

// MovedError reports that a ref no longer leads to the requested commit.
type MovedError struct {
	Repository, Ref string
	Want, Is        string // commits
}

// Error names the ref and both commits.
func (e *MovedError) Error() string {
	return fmt.Sprintf("read %s: %s leads to %.12s, and no longer to %.12s", e.Repository, e.Ref, e.Is, e.Want)
}

// proposal merges what read returns. Errors name base and head.
func (s *Source) proposal(base, head string, read func() (sides, error)) (_ *Proposal, err error) {
	defer func() { // as in poll
		if p := recover(); p != nil {
			s.log.Error("reading the repository panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = &Error{Repository: s.at.text, Kind: ErrUnreadable, Detail: "reading it panicked; the log has the details"}
		}
	}()
	sides, err := read()
	for range 3 {
		if !errors.Is(err, errMoved) {
			break
		}
		sides, err = read()
	}
	if errors.Is(err, merge.ErrNoCommon) {
		return nil, &UnrelatedError{Repository: s.at.text, Base: base, Head: head}
	}
	if err != nil {
		return nil, err
	}
	p, err := sides.merge(s.opts)
	if limit, ok := errors.AsType[*objectdb.LimitError](err); ok {
		limit.Repository = s.at.text
		return nil, limit
	}
	if err != nil {
		return nil, &Error{Repository: s.at.text, Kind: ErrUnreadable, Detail: fmt.Sprintf("merge %s into %s: %v", head, base, err)}
	}
	return p, nil
}

// UnrelatedError reports that two revisions have no common ancestor, or none near enough
// to be found.
type UnrelatedError struct {
	Repository string
	Base, Head string // as they were requested
}

// Error names both revisions.
func (e *UnrelatedError) Error() string {
	return fmt.Sprintf("read %s: %q and %q have no common ancestor that could be found; fetch more history (git fetch --unshallow), or bring %s up to date with %s",
		e.Repository, e.Base, e.Head, e.Head, e.Base)
}

// sides are the three revisions that a merge needs.
type sides struct{ base, head, from *revision }

// merge merges the head into the base.
func (s sides) merge(opts Options) (*Proposal, error) {
	p := &Proposal{
		Base: s.base.snapshot(opts.Secrets),
		Head: s.head.snapshot(opts.Secrets).Revision,
		From: federation.Revision{SHA: s.from.commit.ID.String()},
	}
	all := []objectdb.Reader{s.head.files.Objects(), s.base.files.Objects(), s.from.files.Objects()}
	result, err := merge.Trees(all, s.from.files.Root(), s.base.files.Root(), s.head.files.Root(),
		merge.Limits{FileBytes: opts.Limits.FileBytes, Files: opts.Limits.Files})
	if err != nil {
		return nil, err
	}
	p.Conflicts, p.Both = result.Conflicts, result.Both
	merged := *s.head
	merged.files = tree.NewFiles(result.Root, result.Objects, s.head.commit.Time, opts.tree())
	p.Merged = merged.snapshot(opts.Secrets)
	return p, nil
}

// propose reads the three revisions of a local repository.
func (l *local) propose(ctx context.Context, base, head string) (sides, error) {
	b, err := l.find(base)
	if err != nil {
		return sides{}, err
	}
	rev, err := newRevision(l.objects, b, nil, l.opts)
	if err != nil {
		return sides{}, l.wrap(err)
	}
	return l.proposeTo(ctx, rev, head)
}

// proposeTo reads the head and the common ancestor.
func (l *local) proposeTo(ctx context.Context, base *revision, head string) (sides, error) {
	h, err := l.find(head)
	if err != nil {
		return sides{}, err
	}
	s := sides{base: base}
	if s.head, err = newRevision(l.objects, h, s.base, l.opts); err != nil {
		return sides{}, l.wrap(err)
	}
	from, err := merge.Base(func(id plumbing.Hash) (objectdb.Commit, error) {
		if err := ctx.Err(); err != nil {
			return objectdb.Commit{}, err
		}
		return objectdb.Peel(l.objects, id)
	}, s.base.commit.ID, s.head.commit.ID, maxMergeWalk)
	if errors.Is(err, merge.ErrNoCommon) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return sides{}, err
	}
	if err != nil {
		return sides{}, l.wrap(err)
	}
	if s.from, err = newRevision(l.objects, tip{id: from.ID}, s.base, l.opts); err != nil {
		return sides{}, l.wrap(err)
	}
	return s, nil
}

// maxMergeWalk is how many commits of a local repository are read to find where two
// revisions diverged. That takes about a second, and is more than most histories have.
const maxMergeWalk = 100_000

// propose fetches the three revisions of a remote: the base, and what the other two
// add to it.
func (r *remote) propose(ctx context.Context, base, head string) (sides, error) {
	rev, err := r.resolve(ctx, base)
	if err != nil {
		return sides{}, err
	}
	return r.proposeTo(ctx, rev, head)
}

// proposeTo fetches what the other two revisions add to the base.
func (r *remote) proposeTo(ctx context.Context, base *revision, head string) (s sides, err error) {
	s.base = base
	if s.head, err = r.fetchOnto(ctx, head, s.base); err != nil {
		return sides{}, err
	}
	from, depth, err := r.divergence(ctx, s.base.commit.ID, s.head.commit.ID)
	if err != nil {
		return sides{}, err
	}
	for _, known := range []*revision{s.base, s.head} {
		if known.commit.ID == from.ID {
			s.from = known
			return s, nil
		}
	}
	s.from, err = r.fetchOnto(ctx, from.ID.String(), s.base)
	if _, ok := errors.AsType[*RefError](err); ok {
		s.from, err = r.fetchBehind(ctx, s.base, from, depth)
	}
	return s, err
}

// fetchBehind fetches a commit from a remote that sends only the tips of refs. It fetches
// everything between a tip and the commit.
func (r *remote) fetchBehind(ctx context.Context, base *revision, from objectdb.Commit, depth int) (*revision, error) {
	c, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	return r.readFrom(c, wanted{id: base.commit.ID, depth: depth, memory: packMemory}, tip{id: from.ID}, base)
}

// fetchOnto fetches what a revision adds to near.
func (r *remote) fetchOnto(ctx context.Context, revision string, near *revision) (*revision, error) {
	c, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	t, err := r.find(c, revision)
	if err != nil {
		return nil, err
	}
	if t.id == near.commit.ID {
		return newRevision(near.packs, t, near, r.opts)
	}
	return r.read(ctx, c, t, near)
}

// divergence finds where the base and the head of a change diverged, and how many
// commits behind the base that is. It reads at most their newest DeepenLimit
// commits.
func (r *remote) divergence(ctx context.Context, base, head plumbing.Hash) (from objectdb.Commit, depth int, err error) {
	for depth := firstDeepening; ; depth *= deepenFactor {
		depth = min(depth, r.opts.DeepenLimit)
		commits, whole, err := r.history(ctx, wanted{id: base, also: head, depth: depth})
		if err != nil {
			return objectdb.Commit{}, 0, err
		}
		from, err := merge.Base(func(id plumbing.Hash) (objectdb.Commit, error) {
			c, ok := commits[id]
			if !ok {
				return objectdb.Commit{}, plumbing.ErrObjectNotFound
			}
			return c, nil
		}, base, head, 2*len(commits)+2) // every commit, and the parents that are missing
		if err == nil {
			return from, distance(commits, base, from.ID), nil
		}
		if !errors.Is(err, merge.ErrNoCommon) || whole || depth == r.opts.DeepenLimit {
			return objectdb.Commit{}, 0, err
		}
	}
}

// distance counts the commits on the shortest path back from one to another,
// both included.
func distance(commits map[plumbing.Hash]objectdb.Commit, from, to plumbing.Hash) int {
	seen := map[plumbing.Hash]bool{from: true}
	for n, level := 1, []plumbing.Hash{from}; len(level) > 0; n++ {
		var next []plumbing.Hash
		for _, id := range level {
			if id == to {
				return n
			}
			for _, parent := range commits[id].Parents {
				if !seen[parent] {
					seen[parent] = true
					next = append(next, parent)
				}
			}
		}
		level = next
	}
	return len(commits)
}
