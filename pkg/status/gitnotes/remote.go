package gitnotes

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/fedsync/fedsync/internal/multiack"
	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/status"
)

// maxAnswer bounds the bytes of one answer. A fetch reads only the newest notes, without
// their history; a thousand of them take a megabyte.
const maxAnswer = 64 << 20

// freshAfter is how many of our own pushes a copy in memory accumulates before it is
// fetched again, so that it does not grow forever.
const freshAfter = 500

// remote is a repository on the network. It holds a copy of only the notes, which is
// valid as long as the remote's ref equals the copy's.
type remote struct {
	endpoint *transport.Endpoint
	auth     func() (transport.AuthMethod, error)
	web      *http.Client // for protocols other than ssh
	secrets  *secret.Set  // must not be in an error

	copy   *memory.Storage
	at     plumbing.Hash // the ref, as in the copy
	pushes int
}

func newRemote(endpoint *transport.Endpoint, c Config) (*remote, error) {
	r := &remote{endpoint: endpoint, auth: c.Auth, secrets: cmp.Or(c.Secrets, secret.New())}
	multiack.Allow()
	base, err := trusting(c.CABundle)
	if err != nil {
		return nil, err
	}
	r.web = &http.Client{Transport: &bounds.Outside{
		Next: base, Secrets: r.secrets,
		Most: func(req *http.Request) int64 {
			if req.Method == http.MethodGet {
				return bounds.RefsBytes
			}
			return maxAnswer
		},
	}}
	if web := endpoint.Protocol == "http" || endpoint.Protocol == "https"; web && endpoint.User+endpoint.Password != "" {
		// A credential in the URL would come back in errors.
		basic := &githttp.BasicAuth{Username: endpoint.User, Password: endpoint.Password}
		endpoint.User, endpoint.Password = "", ""
		if c.Auth == nil {
			r.auth = func() (transport.AuthMethod, error) { return basic, nil }
		}
	}
	return r, nil
}

// trusting returns a transport that trusts additional certificates.
func trusting(ca []byte) (*http.Transport, error) {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the program's default HTTP transport was replaced by one of another type")
	}
	t = bounds.Headers(t)
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) == 0 {
		return t, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA bundle for git notes has no PEM certificate")
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// knows returns true: to know for certain would mean fetching the repository.
func (r *remote) knows(string) (bool, error) { return true, nil }

func (r *remote) open(ctx context.Context, write bool) (session, error) {
	auth, err := r.credential()
	if err != nil {
		return nil, err
	}
	s := &remoteSession{remote: r, auth: auth}
	var tip plumbing.Hash
	if write {
		tip, err = s.openToPush(ctx)
	} else {
		tip, err = s.readRef(ctx)
	}
	if err != nil {
		return nil, err
	}
	if r.copy == nil || tip != r.at || r.pushes >= freshAfter {
		if err := s.fetch(ctx, tip); err != nil {
			s.close()
			return nil, err
		}
	}
	s.at = r.at
	return s, nil
}

// credential returns the credential for the remote.
func (r *remote) credential() (transport.AuthMethod, error) {
	var none transport.AuthMethod
	if r.auth == nil {
		return none, nil
	}
	auth, err := r.auth()
	if err != nil {
		return nil, fmt.Errorf("get the credential: %w", err)
	}
	return auth, nil
}

type remoteSession struct {
	*remote
	auth transport.AuthMethod
	at   plumbing.Hash
	push pushing
	caps *capability.List
}

func (s *remoteSession) storage() storer.EncodedObjectStorer { return s.copy }
func (s *remoteSession) tip() plumbing.Hash                  { return s.at }

func (s *remoteSession) close() {
	if s.push != nil {
		_ = s.push.Close()
	}
}

// openToPush connects as a push does, so that a missing permission shows before anything
// is done, and reads the ref.
func (s *remoteSession) openToPush(ctx context.Context) (plumbing.Hash, error) {
	push, err := connectToPush(ctx, s.web, s.endpoint, s.auth)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("connect: %w", s.explain(ctx, err))
	}
	s.push = push
	refs, err := push.AdvertisedReferencesContext(ctx)
	if err != nil {
		s.close()
		return plumbing.ZeroHash, fmt.Errorf("connect to push: %w", s.explain(ctx, err))
	}
	s.caps = refs.Capabilities
	return refs.References[Ref], nil
}

// readRef reads the ref as a fetch does.
func (s *remoteSession) readRef(ctx context.Context) (plumbing.Hash, error) {
	fetch, err := connectToFetch(ctx, s.web, s.endpoint, s.auth)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("connect: %w", s.explain(ctx, err))
	}
	defer func() { _ = fetch.Close() }()
	refs, err := fetch.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return plumbing.ZeroHash, nil
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("connect: %w", s.explain(ctx, err))
	}
	return refs.References[Ref], nil
}

// fetch replaces the copy with the newest commit of the notes and its tree.
func (s *remoteSession) fetch(ctx context.Context, tip plumbing.Hash) error {
	s.copy, s.remote.at, s.pushes = nil, plumbing.ZeroHash, 0
	fresh := memory.NewStorage()
	if tip.IsZero() {
		s.copy = fresh
		return nil
	}
	fetch, err := connectToFetch(ctx, s.web, s.endpoint, s.auth)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", Ref, s.explain(ctx, err))
	}
	defer func() { _ = fetch.Close() }()
	refs, err := fetch.AdvertisedReferencesContext(ctx)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", Ref, s.explain(ctx, err))
	}
	now := refs.References[Ref]
	if now.IsZero() {
		return errMoved
	}
	if err := fetchInto(ctx, fresh, fetch, refs.Capabilities, now); err != nil {
		return fmt.Errorf("fetch %s: %w", Ref, s.explain(ctx, err))
	}
	s.copy, s.remote.at = fresh, now
	return nil
}

// swap pushes exactly the new objects, and names the commit that the ref must still be
// at, so that the remote compares and swaps.
func (s *remoteSession) swap(ctx context.Context, commit plumbing.Hash, objects []plumbing.Hash) error {
	var pack bytes.Buffer
	encoder := packfile.NewEncoder(&pack, s.copy, !s.caps.Supports(capability.OFSDelta))
	if _, err := encoder.Encode(objects, 0); err != nil {
		return fmt.Errorf("pack the notes: %w", err)
	}
	request := packp.NewReferenceUpdateRequestFromCapabilities(s.caps)
	request.Commands = []*packp.Command{{Name: Ref, Old: s.at, New: commit}}
	request.Packfile = readCloser{&pack}
	report, err := s.push.ReceivePack(ctx, request)
	if err == nil && report != nil {
		err = report.Error()
	}
	if err == nil {
		s.remote.at = commit
		s.pushes++
		return nil
	}
	refused := rejected(report)
	if refused == "" {
		s.copy = nil // the state of the remote is unknown
		return fmt.Errorf("push %s: %w", Ref, s.explain(ctx, err))
	}
	return s.whyRejected(ctx, refused)
}

// whyRejected distinguishes a lost race from a rule of the remote: after a race the ref
// has moved.
func (s *remoteSession) whyRejected(ctx context.Context, refused string) error {
	before := s.at
	s.copy = nil
	now, err := s.readRef(ctx)
	if err != nil {
		return err
	}
	// "failed to update ref" is git's message for a ref that another push has locked, but
	// may not have moved yet (builtin/receive-pack.c).
	if now != before || refused == "failed to update ref" {
		return errMoved
	}
	return fmt.Errorf("%w: the remote refuses the push of %s: %s", status.ErrUnauthorized, Ref, s.clean(refused))
}

// rejected returns the remote's reason for not moving the ref.
func rejected(report *packp.ReportStatus) string {
	if report == nil {
		return ""
	}
	for _, c := range report.CommandStatuses {
		if c.ReferenceName == Ref && c.Status != "ok" {
			return c.Status
		}
	}
	return ""
}

// explain returns the meaning of a failure for the Poster, without secrets.
func (r *remote) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	message := errors.New(r.clean(err.Error()))
	if unexpected, ok := errors.AsType[*plumbing.UnexpectedError](err); ok {
		err = unexpected.Err // it does not unwrap
	}
	if answer, ok := errors.AsType[*githttp.Err](err); ok && answer.Response != nil {
		if after, ok := status.RetryAfter(answer.Response.Header.Get("Retry-After")); ok {
			return &status.RetryAfterError{After: after, Err: message}
		}
	}
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		errors.Is(err, transport.ErrInvalidAuthMethod), errors.Is(err, transport.ErrRepositoryNotFound),
		strings.Contains(err.Error(), "unable to authenticate"): // golang.org/x/crypto/ssh has no error of its own for it
		return fmt.Errorf("%w: %w", status.ErrUnauthorized, message)
	}
	return message
}

// clean turns a remote's message into one short line without secrets.
func (r *remote) clean(s string) string {
	return untrusted.Known(r.secrets).Clean(s, 300)
}

type readCloser struct{ *bytes.Buffer }

func (readCloser) Close() error { return nil }
