package source

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/go-git/go-git/v5/plumbing"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// Ancestors returns up to n ancestors of a commit, the nearest first. It returns fewer
// where less of the history is available. It fetches no files if the remote can send
// commits alone. It is independent of Run.
func (s *Source) Ancestors(ctx context.Context, sha string, n int) (found []string, err error) {
	defer func() { // as in poll
		if p := recover(); p != nil {
			s.log.Error("reading the repository panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = &Error{Repository: s.at.text, Kind: ErrUnreadable, Detail: "reading it panicked; the log has the details"}
		}
	}()
	ids, err := s.repository.ancestors(ctx, plumbing.NewHash(sha), n)
	for _, id := range ids {
		found = append(found, id.String())
	}
	return found, err
}

func (l *local) ancestors(ctx context.Context, of plumbing.Hash, n int) ([]plumbing.Hash, error) {
	found, err := walkBack(of, n, func(id plumbing.Hash) (objectdb.Commit, error) {
		if err := ctx.Err(); err != nil {
			return objectdb.Commit{}, err
		}
		return objectdb.Peel(l.objects, id)
	})
	if err != nil && ctx.Err() == nil {
		err = l.wrap(err)
	}
	return found, err
}

func (r *remote) ancestors(ctx context.Context, of plumbing.Hash, n int) ([]plumbing.Hash, error) {
	commits, _, err := r.history(ctx, wanted{id: of, depth: n + 1})
	if err != nil {
		return nil, err
	}
	return walkBack(of, n, func(id plumbing.Hash) (objectdb.Commit, error) {
		c, known := commits[id]
		if !known {
			return objectdb.Commit{}, plumbing.ErrObjectNotFound
		}
		return c, nil
	})
}

// walkBack walks back from a commit, breadth first, until it has found n ancestors. A
// commit that is not found ends its branch of the walk: the history is shallow there.
func walkBack(of plumbing.Hash, n int, read func(plumbing.Hash) (objectdb.Commit, error)) ([]plumbing.Hash, error) {
	var found []plumbing.Hash
	seen := map[plumbing.Hash]bool{of: true}
	for queue := []plumbing.Hash{of}; len(queue) > 0 && len(found) < n; queue = queue[1:] {
		c, err := read(queue[0])
		switch {
		case errors.Is(err, plumbing.ErrObjectNotFound):
			continue
		case err != nil:
			return nil, err
		case queue[0] != of:
			found = append(found, queue[0])
		}
		for _, parent := range c.Parents {
			if !seen[parent] {
				seen[parent] = true
				queue = append(queue, parent)
			}
		}
	}
	return found, nil
}
