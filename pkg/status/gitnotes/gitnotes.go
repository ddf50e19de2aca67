// Package gitnotes posts commit statuses as Git notes, into the repository
// itself: no forge is needed, and every clone can read them.
//
// The note of a commit under refs/notes/fedsync holds one JSON object a line and
// context, with the latest state only. It takes statuses from the Poster of
// package status and gives it that package's errors. Nothing that others wrote
// is lost: the ref moves by compare and swap, never by force, and foreign notes,
// lines and fan-out folders stay as they are.
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

// Ref is where the notes are.
const Ref = "refs/notes/fedsync"

const (
	// limit keeps a note readable in `git log`.
	limit = 1024
	// interval is the shortest time between two pushes. Each makes a commit in
	// the repository, and wakes whoever watches it.
	interval = 5 * time.Second
	// attempts is how often a swap that somebody else won is tried again before
	// the Poster's backoff takes over.
	attempts = 10
	// swapPause is the longest pause before the second attempt; it doubles.
	swapPause = 20 * time.Millisecond
)

// Config says which repository the notes go to, and as whom.
type Config struct {
	// URL is the repository's: a path, or an address that Git fetches from.
	URL string
	// Auth gives what the remote asks for; it is called for each connection, so
	// that a credential that was replaced takes effect. Nil for none.
	Auth func() (transport.AuthMethod, error)
	// CABundle holds PEM certificates to trust besides the system's.
	CABundle []byte
	// Secrets learns the credentials, and takes them out of what the remote says; one
	// of the provider's own when nil.
	Secrets *secret.Set
	// Name and Email are the author of the notes' commits; fedsync by default.
	Name, Email string
}

// Provider writes the notes of one repository.
type Provider struct {
	place         place
	author, email string
}

var _ status.Batcher = (*Provider)(nil)

// place is where the notes are: a repository on this machine, or elsewhere.
type place interface {
	// open gives the notes as they are now. For writing it fails early where
	// writing is not allowed.
	open(ctx context.Context, write bool) (session, error)
	// knows says whether the repository has the commit; places that would have
	// to fetch it say yes.
	knows(sha string) (bool, error)
}

// session is the notes at one moment.
type session interface {
	storage() storer.EncodedObjectStorer
	tip() plumbing.Hash // of the ref; zero when there is none
	// swap moves the ref from the tip to commit, which needs objects, unless
	// somebody else moved it: then it gives errMoved.
	swap(ctx context.Context, commit plumbing.Hash, objects []plumbing.Hash) error
	close()
}

// errMoved says that somebody else moved the ref first.
var errMoved = errors.New("another writer was faster")

// New makes a provider. It does not look at the repository: whether it can be
// written shows when the first status is posted.
func New(c Config) (*Provider, error) {
	if c.URL == "" {
		return nil, errors.New("git notes need a repository")
	}
	endpoint, err := transport.NewEndpoint(c.URL)
	if err != nil {
		// The URL is not repeated: it may hold a credential.
		return nil, errors.New("the repository's URL for git notes is not one that git understands")
	}
	p := &Provider{author: cmp.Or(c.Name, "fedsync"), email: cmp.Or(c.Email, "fedsync@localhost")}
	if endpoint.Protocol == "file" {
		p.place = &local{path: endpoint.Path}
		return p, nil
	}
	if !slices.Contains([]string{"https", "http", "ssh"}, endpoint.Protocol) {
		return nil, fmt.Errorf("git notes are not pushed over %q: want https, ssh or a path", endpoint.Protocol)
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

// Post writes one status. A status that is there already is not written again.
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
	return fmt.Errorf("post git notes: %w %d times: remove %s.lock if no git runs there", errMoved, attempts, Ref)
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

// fullSHA is a commit's name in full.
var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

func (p *Provider) check(commits []status.Commit) error {
	for _, c := range commits {
		if !fullSHA.MatchString(c.SHA) {
			return fmt.Errorf("%w: %q is no commit in full", status.ErrRejected, c.SHA)
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

// try writes the statuses upon the notes as they are now.
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

// commit makes the commit that the ref moves to.
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

// treeOf gives the tree of the notes; zero when there are none yet.
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
