// Package statustest is the conformance suite for status.Provider: it tests what the
// Poster relies on, with a provider that talks to a fake of its forge.
//
// The fake speaks the forge's own protocol and records; the suite judges. It puts a gate
// in front of the fake that can refuse, fail, hang or close, because failures are what
// providers get wrong.
package statustest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// Token is the credential that the suite gives to providers. It must not be in any error.
const Token = "s3cr3t-t0k3n-0123456789abcdef" //nolint:gosec // It is no real credential.

// UnknownSHA is a commit that no fake knows.
const UnknownSHA = "00000000000000000000000000000000deadbeef"

// Fixture is one provider and the fake of its forge.
type Fixture struct {
	// Forge answers as the forge does. It refuses requests without Token.
	Forge http.Handler
	// New returns a provider for the forge at baseURL. Each call of the provider must
	// call token again.
	New func(t *testing.T, baseURL string, token func() (string, error)) status.Provider
	// Posted returns what the forge recorded for the commit and context, newest last. A
	// forge that retains only the latest status has at most one.
	Posted func(t *testing.T, sha, context string) []status.Commit
	// SHA and OtherSHA are commits the forge knows.
	SHA, OtherSHA string
	// LatestOnly means that the forge retains one status for a commit and context.
	LatestOnly bool
	// AnyCommit means that the forge accepts statuses for unknown commits.
	AnyCommit bool
	// WordsStay means that a pending status cannot change its description.
	WordsStay bool
	// Git means that statuses are Git objects: there is no request that the forge could
	// find unprocessable.
	Git bool
	// Key means that the credential is a private key, which is never sent.
	Key bool
	// Wordless means that a status has only a state.
	Wordless bool

	// Fill adds as many statuses to SHA under the suite's context as the forge accepts;
	// nil if there is no limit.
	Fill func()
	// Rename renames the repository and returns its new name; nil if the forge does not
	// redirect.
	Rename func() string
	// Lacking are the permissions that the forge can be made to deny to Token.
	Lacking []Lack
}

// Lack is a missing permission.
type Lack struct {
	Take  func()
	Words string // part of Probe's error
}

// Run runs every test, each with a fixture of its own.
func Run(t *testing.T, newFixture func(t *testing.T) Fixture) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*suite, *testing.T)
	}{
		{"PostsEachState", (*suite).postsEachState},
		{"PostsTheSameAgain", (*suite).postsTheSameAgain},
		{"KeepsCommitsAndContextsApart", (*suite).keepsApart},
		{"ListsTheNewestFirst", (*suite).listsTheNewestFirst},
		{"ListsNothingOfAnUnknownCommit", (*suite).listsNothing},
		{"CarriesAnyText", (*suite).carriesAnyText},
		{"TrimsALongDescription", (*suite).trims},
		{"AcceptsTheLongestContextAndAnyLink", (*suite).acceptsTheLongest},
		{"PostsNothingTwice", (*suite).postsNothingTwice},
		{"ReturnsWhenItsContextEnds", (*suite).returns},
		{"ReadsTheTokenEachTime", (*suite).readsTheTokenEachTime},
		{"FailsWithoutAToken", (*suite).failsWithoutToken},
		{"ReportsUnauthorized", (*suite).reportsUnauthorized},
		{"ReportsRejected", (*suite).reportsRejected},
		{"ReportsFull", (*suite).reportsFull},
		{"ReportsWhenToRetry", (*suite).reportsWhenToRetry},
		{"RecoversAfterAServerError", (*suite).recovers},
		{"FollowsNoRedirectToAnotherHost", (*suite).staysWithItsHost},
		{"NamesARepositoryThatMoved", (*suite).namesWhatMoved},
		{"ProbesWithoutWriting", (*suite).probes},
		{"PostsSeveralAtOnce", (*suite).postsSeveral},
		{"RepeatsNothingThatIsSentBack", (*suite).repeatsNothing},
		{"AbortsEndlessAnswers", (*suite).abortsEndless},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newSuite(t, newFixture(t)), t) })
	}
}

type suite struct {
	Fixture
	gate  *gate
	url   string // of the gate
	token string
	p     status.Provider
}

func newSuite(t *testing.T, f Fixture) *suite {
	t.Helper()
	s := &suite{Fixture: f, gate: &gate{forge: f.Forge}, token: Token}
	server := httptest.NewServer(s.gate)
	s.url = server.URL
	t.Cleanup(server.Close)
	t.Cleanup(func() { s.gate.set(nil) }) // releases hanging requests
	s.p = s.another(t)
	if s.p.Name() == "" || s.p.Limit() < 1 {
		t.Errorf("Name() = %q and Limit() = %d, want a name and a limit", s.p.Name(), s.p.Limit())
	}
	return s
}

// another returns another provider for the same forge, as after a restart.
func (s *suite) another(t *testing.T) status.Provider {
	t.Helper()
	return s.New(t, s.url, func() (string, error) {
		if s.token == "" {
			return "", errors.New("read the token file: no such file")
		}
		return s.token, nil
	})
}

func (s *suite) commit(state status.State) status.Commit {
	if s.Wordless {
		return status.Commit{SHA: s.SHA, Context: "fedsync/web", State: state}
	}
	return status.Commit{
		SHA: s.SHA, Context: "fedsync/web", State: state, Description: "203.0.113.10 · 13/13 clusters",
		TargetURL: "https://fedsync.example/revisions/" + s.SHA,
	}
}

// post posts, and checks that no error holds the token.
func (s *suite) post(t *testing.T, c status.Commit) error {
	t.Helper()
	return s.clean(t, s.p.Post(t.Context(), c))
}

func (s *suite) clean(t *testing.T, err error) error {
	t.Helper()
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), Token) {
		t.Errorf("the error holds the token: %v", err)
	}
	return err
}

func (s *suite) mustPost(t *testing.T, c status.Commit) {
	t.Helper()
	if err := s.post(t, c); err != nil {
		t.Fatalf("Post(%s) = %v, want no error", c.State, err)
	}
}

func (s *suite) mustHold(t *testing.T, want status.Commit) {
	t.Helper()
	posted := s.Posted(t, want.SHA, want.Context)
	if len(posted) == 0 {
		t.Fatalf("the forge holds no status %q of %s", want.Context, want.SHA)
	}
	if got := posted[len(posted)-1]; !got.Same(want) {
		t.Errorf("the forge holds %+v, want %+v", got, want)
	}
	list, err := s.p.List(t.Context(), want.SHA, want.Context)
	if s.clean(t, err) != nil || len(list) == 0 {
		t.Fatalf("List = %v, %v, want the status", list, err)
	}
	if !list[0].Same(want) {
		t.Errorf("List starts with %+v, want %+v", list[0], want)
	}
	if list[0].Time.IsZero() || time.Since(list[0].Time).Abs() > time.Hour {
		t.Errorf("List returned a status posted at %s, want now", list[0].Time)
	}
}

// within fails the test if f takes unreasonably long.
func within(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1) // has room for the result of an abandoned call
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the call did not return within 20s")
		return nil
	}
}

func (s *suite) returns(t *testing.T) {
	calls := map[string]func(context.Context) error{
		"Post": func(ctx context.Context) error { return s.p.Post(ctx, s.commit(status.Pending)) },
		"List": func(ctx context.Context) error {
			_, err := s.p.List(ctx, s.SHA, "fedsync/web")
			return err
		},
	}
	if prober, ok := s.p.(status.Prober); ok {
		calls["Probe"] = prober.Probe
	}
	for name, call := range calls {
		s.gate.set(hang)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := within(t, func() error { return call(ctx) })
		cancel()
		if !errors.Is(s.clean(t, err), context.DeadlineExceeded) {
			t.Errorf("%s of a forge that hangs = %v, want the context's error", name, err)
		}
		s.gate.set(stall)
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := within(t, func() error { return call(ctx) }); s.clean(t, err) == nil && name != "Probe" {
			t.Errorf("%s of a forge that stalls in its answer = no error", name)
		}
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if err := within(t, func() error { return call(ctx) }); !errors.Is(s.clean(t, err), context.Canceled) {
			t.Errorf("%s with an ended context = %v, want the context's error", name, err)
		}
	}
}
