// Package gitnotes posts commit statuses as Git notes into the repository itself: it
// needs no forge, and every clone can read them.
//
// The note of a commit under refs/notes/fedsync holds one JSON object per line and
// context, with only the latest state. The package takes statuses from the Poster of
// package post and returns errors of package status. Nothing from other writers is lost:
// the ref moves by compare and swap, never by force, and foreign notes, lines and fan-out
// folders remain unchanged.
//
//	git fetch origin refs/notes/fedsync:refs/notes/fedsync
//	git log --notes=fedsync
package gitnotes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/status"
)

// Ref is the ref of the notes.
const Ref = "refs/notes/fedsync"

const (
	// limit is the longest description, so that a note stays readable in `git log`.
	limit = 1024
	// interval is the shortest time between two pushes. Each push adds a commit to the
	// repository, and triggers everything that watches it.
	interval = 5 * time.Second
	// attempts is how often a swap that another writer won is retried before the Poster's
	// backoff takes over.
	attempts = 10
	// swapPause is the longest pause before the second attempt; it doubles.
	swapPause = 20 * time.Millisecond
)

// Config names the repository that gets the notes, and their author.
type Config struct {
	// URL is the repository: a path, or an address that Git can fetch from.
	URL string
	// Auth returns the credential for the remote. It is called for each connection, so
	// that a replaced credential takes effect. Nil means none.
	Auth func() (transport.AuthMethod, error)
	// CABundle holds PEM certificates to trust in addition to the system's.
	CABundle []byte
	// Secrets learns the credentials, and removes them from the remote's messages; nil
	// for a set of the provider's own.
	Secrets *secret.Set
	// Name and Email are the author of the notes' commits; the default is fedsync.
	Name, Email string
}

// Provider writes the notes of one repository.
type Provider struct {
	place         place
	author, email string
}

var _ status.Batcher = (*Provider)(nil)

// place is the repository of the notes, on this machine or remote.
type place interface {
	// open returns the current notes. With write it fails early if writing is not
	// allowed.
	open(ctx context.Context, write bool) (session, error)
	// knows reports whether the repository has the commit; places that would have to
	// fetch it return true.
	knows(sha string) (bool, error)
}

// session is the notes at one moment.
type session interface {
	storage() storer.EncodedObjectStorer
	tip() plumbing.Hash // of the ref; zero when there is none
	// swap moves the ref from the tip to commit, which needs objects. If another writer
	// moved it first, swap returns errMoved.
	swap(ctx context.Context, commit plumbing.Hash, objects []plumbing.Hash) error
	close()
}

// errMoved means that another writer moved the ref first.
var errMoved = errors.New("another writer was faster")

// New returns a provider. It does not read the repository: the first post shows whether
// it can be written.
func New(c Config) (*Provider, error) {
	if c.URL == "" {
		return nil, errors.New("git notes need a repository")
	}
	endpoint, err := transport.NewEndpoint(c.URL)
	if err != nil {
		// The URL is not repeated: it may hold a credential.
		return nil, errors.New("the repository's URL for git notes is not a valid Git URL")
	}
	p := &Provider{author: cmp.Or(c.Name, "fedsync"), email: cmp.Or(c.Email, "fedsync@localhost")}
	if endpoint.Protocol == "file" {
		p.place = &local{path: endpoint.Path}
		return p, nil
	}
	if !slices.Contains([]string{"https", "http", "ssh"}, endpoint.Protocol) {
		return nil, fmt.Errorf("git notes cannot be pushed over %q: use https, ssh or a path", endpoint.Protocol)
	}
	place, err := newRemote(endpoint, c)
	if err != nil {
		return nil, err
	}
	p.place = place
	return p, nil
}

// Name is "gitnotes".
func (p *Provider) Name() string { return "gitnotes" }

// Limit is the longest description that is written.
func (p *Provider) Limit() int { return limit }

// Interval is the pause between two pushes.
func (p *Provider) Interval() time.Duration { return interval }

// Post writes one status. An identical one is not written again.
func (p *Provider) Post(ctx context.Context, c status.Commit) error {
	return p.PostAll(ctx, []status.Commit{c})
}

// PostAll writes several statuses in one push.
func (p *Provider) PostAll(ctx context.Context, commits []status.Commit) error {
	if err := p.check(commits); err != nil {
		return fmt.Errorf("post git notes: %w", err)
	}
	for attempt := range attempts {
		err := p.try(ctx, commits)
		if !errors.Is(err, errMoved) {
			if err != nil {
				err = fmt.Errorf("post git notes: %w", err)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("post git notes: %w", ctx.Err())
		case <-time.After(rand.N(swapPause << attempt)):
		}
	}
	return fmt.Errorf("post git notes: %w %d times: remove %s.lock if no git process runs there", errMoved, attempts, Ref)
}

// List reads the status from the commit's note.
func (p *Provider) List(ctx context.Context, sha, statusContext string) ([]status.Commit, error) {
	if !fullSHA.MatchString(sha) {
		return nil, nil
	}
	s, err := p.place.open(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("list git notes: %w", err)
	}
	defer s.close()
	tree, err := treeOf(s)
	if err != nil {
		return nil, fmt.Errorf("list git notes: %w", err)
	}
	note, err := (&notes{storer: s.storage()}).read(tree, sha)
	if err != nil {
		return nil, fmt.Errorf("list git notes: read the note of %.7s: %w", sha, err)
	}
	if c, ok := findLine(note, sha, statusContext); ok {
		return []status.Commit{c}, nil
	}
	return nil, nil
}

// fullSHA matches a full commit name.
var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

func (p *Provider) check(commits []status.Commit) error {
	for _, c := range commits {
		if !fullSHA.MatchString(c.SHA) {
			return fmt.Errorf("%w: %q is not a full commit name", status.ErrRejected, c.SHA)
		}
		known, err := p.place.knows(c.SHA)
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("%w: the repository has no commit %.7s", status.ErrRejected, c.SHA)
		}
	}
	return nil
}

// try writes the statuses on top of the current notes.
func (p *Provider) try(ctx context.Context, commits []status.Commit) error {
	s, err := p.place.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.close()
	before, err := treeOf(s)
	if err != nil {
		return err
	}
	n := &notes{storer: s.storage()}
	now := time.Now().UTC().Truncate(time.Second)
	after := before
	for _, c := range commits {
		c.Description = untrusted.Clean(c.Description, limit)
		after, err = n.edit(after, c.SHA, func(note []byte) ([]byte, error) { return setLine(note, c, now) })
		if err != nil {
			return fmt.Errorf("write the note of %.7s: %w", c.SHA, err)
		}
	}
	if after == before {
		return nil
	}
	commit, err := p.commit(n, s.tip(), after, commits, now)
	if err != nil {
		return err
	}
	return s.swap(ctx, commit, n.written)
}

// commit creates the commit that the ref moves to.
func (p *Provider) commit(n *notes, parent, tree plumbing.Hash, commits []status.Commit, now time.Time) (plumbing.Hash, error) {
	by := object.Signature{Name: p.author, Email: p.email, When: now}
	message := fmt.Sprintf("fedsync: %s %s on %.7s\n", commits[0].Context, commits[0].State, commits[0].SHA)
	if len(commits) > 1 {
		message = fmt.Sprintf("fedsync: %d statuses\n", len(commits))
	}
	c := &object.Commit{Author: by, Committer: by, Message: message, TreeHash: tree}
	if !parent.IsZero() {
		c.ParentHashes = []plumbing.Hash{parent}
	}
	return n.store(c)
}

// treeOf returns the tree of the notes; zero if there are none yet.
func treeOf(s session) (plumbing.Hash, error) {
	if s.tip().IsZero() {
		return plumbing.ZeroHash, nil
	}
	c, err := object.GetCommit(s.storage(), s.tip())
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read %s: %w", Ref, err)
	}
	return c.TreeHash, nil
}
