package source

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/go-git/go-git/v5/plumbing"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// maxBefore is how many commits Before walks back.
const maxBefore = 1000

// Before follows the first parents of a revision and calls use with each until use
// returns true. For a branch that others are merged into, these are its former tips.
// Before ends without an error at the end of the available history, and after 1,000
// commits. A revision above a limit is left out. Before is independent of Run.
func (s *Source) Before(ctx context.Context, of federation.Revision, use func(federation.Snapshot) bool) (err error) {
	defer func() { // as in poll
		if p := recover(); p != nil {
			s.log.Error("reading the repository panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = &Error{Repository: s.at.text, Kind: ErrUnreadable, Detail: "reading it panicked; the log has the details"}
		}
	}()
	return s.repository.before(ctx, tip{ref: of.Ref, id: plumbing.NewHash(of.SHA)}, func(rev *revision) bool {
		return use(rev.snapshot(s.opts.Secrets))
	})
}

func (l *local) before(ctx context.Context, of tip, use func(*revision) bool) error {
	walk := firstParents{objects: l.objects, opts: l.opts, ref: of.ref, use: use, left: maxBefore}
	if _, err := walk.from(ctx, of.id); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return l.wrap(err)
	}
	return nil
}

// before fetches the commits with their files, in one pack: few servers send a single
// commit that is not the tip of a ref.
func (r *remote) before(ctx context.Context, of tip, use func(*revision) bool) error {
	used := 0
	for depth := firstDeepening; ; depth = min(depth*deepenFactor, maxBefore) {
		c, err := r.list(ctx)
		if err != nil {
			return err
		}
		fetched, res, err := r.fetch(c, wanted{id: of.id, depth: depth + 1, memory: packMemory})
		c.end()
		if err != nil {
			return err
		}
		walk := firstParents{objects: objectdb.Packs{fetched}, opts: r.opts, ref: of.ref, use: use, skip: used, left: depth}
		done, err := walk.from(ctx, of.id)
		if err != nil {
			return c.explain(err)
		}
		if used = walk.walked; done || len(res.Shallows) == 0 || depth == maxBefore {
			return nil
		}
	}
}

// firstParents walks back from a commit along first parents.
type firstParents struct {
	objects objectdb.Reader
	opts    Options
	ref     string
	use     func(*revision) bool
	skip    int // commits that were used before
	left    int // commits to walk
	walked  int
}

// from walks back from a commit, and reports whether use has returned true.
func (w *firstParents) from(ctx context.Context, id plumbing.Hash) (done bool, err error) {
	var last *revision
	for ; w.left > 0; w.left-- {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		c, err := objectdb.Peel(w.objects, id)
		if errors.Is(err, plumbing.ErrObjectNotFound) || err == nil && len(c.Parents) == 0 {
			return false, nil // the end of the history, or of the available part
		}
		if err != nil {
			return false, err
		}
		id = c.Parents[0]
		if w.walked++; w.walked <= w.skip {
			continue
		}
		rev, err := newRevision(w.objects, tip{ref: w.ref, id: id}, last, w.opts)
		if _, large := errors.AsType[*objectdb.LimitError](err); large {
			continue
		}
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			w.walked--
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if w.use(rev) {
			return true, nil
		}
		last = rev
	}
	return false, nil
}
