package source

import (
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// tip is what a ref leads to.
type tip struct {
	ref string        // short; empty for a bare commit
	id  plumbing.Hash // of a commit or an annotated tag
}

// revision is a commit with its files.
type revision struct {
	tip    tip
	commit objectdb.Commit
	forced bool
	files  *tree.Files
	nodes  map[plumbing.Hash]*tree.Node // for the next revision to share
	packs  objectdb.Packs               // a remote's
}

// newRevision reads what a tip leads to. last may be nil.
func newRevision(o objectdb.Reader, t tip, last *revision, opts Options) (*revision, error) {
	c, err := objectdb.Peel(o, t.id)
	if err != nil {
		return nil, err
	}
	var known map[plumbing.Hash]*tree.Node
	if last != nil {
		known = last.nodes
	}
	root, nodes, err := tree.Read(o, c.Tree, known, opts.tree())
	if err != nil {
		return nil, err
	}
	return &revision{
		tip:    t,
		commit: c,
		files:  tree.NewFiles(root, o, c.Time, opts.tree()),
		nodes:  nodes,
	}, nil
}

// snapshot returns the revision as a federation.Snapshot, without the secrets.
func (r *revision) snapshot(secrets *secret.Set) federation.Snapshot {
	return federation.Snapshot{
		Revision: federation.Revision{Ref: secrets.Clean(r.tip.ref), SHA: r.commit.ID.String()},
		Subject:  untrusted.Excerpt(secrets.Clean(r.commit.Subject)),
		Time:     r.commit.Time,
		Forced:   r.forced,
		Folder:   r.files.Folder(),
		Files:    r.files,
	}
}
