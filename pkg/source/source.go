package source

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/multiack"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/filewatch"
	"github.com/fedsync/fedsync/pkg/source/gitdir"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// Source is a repository that is followed.
type Source struct {
	opts        Options
	at          location
	log         *zap.Logger
	credentials *credentials
	repository  repository

	// nudges has a capacity of one: a nudge while another is pending adds
	// nothing, and one during a poll causes one more poll.
	nudges chan struct{}

	mu     sync.Mutex // protects what follows, and allows one poll at a time
	last   *revision  // the newest revision that was read; nil before the first
	reject *rejected  // a tip that is known to be unacceptable
}

// rejected remembers a tip that can never be accepted, so that it is not
// fetched again at each poll.
type rejected struct {
	id  plumbing.Hash
	err error
}

// Event is news of the repository.
type Event struct {
	// Snapshot is a new revision. It is nil when the repository cannot be read,
	// and when it can be read again but has not changed.
	Snapshot *federation.Snapshot
	// Err is why the repository cannot be read, until an Event without it: an
	// Error, RefError, NotFastForwardError, objectdb.LimitError or
	// gitdir.NotRepositoryError. The previous Snapshot stays valid.
	Err error
	// Took is how long reading the revision took. It is set with Snapshot.
	Took time.Duration
}

// repository is what local and remote have in common.
type repository interface {
	// poll returns what ref leads to. It returns last itself when that has not
	// changed, or when the tip is the one to skip.
	poll(ctx context.Context, ref string, last *revision, skip plumbing.Hash) (*revision, tip, error)
	// resolve returns what any revision leads to.
	resolve(ctx context.Context, revision string) (*revision, error)
	// propose returns the revisions that merging head into base needs; errNoCommon where
	// they have nothing in common.
	propose(ctx context.Context, base, head string) (sides, error)
	// proposeTo is propose for a base that was read.
	proposeTo(ctx context.Context, base *revision, head string) (sides, error)
	// ancestors returns up to n ancestors of a commit, the nearest first.
	ancestors(ctx context.Context, of plumbing.Hash, n int) ([]plumbing.Hash, error)
	// before calls use with the chain of first parents of a commit, until it returns
	// true.
	before(ctx context.Context, of tip, use func(*revision) bool) error
	close()
}

// Open returns a Source. It checks what can be checked without reading the disk
// or the network. Its errors hold no credentials.
func Open(opts Options, log *zap.Logger) (*Source, error) {
	at, err := parseLocation(opts.URL)
	if err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	if opts.Path, err = tree.CleanFolder(opts.Path); err != nil {
		return nil, err
	}
	if err := opts.takeUser(at); err != nil {
		return nil, err
	}
	if err := opts.check(at); err != nil {
		return nil, err
	}
	s := &Source{
		opts: opts, at: at, log: log,
		credentials: &credentials{opts: opts, at: at},
		nudges:      make(chan struct{}, 1),
	}
	if at.scheme == schemeLocal {
		s.repository = &local{at: at, opts: opts, objects: gitdir.NewObjects(at.path)}
	} else {
		multiack.Allow()
		s.repository = &remote{at: at, opts: opts, credentials: s.credentials}
	}
	return s, nil
}

// String returns the repository's URL or path, which holds no credentials.
func (s *Source) String() string { return s.at.text }

// Identity returns the URL, or the absolute path of a local repository. Two
// sources with one identity read the same repository, however it was spelled.
func (s *Source) Identity() string { return s.at.identity() }

// Path returns the folder of the repository that is read; empty for all of it.
func (s *Source) Path() string { return s.opts.Path }

// LocalPath returns the absolute path of a local repository, and false for a
// remote one.
func (s *Source) LocalPath() (string, bool) { return s.at.path, s.at.scheme == schemeLocal }

// Auth returns the current credentials, for code that writes to the same
// repository with go-git; nil when there are none. For ssh it verifies the host
// against the same known_hosts.
func (s *Source) Auth() (transport.AuthMethod, error) { return s.credentials.auth() }

// CABundle returns the current content of the CA file, in PEM form, for go-git's
// CABundle options; nil without a CA file.
func (s *Source) CABundle() ([]byte, error) { return s.credentials.caBundle() }

// Branch returns the short name of the ref that Run read last; empty before the first read.
// It waits for a running poll.
func (s *Source) Branch() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return ""
	}
	return s.last.tip.ref
}

// Nudge makes Run poll now. It never blocks.
func (s *Source) Nudge() {
	select {
	case s.nudges <- struct{}{}:
	default:
	}
}

// Run polls until ctx ends, and then returns nil. It calls emit, from one
// goroutine, for each new revision, when the repository cannot be read, when the
// reason changes, and when it can be read again. Polling waits for emit.
//
// Run remembers nothing across restarts: the first revision after a start is
// never Forced.
func (s *Source) Run(ctx context.Context, emit func(Event)) error {
	watch := filewatch.New(s.watched(), s.Nudge, s.log)
	var watching sync.WaitGroup
	watching.Go(func() { watch.Run(ctx) })
	defer watching.Wait()
	defer s.repository.close()

	var failing string // the text of the last error; empty when it was read
	for failures := 0; ; {
		started := time.Now()
		rev, isNew, err := s.poll(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case err != nil:
			failures++
			if err.Error() != failing {
				failing = err.Error()
				emit(Event{Err: err})
			}
		case isNew:
			failures, failing = 0, ""
			snapshot := rev.snapshot(s.opts.Secrets)
			emit(Event{Snapshot: &snapshot, Took: time.Since(started)})
		case failing != "":
			failures, failing = 0, ""
			emit(Event{})
		}
		timer := time.NewTimer(s.pause(failures))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.nudges:
			timer.Stop()
		case <-timer.C:
			// Folders may have been created or replaced unnoticed.
			watch.Refresh()
		}
	}
}

// pause returns the time until the next poll: the interval, doubled with each
// failure up to a bound, ±10 %.
func (s *Source) pause(failures int) time.Duration {
	pause := s.opts.Interval
	for range failures {
		if pause >= maxBackoff/2 {
			pause = max(s.opts.Interval, maxBackoff)
			break
		}
		pause *= 2
	}
	return time.Duration(float64(pause) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // Jitter needs no secrecy.
}

// poll reads the repository once, and reports whether there is a new revision.
func (s *Source) poll(ctx context.Context) (_ *revision, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The input is untrusted and decoded by a library. If that panics, the
	// daemon continues with the revision it has.
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("reading the repository panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = &Error{Repository: s.at.text, Kind: ErrUnreadable, Detail: "reading it panicked; the log has the details"}
		}
	}()

	skip := plumbing.ZeroHash
	if s.reject != nil {
		skip = s.reject.id
	}
	rev, t, err := s.repository.poll(ctx, s.opts.Ref, s.last, skip)
	for range 3 {
		if !errors.Is(err, errMoved) {
			break
		}
		rev, t, err = s.repository.poll(ctx, s.opts.Ref, s.last, skip)
	}
	switch {
	case err != nil:
		if _, ok := errors.AsType[*objectdb.LimitError](err); ok && !t.id.IsZero() {
			s.reject = &rejected{t.id, err}
		}
		return nil, false, err
	case s.reject != nil && t.id == s.reject.id:
		return nil, false, s.reject.err
	case rev == s.last:
		s.reject = nil
		return rev, false, nil
	case rev.forced && s.opts.NonFastForward == Refuse:
		err := &NotFastForwardError{
			Repository: s.at.text, Ref: rev.tip.ref,
			From: s.last.commit.ID.String(), To: rev.commit.ID.String(),
		}
		s.reject = &rejected{t.id, err}
		return nil, false, err
	}
	isNew = s.last == nil || s.last.commit.ID != rev.commit.ID || s.last.tip.ref != rev.tip.ref
	s.last, s.reject = rev, nil
	return rev, isNew, nil
}

// Snapshot reads one revision: a branch, a tag, or a full commit id; for a
// local path, anything that git rev-parse accepts. Empty means Options.Ref. It
// is independent of Run.
func (s *Source) Snapshot(ctx context.Context, revision string) (federation.Snapshot, error) {
	if revision == "" {
		revision = s.opts.Ref
	}
	rev, err := s.repository.resolve(ctx, revision)
	if err != nil {
		return federation.Snapshot{}, err
	}
	return rev.snapshot(s.opts.Secrets), nil
}

// watched returns the files and folders whose changes call for a poll.
func (s *Source) watched() func() filewatch.Watched {
	if s.at.scheme != schemeLocal {
		files := s.credentials.files()
		return func() filewatch.Watched { return filewatch.Watched{Files: files} }
	}
	return func() filewatch.Watched {
		dir, err := gitdir.Find(s.at.path)
		if err != nil {
			return filewatch.Watched{}
		}
		return filewatch.Watched{
			Files: []string{filepath.Join(dir.Own, "HEAD"), filepath.Join(dir.Common, "packed-refs")},
			Trees: []string{filepath.Join(dir.Common, "refs", "heads"), filepath.Join(dir.Common, "refs", "tags")},
		}
	}
}
