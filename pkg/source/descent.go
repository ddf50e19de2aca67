package source

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// firstDeepening is how many commits are asked for first to find an old tip
// behind a new one; each time that is not enough, eight times as many. A push is
// seldom more than a few, and one of a single commit needs no asking at all.
const (
	firstDeepening = 16
	deepenFactor   = 8
)

// forced says whether the revision cannot be shown to descend from the commit
// old by looking at the newest DeepenLimit commits.
//
// A fetch of depth 1 knows the parents of its one commit. For more, the commits
// from the new tip back are fetched into a pack of their own, which is thrown
// away: without old and all that it leads to, and without files where the server
// can do that.
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
		// A server that leaves out the new tip itself holds it to be behind old:
		// the branch went back.
		_, forward := commits[rev.commit.ID]
		if whole || !forward || depth == r.opts.DeepenLimit {
			return true, nil
		}
	}
}

// errMoved says that the ref moved on while it was being read: read it again.
var errMoved = errors.New("the ref moved while it was being read")

// history fetches commits alone, without files where the server can leave them out, and
// says whether they are all that there are.
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

// leadsTo says whether old is an ancestor of from, by the commits that are known.
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
