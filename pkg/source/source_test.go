package source_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

// follower runs a Source and records what it emits.
type follower struct {
	*source.Source
	t      *testing.T
	events chan source.Event
}

// open returns a Source that polls often.
func open(t *testing.T, opts source.Options) *source.Source {
	t.Helper()
	if opts.Interval == 0 {
		opts.Interval = 20 * time.Millisecond
	}
	s, err := source.Open(opts, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// follow runs a Source until the test ends.
func follow(t *testing.T, opts source.Options) *follower {
	t.Helper()
	f := &follower{Source: open(t, opts), t: t, events: make(chan source.Event, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx, func(e source.Event) { f.events <- e }); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return f
}

func (f *follower) next() source.Event {
	f.t.Helper()
	select {
	case e := <-f.events:
		return e
	case <-time.After(20 * time.Second):
		f.t.Fatal("no event came")
		return source.Event{}
	}
}

// revision waits for the next event, which must have a Snapshot.
func (f *follower) revision() federation.Snapshot {
	f.t.Helper()
	e := f.next()
	if e.Err != nil || e.Snapshot == nil {
		f.t.Fatalf("event = %+v, want a snapshot", e)
	}
	return *e.Snapshot
}

func (f *follower) failure() error {
	f.t.Helper()
	e := f.next()
	if e.Err == nil {
		f.t.Fatalf("event = %+v, want an error", e)
	}
	return e.Err
}

func (f *follower) wantRevision(sha string) federation.Snapshot {
	f.t.Helper()
	s := f.revision()
	if s.Revision.SHA != sha {
		f.t.Fatalf("revision = %s, want %s", s.Revision.SHA, sha)
	}
	return s
}

func wantFile(t *testing.T, fsys fs.FS, name, want string) {
	t.Helper()
	got, err := fs.ReadFile(fsys, name)
	if err != nil || string(got) != want {
		t.Errorf("%s = %q, %v, want %q", name, got, err, want)
	}
}

// transports returns the options to read a repository over each transport, with
// the same content.
func transports(t *testing.T, repo *sourcetest.Repo) map[string]source.Options {
	t.Helper()
	server := sourcetest.ServeHTTP(t, repo, "s3cret-token")
	ssh := sourcetest.ServeSSH(t, repo)
	return map[string]source.Options{
		"local": {URL: repo.Path},
		"work":  {URL: "file://" + repo.Path},
		"http":  {URL: server.CloneURL(), TokenFile: file(t, "s3cret-token\n")},
		"ssh":   {URL: ssh.CloneURL(), SSHKeyFile: ssh.KeyFile, KnownHostsFile: ssh.KnownHosts},
	}
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRunEmitsEachRevisionOverAnyTransport(t *testing.T) {
	repo := sourcetest.New(t)
	first := repo.Push("say hello\n\nand more", map[string]string{"apps/web/a.yaml": "one\n", "fedsync.yaml": "kind: Federation\n"})
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			repo.InWork("reset", "--quiet", "--hard", first)
			repo.PushTo("main")
			f := follow(t, opts)
			one := f.wantRevision(first)
			if one.Revision.Ref != "main" || one.Subject.String() != "say hello" || one.Forced || one.Time.IsZero() {
				t.Errorf("snapshot = %+v, want ref main, subject %q, not forced, a time", one, "say hello")
			}
			wantFile(t, one.Files, "apps/web/a.yaml", "one\n")

			second := repo.Push("change", map[string]string{"apps/web/a.yaml": "two\n"})
			two := f.wantRevision(second)
			if two.Forced {
				t.Error("a commit on top is Forced, want a fast-forward")
			}
			wantFile(t, two.Files, "apps/web/a.yaml", "two\n")
			wantFile(t, two.Files, "fedsync.yaml", "kind: Federation\n")
			wantFile(t, one.Files, "apps/web/a.yaml", "one\n") // The old one stays readable.

			for i := range 5 {
				repo.Commit("one of five", map[string]string{"count": strings.Repeat("x", i)})
			}
			repo.PushTo("main")
			if five := f.wantRevision(repo.Head()); five.Forced {
				t.Error("five commits on top are Forced, want a fast-forward")
			}

			repo.InWork("reset", "--quiet", "--hard", first)
			other := repo.Push("rewritten", map[string]string{"apps/web/a.yaml": "other\n"})
			three := f.wantRevision(other)
			if !three.Forced {
				t.Error("a rewritten branch is not Forced")
			}
			wantFile(t, three.Files, "apps/web/a.yaml", "other\n")

			repo.InWork("reset", "--quiet", "--hard", first)
			repo.PushTo("main")
			if back := f.wantRevision(first); !back.Forced {
				t.Error("a branch that went back is not Forced")
			}
		})
	}
}

func TestAForcedPushIsRefusedOnRequest(t *testing.T) {
	repo := sourcetest.New(t)
	base := repo.Push("base", map[string]string{"a": "1"})
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			repo.InWork("reset", "--quiet", "--hard", base)
			repo.PushTo("main")
			last := repo.Push("good", map[string]string{"a": "2"})
			opts.NonFastForward = source.Refuse
			f := follow(t, opts)
			f.wantRevision(last)

			repo.InWork("reset", "--quiet", "--hard", base)
			forced := repo.Push("forced", map[string]string{"a": "3"})
			refused, ok := errors.AsType[*source.NotFastForwardError](f.failure())
			if !ok || refused.From != last || refused.To != forced || refused.Ref != "main" {
				t.Fatalf("error = %+v, want main refused from %s to %s", refused, last, forced)
			}

			repo.InWork("reset", "--quiet", "--hard", last)
			good := repo.Push("on top again", map[string]string{"a": "4"})
			if s := f.wantRevision(good); s.Forced {
				t.Error("a commit on top of the last good one is Forced")
			}
		})
	}
}

func TestAJumpOfAThousandCommitsIsAFastForward(t *testing.T) {
	repo := sourcetest.New(t)
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			first := repo.Push("start "+name, map[string]string{"a": name})
			f := follow(t, opts)
			f.wantRevision(first)
			last := repo.Commits("main", 1000)
			if s := f.wantRevision(last); s.Forced {
				t.Error("1,000 commits on top are Forced, want a fast-forward")
			}
			repo.InWork("fetch", "--quiet", "origin", "main")
			repo.InWork("reset", "--quiet", "--hard", "FETCH_HEAD")
		})
	}
}

func TestADescentThatIsNotProvedWithinTheLimitIsForced(t *testing.T) {
	repo := sourcetest.New(t)
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			first := repo.Push("start "+name, map[string]string{"a": name})
			opts.DeepenLimit = 30
			f := follow(t, opts)
			f.wantRevision(first)
			if s := f.wantRevision(repo.Commits("main", 40)); !s.Forced {
				t.Error("40 commits on top are not Forced with a limit of 30")
			}
			if s := f.wantRevision(repo.Commits("main", 25)); s.Forced {
				t.Error("25 commits on top are Forced with a limit of 30")
			}
			repo.InWork("fetch", "--quiet", "origin", "main")
			repo.InWork("reset", "--quiet", "--hard", "FETCH_HEAD")
		})
	}
}

func TestEmptyRepositoriesAndMissingBranchesAreErrorsUntilTheyAreThere(t *testing.T) {
	for _, name := range []string{"local", "http", "ssh"} {
		t.Run(name, func(t *testing.T) {
			repo := sourcetest.New(t)
			opts := transports(t, repo)[name]
			opts.Ref = "release"
			f := follow(t, opts)
			if err := f.failure(); !errors.Is(err, source.ErrEmpty) {
				t.Fatalf("error = %v, want ErrEmpty", err)
			}
			sha := repo.Push("first", map[string]string{"a": "1"})
			err := f.failure()
			missing, ok := errors.AsType[*source.RefError](err)
			if !ok || missing.Ref != "release" || strings.Join(missing.Branches, " ") != "main" {
				t.Fatalf("error = %v, want a RefError for release that names main", err)
			}
			repo.PushTo("release")
			if s := f.wantRevision(sha); s.Revision.Ref != "release" {
				t.Errorf("ref = %q, want release", s.Revision.Ref)
			}
		})
	}
}

func TestAMissingBranchNamesAtMostTenOthers(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"a": "1"})
	for _, b := range "abcdefghijkl" {
		repo.PushTo("branch-" + string(b))
	}
	_, err := open(t, source.Options{URL: repo.Path}).Snapshot(t.Context(), "nope")
	missing, ok := errors.AsType[*source.RefError](err)
	if !ok || len(missing.Branches) != 10 || missing.Total != 13 || !strings.Contains(err.Error(), "and 3 more") {
		t.Errorf("error = %v, want ten branches and 3 more", err)
	}
}

func TestSnapshotTakesBranchesTagsAndCommits(t *testing.T) {
	repo := sourcetest.New(t)
	first := repo.Push("first", map[string]string{"a": "1"})
	repo.InWork("tag", "--annotate", "--message", "one", "v1")
	repo.InWork("push", "--quiet", "origin", "v1")
	second := repo.Push("second", map[string]string{"a": "2"})
	repo.PushTo("team/x")
	repo.Git("config", "uploadpack.allowReachableSHA1InWant", "true")
	for name, opts := range transports(t, repo) {
		s := open(t, opts)
		for _, c := range []struct{ revision, ref, sha string }{
			{"", "main", second},
			{"main", "main", second},
			{"refs/heads/main", "main", second},
			{"HEAD", "main", second},
			{"team/x", "team/x", second},
			{"v1", "v1", first},
			{"refs/tags/v1", "v1", first},
			{second, "", second},
			{second[:10], "", second},
			{first, "", first},
		} {
			got, err := s.Snapshot(t.Context(), c.revision)
			if err != nil || got.Revision.Ref != c.ref || got.Revision.SHA != c.sha {
				t.Errorf("%s: Snapshot(%q) = %v, %v, want %s@%s", name, c.revision, got.Revision, err, c.ref, c.sha)
			}
		}
		for _, bad := range []string{"nope", "0000000000000000000000000000000000000001", "refs/heads/../x"} {
			got, err := s.Snapshot(t.Context(), bad)
			if _, ok := errors.AsType[*source.RefError](err); !ok {
				t.Errorf("%s: Snapshot(%q) = %v, %v, want a RefError", name, bad, got.Revision, err)
			}
		}
	}
	local := open(t, source.Options{URL: repo.Path})
	if got, err := local.Snapshot(t.Context(), "main~1"); err != nil || got.Revision.SHA != first {
		t.Errorf("Snapshot(main~1) = %v, %v, want %s", got.Revision, err, first)
	}
}

func TestATagIsFollowedWhenItMoves(t *testing.T) {
	repo := sourcetest.New(t)
	first := repo.Push("first", map[string]string{"a": "1"})
	tag := func() {
		repo.InWork("tag", "--force", "--annotate", "--message", "now", "live")
		repo.InWork("push", "--quiet", "--force", "origin", "live")
	}
	tag()
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			opts.Ref = "live"
			f := follow(t, opts)
			f.wantRevision(repo.Head())
			sha := repo.Push("next", map[string]string{"a": name})
			tag()
			if s := f.wantRevision(sha); s.Forced || s.Revision.Ref != "live" {
				t.Errorf("snapshot = %+v, want live, not forced", s.Revision)
			}
		})
	}
	_ = first
}

func TestNudgePollsAtOnce(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"a": "1"})
	opts := transports(t, repo)["http"]
	opts.Interval = time.Hour
	f := follow(t, opts)
	f.revision()
	sha := repo.Push("second", map[string]string{"a": "2"})
	f.Nudge()
	f.Nudge()
	f.wantRevision(sha)
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	ssh := source.Options{URL: "git@example.com:a/b", SSHKeyFile: "k", KnownHostsFile: "h"}
	for _, c := range []struct {
		name string
		opts source.Options
		want string
	}{
		{"nothing", source.Options{}, "no repository"},
		{"password in URL", source.Options{URL: "https://me:s3cret@example.com/a"}, "do not belong in a URL"},
		{"token for a user name", source.Options{URL: "https://glpat-s3cretS3cretS3cret12@example.com/a", TokenFile: "t"}, "do not belong in a URL"},
		{"user name without a token", source.Options{URL: "https://s3cret@example.com/a"}, "--username"},
		{"token in URL", source.Options{URL: "https://s3cret@example.com/a"}, "do not belong in a URL"},
		{"password for ssh", source.Options{URL: "ssh://git:s3cret@example.com/a"}, "do not belong in a URL"},
		{"password with a slash in URL", source.Options{URL: "https://me:s3/cret@example.com/a"}, "do not belong in a URL"},
		{"password for scp", source.Options{URL: "git:s3cret@example.com:a"}, "do not belong in a URL"},
		{"query", source.Options{URL: "https://example.com/a?private_token=s3cret"}, "query"},
		{"unparsable", source.Options{URL: "https://me:s3cret%zz@example.com/a"}, "not a valid URL"},
		{"cleartext", source.Options{URL: "http://example.com/a"}, "loopback hosts only"},
		{"git protocol", source.Options{URL: "git://example.com/a"}, "want https://"},
		{"no path", source.Options{URL: "https://example.com"}, "a host and a path"},
		{"ssh without known_hosts", source.Options{URL: ssh.URL, SSHKeyFile: "k"}, "known_hosts"},
		{"ssh without key", source.Options{URL: ssh.URL, KnownHostsFile: "h"}, "needs an ssh key"},
		{"ssh option injection", source.Options{URL: "ssh://-oProxyCommand=x/a", SSHKeyFile: "k", KnownHostsFile: "h"}, "dash"},
		{"token for ssh", source.Options{URL: ssh.URL, SSHKeyFile: "k", KnownHostsFile: "h", TokenFile: "t"}, "for https"},
		{"ssh key for https", source.Options{URL: "https://example.com/a", SSHKeyFile: "k"}, "for ssh"},
		{"two usernames", source.Options{URL: "https://example.com/a", TokenFile: "t", Username: "a", UsernameFile: "b"}, "one of them"},
		{"username alone", source.Options{URL: "https://example.com/a", Username: "a"}, "without a token file"},
		{"bad policy", source.Options{URL: "/a", NonFastForward: "Maybe"}, "want Follow or Refuse"},
		{"negative", source.Options{URL: "/a", Interval: -1}, "not be negative"},
	} {
		_, err := source.Open(c.opts, zaptest.NewLogger(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Open = %v, want an error with %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error %q holds the credential", c.name, err)
		}
	}
	for _, url := range []string{
		"https://example.com/a/b.git", "https://example.com:8443/a", "http://127.0.0.1:3000/a", "http://[::1]/a",
		"http://localhost/a", ".", "/srv/git/a.git", "file:///srv/a",
	} {
		if _, err := source.Open(source.Options{URL: url}, zaptest.NewLogger(t)); err != nil {
			t.Errorf("Open(%q) = %v, want no error", url, err)
		}
	}
	for _, url := range []string{ssh.URL, "example.com:a", "ssh://example.com/a", "ssh://me@example.com:2222/~me/a", "git@[::1]:a"} {
		ssh.URL = url
		if _, err := source.Open(ssh, zaptest.NewLogger(t)); err != nil {
			t.Errorf("Open(%q) = %v, want no error", url, err)
		}
	}
}
