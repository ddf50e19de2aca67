package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// remote reads a repository over https or ssh.
//
// It uses go-git's protocol packages and not its Remote. That fetches refs
// rather than the listed commit, fills a store that grows with each push, and
// accepts a pack of any unpacked size.
type remote struct {
	at          location
	opts        Options
	credentials *credentials
}

// A revision's packs are fetched again, as one, when those added to the first
// take more bytes than it does (and more than the first limit), or when they
// reach this number. So the packs after a thousand pushes are bounded by twice
// one revision.
const (
	addedBytesAllowed = 4 << 20
	addedPacksAllowed = 64
	// packMemory is how many bytes of a revision's packs are held in memory;
	// the rest is in unnamed files.
	packMemory = 4 << 20
)

func (r *remote) poll(ctx context.Context, ref string, last *revision, skip plumbing.Hash) (*revision, tip, error) {
	c, err := r.list(ctx)
	if err != nil {
		return nil, tip{}, err
	}
	defer c.end()
	t, err := r.tip(c, ref)
	if err != nil {
		return nil, tip{}, err
	}
	if t.id == skip || last != nil && last.tip == t {
		return last, t, nil
	}
	rev, err := r.read(ctx, c, t, last)
	if err == nil && last != nil && last.commit.ID != rev.commit.ID {
		rev.forced, err = r.forced(ctx, rev, last.commit.ID)
	}
	return rev, t, err
}

func (r *remote) resolve(ctx context.Context, revision string) (*revision, error) {
	c, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	t, err := r.find(c, revision)
	if err != nil {
		return nil, err
	}
	rev, err := r.readWhole(c, t, nil)
	if errors.Is(err, errMoved) && t.ref == "" {
		return nil, newRefError(r.at.text, revision, r.names(c), r.opts.Secrets)
	}
	return rev, err
}

func (r *remote) close() { r.credentials.close() }

// tip finds what a ref leads to among the refs that were listed.
func (r *remote) tip(c *conversation, ref string) (tip, error) {
	if ref == "" {
		return r.head(c)
	}
	for _, name := range candidates(ref) {
		if id, ok := c.adv.References[name.String()]; ok {
			return tip{ref: name.Short(), id: id}, nil
		}
		if name == plumbing.HEAD && c.adv.Head != nil {
			return r.head(c)
		}
	}
	return tip{}, newRefError(r.at.text, ref, r.names(c), r.opts.Secrets)
}

// head finds the branch that the remote's HEAD names.
func (r *remote) head(c *conversation) (tip, error) {
	for _, symref := range c.adv.Capabilities.Get(capability.SymRef) {
		from, to, _ := strings.Cut(symref, ":")
		if id, ok := c.adv.References[to]; ok && from == "HEAD" {
			return tip{ref: plumbing.ReferenceName(to).Short(), id: id}, nil
		}
	}
	if c.adv.Head != nil { // detached
		return tip{id: *c.adv.Head}, nil
	}
	return tip{}, newRefError(r.at.text, "", r.names(c), r.opts.Secrets)
}

func (r *remote) names(c *conversation) []plumbing.ReferenceName {
	var names []plumbing.ReferenceName
	for name := range c.adv.References {
		names = append(names, plumbing.ReferenceName(name))
	}
	return names
}

// find finds what a revision leads to: a ref, or a commit that the remote is
// willing to send.
func (r *remote) find(c *conversation, rev string) (tip, error) {
	t, err := r.tip(c, rev)
	if err == nil || !isHex(rev) || len(rev) < 4 || len(rev) > 40 {
		return t, err
	}
	for _, id := range c.adv.References {
		if strings.HasPrefix(id.String(), rev) {
			return tip{id: id}, nil
		}
	}
	refuse := func(remedy string) error { return &RefError{Repository: r.at.text, Ref: rev, Remedy: remedy} }
	if len(rev) < 40 {
		return tip{}, refuse("a remote finds commits only by their full 40 digits")
	}
	if !c.adv.Capabilities.Supports(capability.AllowReachableSHA1InWant) && !c.adv.Capabilities.Supports(capability.AllowTipSHA1InWant) {
		return tip{}, refuse("the remote does not send commits that are not the tip of a ref (uploadpack.allowReachableSHA1InWant); give a branch or tag")
	}
	return tip{id: plumbing.NewHash(rev)}, nil
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// read fetches what a tip leads to, except what last already has.
func (r *remote) read(ctx context.Context, c *conversation, t tip, last *revision) (*revision, error) {
	if last == nil || !r.roomFor(last.packs) {
		return r.readWhole(c, t, last)
	}
	rev, err := r.readMore(c, t, last)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		// The server assumed that we have more than we do.
		again, listErr := r.list(ctx)
		if listErr != nil {
			return nil, listErr
		}
		defer again.end()
		return r.readWhole(again, t, last)
	}
	return rev, err
}

// roomFor reports whether another pack may be added.
func (r *remote) roomFor(p objectdb.Packs) bool {
	added := p[1:]
	return len(added) < addedPacksAllowed && added.Bytes() <= max(addedBytesAllowed, p[0].Bytes)
}

// readWhole fetches everything that a tip leads to.
func (r *remote) readWhole(c *conversation, t tip, last *revision) (*revision, error) {
	return r.readFrom(c, wanted{id: t.id, depth: 1, memory: packMemory}, t, last)
}

// readFrom fetches a pack with everything that a tip leads to.
func (r *remote) readFrom(c *conversation, w wanted, t tip, last *revision) (*revision, error) {
	fetched, _, err := r.fetch(c, w)
	if err != nil {
		return nil, err
	}
	rev, err := r.revision(c, objectdb.Packs{fetched}, t, last)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, c.explain(fmt.Errorf("%w: the remote sent an incomplete pack: %w", ErrUnreadable, err))
	}
	return rev, err
}

// readMore fetches what a tip leads to and last does not have.
func (r *remote) readMore(c *conversation, t tip, last *revision) (*revision, error) {
	fetched, _, err := r.fetch(c, wanted{
		id: t.id, depth: 1, have: last.commit.ID, below: last.packs,
		memory: max(0, packMemory-last.packs.Bytes()),
	})
	if err != nil {
		return nil, err
	}
	return r.revision(c, append(slices.Clip(last.packs), fetched), t, last)
}

func (r *remote) revision(c *conversation, p objectdb.Packs, t tip, last *revision) (*revision, error) {
	rev, err := newRevision(p, t, last, r.opts)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, err
	}
	if err != nil {
		if _, ok := errors.AsType[*objectdb.LimitError](err); !ok {
			err = fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		return nil, c.explain(err)
	}
	rev.packs = p
	return rev, nil
}

// wanted is what is requested from a remote.
type wanted struct {
	id      plumbing.Hash
	also    plumbing.Hash  // a second commit; may be zero
	depth   int            // commits from id back
	have    plumbing.Hash  // what this commit leads to is not sent; may be zero
	below   objectdb.Packs // what we hold of have: its files, without its history
	commits bool           // no files, where the server can leave them out
	memory  int64          // bytes of the pack to hold in memory
}

// fetch requests a pack and reads it to its end. A conversation can do that
// once.
func (r *remote) fetch(c *conversation, w wanted) (*objectdb.Pack, *packp.UploadPackResponse, error) {
	c.more()
	p, res, err := r.tryFetch(c, w)
	if err != nil {
		return nil, nil, c.explain(err)
	}
	return p, res, nil
}

func (r *remote) tryFetch(c *conversation, w wanted) (*objectdb.Pack, *packp.UploadPackResponse, error) {
	req, err := request(c.adv, w)
	if err != nil {
		return nil, nil, err
	}
	res, err := c.UploadPack(c.ctx, req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Close() }()
	var in io.Reader = res
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		in = sideband.NewDemuxer(sideband.Sideband64k, res)
	case req.Capabilities.Supports(capability.Sideband):
		in = sideband.NewDemuxer(sideband.Sideband, res)
	}
	s := &objectdb.Spool{Dir: r.opts.CacheDir, Memory: w.memory}
	if _, err := io.Copy(s, in); err != nil {
		s.Discard()
		return nil, nil, err
	}
	file, err := s.Reader()
	if err != nil {
		s.Discard()
		return nil, nil, err
	}
	p, err := objectdb.ReadPack(c.ctx, file, s.Size, w.below, objectdb.Limits{
		// A folder is an object too, and a manifest often has one to itself.
		Objects:  3*r.opts.Limits.Files + int64(w.depth) + 1000,
		Inflated: inflateFactor * r.opts.Limits.RepositoryBytes,
		Live:     objectdb.MaxLive,
	})
	if err != nil {
		s.Discard()
		if _, ok := errors.AsType[*objectdb.LimitError](err); !ok && c.ctx.Err() == nil {
			err = fmt.Errorf("%w: its pack is damaged: %w", ErrUnreadable, err)
		}
		return nil, nil, err
	}
	return p, res, nil
}

func request(adv *packp.AdvRefs, w wanted) (*packp.UploadPackRequest, error) {
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	req.Wants = []plumbing.Hash{w.id}
	if !w.also.IsZero() && w.also != w.id {
		req.Wants = append(req.Wants, w.also)
	}
	req.Depth = packp.DepthCommits(w.depth)
	if !w.have.IsZero() {
		req.Haves = []plumbing.Hash{w.have}
	}
	set := []capability.Capability{capability.Shallow}
	if w.below != nil {
		req.Shallows = []plumbing.Hash{w.have}
		// Git considers what a shallow client has only when it sends a thin pack;
		// otherwise it sends all files again. go-git hides whether the server
		// supports thin packs, because it cannot read them. A server without them
		// ignores the capability.
		set = append(set, capability.ThinPack)
	}
	if adv.Capabilities.Supports(capability.NoProgress) {
		set = append(set, capability.NoProgress)
	}
	if w.commits && adv.Capabilities.Supports(capability.Filter) {
		set = append(set, capability.Filter)
		req.Filter = packp.FilterTreeDepth(0)
	}
	for _, name := range set {
		if err := req.Capabilities.Set(name); err != nil {
			return nil, err
		}
	}
	return req, nil
}
