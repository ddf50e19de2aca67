package post

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

const (
	shaA = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	shaB = "b000000000000000000000000000000000000000"
	web  = "fedsync/web"
)

// forge records requests; answer, when set, decides about each post.
type forge struct {
	mu       sync.Mutex // protects what follows
	answer   func(status.Commit) error
	listing  func() error
	attempts []time.Time
	posted   []status.Commit // in order, with the time of the post
	lists    int
}

func (f *forge) Name() string { return "fake" }
func (f *forge) Limit() int   { return 140 }

func (f *forge) Post(_ context.Context, c status.Commit) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts = append(f.attempts, time.Now())
	if f.answer != nil {
		if err := f.answer(c); err != nil {
			return err
		}
	}
	c.Time = time.Now()
	f.posted = append(f.posted, c)
	return nil
}

func (f *forge) List(_ context.Context, sha, context string) ([]status.Commit, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	if f.listing != nil {
		if err := f.listing(); err != nil {
			return nil, err
		}
	}
	var found []status.Commit
	for _, c := range slices.Backward(f.posted) {
		if c.SHA == sha && c.Context == context {
			found = append(found, c)
		}
	}
	return found, nil
}

// repair makes the forge accept everything from now on.
func (f *forge) repair() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.listing = nil, nil
}

// history returns the posts as "sha state words", with the seconds since start.
func (f *forge) history(start time.Time) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, c := range f.posted {
		lines = append(lines, fmt.Sprintf("%.0fs %.1s %s: %s", c.Time.Sub(start).Seconds(), c.SHA, c.State, c.Description))
	}
	return lines
}

// run starts a poster that ends with the test, and returns a function to end it sooner.
func run(t *testing.T, p status.Provider, options Options) (*Poster, func()) {
	t.Helper()
	poster := New(p, options)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		poster.Run(ctx)
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return poster, stop
}

// advance moves the bubble's clock and waits for everything that is due.
func advance(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
	synctest.Wait()
}

func want(sha string, s status.State, words string) status.Commit {
	return status.Commit{SHA: sha, Context: web, State: s, Description: words}
}

func check(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("posted (-want +got):\n%s", diff)
	}
}

func TestPosterPostsTheWantedStatusAndLinksToThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		var results []Result
		p, _ := run(t, f, Options{Context: web, PublicURL: "https://fedsync.example/", OnPost: func(provider string, r Result) {
			results = append(results, r)
		}})
		p.Want(status.Commit{SHA: shaA, State: status.Pending, Description: "0/13\nsynced " + strings.Repeat("x", 200)})
		p.Want(status.Commit{SHA: shaA, State: status.Pending, Description: "0/13\nsynced " + strings.Repeat("x", 200)})
		synctest.Wait()
		if len(f.posted) != 1 {
			t.Fatalf("posted %d statuses, want 1", len(f.posted))
		}
		c := f.posted[0]
		if c.Context != web || c.TargetURL != "https://fedsync.example/revisions/"+shaA {
			t.Errorf("posted context %q and link %q", c.Context, c.TargetURL)
		}
		if len(c.Description) > 140 || !strings.HasPrefix(c.Description, "0/13 synced xxx") || !strings.HasSuffix(c.Description, "…") {
			t.Errorf("description = %q, want one line of at most 140 bytes", c.Description)
		}
		if len(results) != 1 || results[0] != Posted {
			t.Errorf("results = %v, want one %q", results, Posted)
		}
	})
}

func TestPosterIgnoresAStatusWithoutCommitOrState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		p, _ := run(t, f, Options{})
		p.Want(status.Commit{State: status.Pending})
		p.Want(status.Commit{SHA: shaA})
		advance(t, time.Hour)
		if len(f.attempts) != 0 || f.lists != 0 {
			t.Errorf("%d posts and %d lists, want none", len(f.attempts), f.lists)
		}
	})
}

func TestPosterChangesASuccessOnlyAfterAMinuteOfTheNewState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		p, _ := run(t, f, Options{})
		p.Want(want(shaA, status.Pending, "0/3 synced"))
		advance(t, 2*time.Second)
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		advance(t, 10*time.Second)

		// A flap of 59 seconds, with several states in it, is not posted.
		p.Want(want(shaA, status.Pending, "2/3 synced"))
		advance(t, 29*time.Second)
		p.Want(want(shaA, status.Failure, "1/3 failed"))
		advance(t, 30*time.Second)
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		advance(t, time.Hour)

		p.Want(want(shaA, status.Failure, "1/3 failed: first words"))
		advance(t, 50*time.Second)
		p.Want(want(shaA, status.Failure, "1/3 failed: newest words"))
		advance(t, time.Minute)
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		synctest.Wait()
		check(t, f.history(start), []string{
			"0s 1 pending: 0/3 synced",
			"2s 1 success: 3/3 clusters",
			"3731s 1 failure: 1/3 failed: newest words", // 12 + 59 + 3600 + 60
			"3781s 1 success: 3/3 clusters",
		})
	})
}

func TestPosterDoesNotRepeatItselfAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		p, stop := run(t, f, Options{})
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		synctest.Wait()
		stop()

		p, stop = run(t, f, Options{})
		p.Want(want(shaA, status.Pending, "3/3 not probed yet")) // as every start begins
		advance(t, 5*time.Second)
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		advance(t, time.Hour)
		stop()

		p, _ = run(t, f, Options{})
		p.Want(want(shaA, status.Failure, "1/3 failed"))
		advance(t, time.Hour)
		check(t, f.history(start), []string{
			"0s 1 success: 3/3 clusters",
			"3665s 1 failure: 1/3 failed",
		})
	})
}

func TestPosterPostsTheNewestStateAfterAnOutageOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		away := func() error { return errors.New("502 Bad Gateway") }
		f.listing = away
		f.answer = func(status.Commit) error { return away() }
		p, _ := run(t, f, Options{})
		p.Begin(federation.Revision{SHA: shaA})
		p.Want(want(shaA, status.Pending, "0/3 synced"))
		advance(t, time.Minute)
		p.Want(want(shaA, status.Failure, "1/3 failed"))
		advance(t, 30*time.Minute)
		p.Begin(federation.Revision{SHA: shaB})
		p.Want(want(shaB, status.Pending, "0/3 synced"))
		advance(t, time.Minute)
		p.Want(want(shaB, status.Success, "3/3 clusters"))
		advance(t, 28*time.Minute)
		if n := f.lists + len(f.attempts); n > 80 || n < 30 {
			t.Errorf("%d requests during an outage of an hour, want one every minute or two", n)
		}
		if got := p.Findings(); len(got) != 1 || got[0].Severity != federation.SeverityWarning || !strings.Contains(got[0].Message.String(), "502") {
			t.Errorf("findings = %v, want one warning with the forge's answer", got)
		}
		f.repair()
		advance(t, backoffMax)
		if got := p.Findings(); len(got) != 0 {
			t.Errorf("findings = %v after the outage, want none", got)
		}
		for i := range f.posted {
			if late := f.posted[i].Time.Sub(start) - time.Hour; late < 0 || late > backoffMax {
				t.Errorf("posted %s after the outage", late)
			}
			f.posted[i].Time = start
		}
		check(t, f.history(start), []string{
			"0s b success: 3/3 clusters",
			"0s 1 failure: superseded by b000000 · had failed: 1/3 failed",
		})
	})
}

func TestPosterPausesForAsLongAsAForgeAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		f.answer = func(status.Commit) error {
			if time.Since(start) < 7*time.Minute {
				return fmt.Errorf("post: %w", &status.RetryAfterError{After: 7 * time.Minute, Err: errors.New("429")})
			}
			return nil
		}
		p, _ := run(t, f, Options{})
		p.Want(want(shaA, status.Pending, "0/3 synced"))
		advance(t, time.Minute)
		p.Want(want(shaB, status.Success, "3/3 clusters"))
		advance(t, time.Hour)
		if len(f.attempts) != 3 {
			t.Fatalf("%d attempts, want 3: the first, and one for each commit", len(f.attempts))
		}
		if second := f.attempts[1].Sub(start); second < 7*time.Minute || second > 7*time.Minute+time.Second {
			t.Errorf("second attempt after %s, want 7m and up to a second", second)
		}
	})
}

func TestPosterLimitsAnAbsurdRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		f.answer = func(status.Commit) error { return &status.RetryAfterError{After: 1 << 60, Err: errors.New("429")} }
		p, _ := run(t, f, Options{})
		p.Want(want(shaA, status.Pending, "0/3 synced"))
		synctest.Wait()
		f.repair()
		advance(t, retryMax+time.Second)
		if len(f.posted) != 1 {
			t.Errorf("posted %d statuses within an hour, want 1", len(f.posted))
		}
	})
}

func TestPosterStaysWithinItsBudgetOverMonthsOfFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		p, stop := run(t, f, Options{})
		p.Begin(federation.Revision{SHA: shaA})
		for i := range 90 * 24 * 6 { // 90 days, a flap every ten minutes
			if i == 5000 {
				stop()
				p, stop = run(t, f, Options{})
				p.Begin(federation.Revision{SHA: shaA})
			}
			p.Want(want(shaA, status.Success, "3/3 clusters"))
			advance(t, 5*time.Minute)
			p.Want(want(shaA, status.Failure, fmt.Sprintf("1/3 failed: %d", i)))
			advance(t, 5*time.Minute)
		}
		if len(f.posted) != budget-1 {
			t.Errorf("%d posts, want %d", len(f.posted), budget-1)
		}
		if last := f.posted[len(f.posted)-1].Time.Sub(f.posted[0].Time); last < 20*24*time.Hour {
			t.Errorf("the budget lasted %s, want weeks", last)
		}
		if got := p.Findings(); len(got) != 1 || got[0].ID != federation.FindingStatusBudget {
			t.Errorf("findings = %v, want one about the budget", got)
		}
		p.Begin(federation.Revision{SHA: shaB})
		advance(t, time.Minute)
		if len(f.posted) != budget || !strings.HasPrefix(f.posted[budget-1].Description, "superseded by b000000") {
			t.Errorf("the last slot holds %+v, want the last status of the commit", f.posted[len(f.posted)-1])
		}
	})
}

func TestPosterReservesTheLastSlotToLeavePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		for range budget - 1 {
			f.posted = append(f.posted, status.Commit{SHA: shaA, Context: web, State: status.Pending, Description: "0/3 synced", Time: time.Now()})
		}
		p, _ := run(t, f, Options{})
		p.Want(want(shaA, status.Pending, "1/3 synced"))
		advance(t, 24*time.Hour)
		if len(f.posted) != budget-1 {
			t.Fatalf("the last slot went to %+v", f.posted[budget-1])
		}
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		advance(t, 24*time.Hour*60)
		if len(f.posted) != budget || f.posted[budget-1].State != status.Success {
			t.Fatalf("the last slot holds %+v, want the success", f.posted[len(f.posted)-1])
		}
		p.Want(want(shaA, status.Failure, "1/3 failed"))
		advance(t, 24*time.Hour*60)
		if len(f.attempts) != 1 {
			t.Errorf("%d posts beyond the budget", len(f.attempts)-1)
		}
	})
}

func TestPosterPostsChangesOfWordsEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		p, _ := run(t, f, Options{})
		for i := range 24 * 60 * 6 { // a day, new words every ten seconds
			p.Want(want(shaA, status.Pending, fmt.Sprintf("words %d", i)))
			advance(t, 10*time.Second)
		}
		if n := len(f.posted); n < 20 || n > 40 {
			t.Errorf("%d posts in a day, want about 32", n)
		}
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		synctest.Wait()
		if last := f.posted[len(f.posted)-1]; last.State != status.Success {
			t.Errorf("the success waits for %q", last.Description)
		}
	})
}
