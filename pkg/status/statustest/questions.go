package statustest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fedsync/fedsync/pkg/status"
)

func (s *suite) postsEachState(t *testing.T) {
	for _, state := range []status.State{status.Pending, status.Failure, status.Success, status.Failure} {
		c := s.commit(state)
		s.mustPost(t, c)
		s.mustHold(t, c)
	}
}

func (s *suite) postsTheSameAgain(t *testing.T) {
	c := s.commit(status.Success)
	for range 3 {
		s.mustPost(t, c)
	}
	s.mustHold(t, c)
}

func (s *suite) keepsApart(t *testing.T) {
	commits := []status.Commit{s.commit(status.Success), s.commit(status.Pending), s.commit(status.Failure)}
	commits[1].Context = "fedsync/web/gce-us-east1b"
	commits[2].SHA = s.OtherSHA
	for _, c := range commits {
		s.mustPost(t, c)
	}
	for _, c := range commits {
		s.mustHold(t, c)
		if list, err := s.p.List(t.Context(), c.SHA, c.Context); err != nil || len(list) != 1 {
			t.Errorf("List = %v, %v, want one status", list, err)
		}
	}
}

func (s *suite) listsTheNewestFirst(t *testing.T) {
	if s.Wordless {
		return // the statuses are indistinguishable
	}
	const posts = 60 // more than a page of most forges
	want := posts
	if s.LatestOnly {
		want = 1
	}
	state := status.Pending
	if s.WordsStay {
		state = status.Failure
	}
	for i := range posts {
		c := s.commit(state)
		c.Description = fmt.Sprintf("%d/%d synced", i, posts)
		if s.LatestOnly && i%20 != 0 && i != posts-1 {
			continue
		}
		s.mustPost(t, c)
	}
	list, err := s.p.List(t.Context(), s.SHA, "fedsync/web")
	if err != nil || len(list) != want {
		t.Fatalf("List = %d statuses, %v, want %d", len(list), err, want)
	}
	if wanted := fmt.Sprintf("%d/%d synced", posts-1, posts); list[0].Description != wanted {
		t.Errorf("List starts with %q, want %q", list[0].Description, wanted)
	}
}

func (s *suite) listsNothing(t *testing.T) {
	for _, sha := range []string{s.SHA, UnknownSHA} {
		if list, err := s.p.List(t.Context(), sha, "fedsync/web"); s.clean(t, err) != nil || len(list) != 0 {
			t.Errorf("List(%s) before any post = %v, %v, want nothing", sha, list, err)
		}
	}
}

func (s *suite) carriesAnyText(t *testing.T) {
	if s.Wordless {
		return
	}
	for _, words := range []string{`<script>alert("x")</script>`, `back\slash "quotes" %s %2F`, "Größe 日本語 👍", "-"} {
		c := s.commit(status.Failure)
		c.Description = words
		s.mustPost(t, c)
		s.mustHold(t, c)
	}
}

func (s *suite) trims(t *testing.T) {
	if s.Wordless {
		return
	}
	c := s.commit(status.Failure)
	c.Description = "1/13 failed: " + strings.Repeat("größer ", s.p.Limit())
	s.mustPost(t, c)
	posted := s.Posted(t, c.SHA, c.Context)
	if len(posted) == 0 {
		t.Fatal("a status with a long description was not recorded")
	}
	got := posted[len(posted)-1].Description
	if len(got) > s.p.Limit() || !utf8.ValidString(got) || !strings.HasPrefix(got, "1/13 failed: größer") {
		t.Errorf("recorded %d bytes, %q; want the beginning within %d", len(got), got, s.p.Limit())
	}
}

func (s *suite) readsTheTokenEachTime(t *testing.T) {
	s.token = "expired"
	if err := s.post(t, s.commit(status.Pending)); !errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Post with a wrong token = %v, want ErrUnauthorized", err)
	}
	s.token = Token
	s.mustPost(t, s.commit(status.Pending))
	s.mustHold(t, s.commit(status.Pending))
}

func (s *suite) failsWithoutToken(t *testing.T) {
	s.token = ""
	err := s.post(t, s.commit(status.Pending))
	if err == nil || !strings.Contains(err.Error(), "token file") {
		t.Errorf("Post without a token = %v, want the reason", err)
	}
	if n := len(s.Posted(t, s.SHA, "fedsync/web")); n != 0 {
		t.Errorf("%d statuses were recorded without a token", n)
	}
}

func (s *suite) reportsUnauthorized(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		s.gate.set(answer(code, nil))
		if err := s.post(t, s.commit(status.Pending)); !errors.Is(err, status.ErrUnauthorized) {
			t.Errorf("Post answered with %d = %v, want ErrUnauthorized", code, err)
		}
		_, err := s.p.List(t.Context(), s.SHA, "fedsync/web")
		if !errors.Is(s.clean(t, err), status.ErrUnauthorized) {
			t.Errorf("List answered with %d = %v, want ErrUnauthorized", code, err)
		}
	}
	// Forges hide what a token may not see.
	s.gate.set(answer(http.StatusNotFound, nil))
	if err := s.post(t, s.commit(status.Pending)); !errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Post to a missing repository = %v, want ErrUnauthorized", err)
	}
}

func (s *suite) reportsRejected(t *testing.T) {
	if !s.AnyCommit {
		c := s.commit(status.Pending)
		c.SHA = UnknownSHA
		if err := s.post(t, c); !errors.Is(err, status.ErrRejected) {
			t.Errorf("Post for an unknown commit = %v, want ErrRejected", err)
		}
	}
	s.gate.set(answer(http.StatusUnprocessableEntity, nil))
	err := s.post(t, s.commit(status.Pending))
	if err == nil || !s.Git && !errors.Is(err, status.ErrRejected) {
		t.Errorf("Post answered with 422 = %v, want ErrRejected", err)
	}
	s.gate.set(nil)
	s.mustPost(t, s.commit(status.Pending))
}

func (s *suite) reportsWhenToRetry(t *testing.T) {
	date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	tests := []struct {
		code     int
		after    string
		low, top time.Duration
	}{
		{http.StatusTooManyRequests, "7", 7 * time.Second, 7 * time.Second},
		{http.StatusTooManyRequests, date, 80 * time.Second, 91 * time.Second},
		{http.StatusServiceUnavailable, "120", 2 * time.Minute, 2 * time.Minute},
	}
	for _, tt := range tests {
		s.gate.set(answer(tt.code, http.Header{"Retry-After": {tt.after}}))
		err := s.post(t, s.commit(status.Pending))
		if later, ok := errors.AsType[*status.RetryAfterError](err); !ok {
			t.Errorf("Post answered with %d and Retry-After: %s = %v, want a RetryAfterError", tt.code, tt.after, err)
		} else if later.After < tt.low || later.After > tt.top {
			t.Errorf("Retry-After: %s was parsed as %s", tt.after, later.After)
		}
	}
	// Without the header it is a failure like any other.
	s.gate.set(answer(http.StatusTooManyRequests, nil))
	err := s.post(t, s.commit(status.Pending))
	if err == nil || errors.Is(err, status.ErrRejected) || errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Post answered with 429 = %v, want a retryable error", err)
	}
}

func (s *suite) recovers(t *testing.T) {
	faults := map[string]http.HandlerFunc{"reset": reset}
	for _, code := range []int{500, 502, 503, 504} {
		faults[fmt.Sprint(code)] = answer(code, nil)
	}
	for name, fault := range faults {
		s.gate.set(fault)
		err := s.post(t, s.commit(status.Failure))
		var later *status.RetryAfterError
		if err == nil || errors.Is(err, status.ErrRejected) || errors.Is(err, status.ErrUnauthorized) || errors.As(err, &later) {
			t.Errorf("Post answered with %s = %v, want a retryable error", name, err)
		}
		list, err := s.p.List(t.Context(), s.SHA, "fedsync/web")
		if s.clean(t, err) == nil {
			t.Errorf("List answered with %s = %v, want an error, because the state is unknown", name, list)
		}
	}
	s.gate.set(nil)
	s.mustPost(t, s.commit(status.Success))
	s.mustHold(t, s.commit(status.Success))
}

func (s *suite) postsSeveral(t *testing.T) {
	b, ok := s.p.(status.Batcher)
	if !ok {
		return // it posts one status at a time
	}
	if b.Interval() <= 0 {
		t.Errorf("Interval() = %s, want a pause", b.Interval())
	}
	commits := []status.Commit{s.commit(status.Success), s.commit(status.Pending), s.commit(status.Failure)}
	commits[1].Context = "fedsync/web/c1"
	commits[2].SHA = s.OtherSHA
	s.gate.set(answer(http.StatusBadGateway, nil))
	if err := s.clean(t, b.PostAll(t.Context(), commits)); err == nil {
		t.Error("PostAll answered with 502 = no error")
	}
	s.gate.set(nil)
	if err := s.clean(t, b.PostAll(t.Context(), commits)); err != nil {
		t.Fatalf("PostAll = %v", err)
	}
	for _, c := range commits {
		s.mustHold(t, c)
	}
}

// Unversioned returns pull requests without their versions, and fails if one has no
// version.
func Unversioned(t *testing.T, open []status.PullRequest) []status.PullRequest {
	t.Helper()
	all := slices.Clone(open)
	for i := range all {
		if all[i].Version == "" {
			t.Errorf("#%d has no version", all[i].Number)
		}
		all[i].Version = ""
	}
	return all
}
