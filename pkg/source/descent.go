package source

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// firstDeepening is how many commits are requested first to find an old tip
// behind a new one. Each time that is not enough, eight times as many are
// requested. A push is seldom more than a few commits, and a push of one commit
// needs no request.
const (
	firstDeepening = 16
	deepenFactor   = 8
)

// forced reports whether the newest DeepenLimit commits fail to show that the
// revision descends from the commit old.
//
// A fetch of depth 1 shows the parents of its one commit. To see more, the
// commits from the new tip back are fetched into a separate pack, which is
// discarded afterwards. It has neither old nor anything that old leads to, and
// no files if the server can leave them out.
func (r *remote) forced(ctx context.Context, rev *revision, old plumbing.Hash) (bool, error) {
	if leadsTo(map[plumbing.Hash]objectdb.Commit{rev.commit.ID: rev.commit}, rev.commit.ID, old) {
		return false, nil
	}
	for depth := firstDeepening; ; depth *= deepenFactor {
		depth = min(depth, r.opts.DeepenLimit)
		commits, whole, err := r.history(ctx, wanted{id: rev.tip.id, have: old, depth: depth})
		if err != nil {
			return true, err
		}
		if leadsTo(commits, rev.commit.ID, old) {
			return false, nil
		}
		// If the server leaves out the new tip itself, the tip is behind old:
		// the branch went back.
		_, forward := commits[rev.commit.ID]
		if whole || !forward || depth == r.opts.DeepenLimit {
			return true, nil
		}
	}
}

// errMoved means that the ref moved during the read, which must be repeated.
var errMoved = errors.New("the ref moved while it was being read")

// history fetches commits, without files if the server can leave them out, and reports
// whether the history is complete.
func (r *remote) history(ctx context.Context, w wanted) (commits map[plumbing.Hash]objectdb.Commit, whole bool, err error) {
	c, err := r.list(ctx)
	if err != nil {
		return nil, false, err
	}
	defer c.end()
	if w.have != plumbing.ZeroHash && !slices.Contains(slices.Collect(maps.Values(c.adv.References)), w.id) {
		return nil, false, errMoved
	}
	w.commits, w.memory = true, packMemory
	p, res, err := r.fetch(c, w)
	if err != nil {
		return nil, false, err
	}
	commits = make(map[plumbing.Hash]objectdb.Commit)
	for _, e := range p.Entries {
		if e.Kind != plumbing.CommitObject || e.Size > objectdb.MaxCommitBytes {
			continue
		}
		content, err := p.Read(e)
		if err != nil {
			return nil, false, c.explain(err)
		}
		commits[e.ID], err = objectdb.ParseCommit(e.ID, content)
		if err != nil {
			return nil, false, c.explain(err)
		}
	}
	return commits, len(res.Shallows) == 0, nil
}

// leadsTo reports whether the known commits show that old is an ancestor of from.
func leadsTo(commits map[plumbing.Hash]objectdb.Commit, from, old plumbing.Hash) bool {
	seen := make(map[plumbing.Hash]bool)
	queue := []plumbing.Hash{from}
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		if id == old {
			return true
		}
		if c, ok := commits[id]; ok && !seen[id] {
			seen[id] = true
			queue = append(queue, c.Parents...)
		}
	}
	return false
}
