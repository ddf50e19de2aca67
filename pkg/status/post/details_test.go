package post

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// checkForge is a forge with checks.
type checkForge struct {
	forge
	summaries []string
}

func (f *checkForge) PostCheck(ctx context.Context, c status.Commit, details status.Details) error {
	f.mu.Lock()
	f.summaries = append(f.summaries, details.Summary)
	f.mu.Unlock()
	return f.Post(ctx, c)
}

// shown returns the summaries since the last call.
func (f *checkForge) shown() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.summaries
	f.summaries = nil
	return all
}

func TestACheckHasTheDetailsOfItsPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &checkForge{}
		poster, stop := run(t, f, Options{Details: func(c status.Commit) status.Details {
			return status.Details{Summary: fmt.Sprintf("%s of %s in %q", c.State, c.Context, c.Cluster)}
		}})
		poster.Want(status.Commit{SHA: shaA, Context: web, State: status.Pending, Description: "1/2"})
		advance(t, time.Second)
		poster.Want(status.Commit{SHA: shaA, Context: web + "/c1", State: status.Success, Description: "2/2", Cluster: "c1"})
		advance(t, time.Minute)
		stop()
		if got := strings.Join(f.summaries, "; "); got != `pending of fedsync/web in ""; success of fedsync/web/c1 in "c1"` {
			t.Errorf("details: %s", got)
		}
	})
}

func TestChangedDetailsArePostedAtMostOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &checkForge{}
		var text atomic.Value
		o := Options{Details: func(status.Commit) status.Details { return status.Details{Summary: fmt.Sprint(text.Load())} }}
		poster, stop := run(t, f, o)
		wantDetails := func(summary string) {
			text.Store(summary)
			poster.Want(want(shaA, status.Failure, "1/2 failed"))
			advance(t, time.Second)
		}
		wantDetails("0")
		for i := range 55 { // within the first minute
			wantDetails(fmt.Sprint("soon ", i))
		}
		check(t, f.shown(), []string{"0"})
		advance(t, time.Minute)
		for range 600 {
			wantDetails("the same")
		}
		check(t, f.shown(), []string{"soon 54", "the same"}) // the newest after a minute, and the same details once
		for i := range 3 * 3600 {
			wantDetails(fmt.Sprint("later ", i))
		}
		if all := f.shown(); len(all) < 3 || len(all) > 12 {
			t.Errorf("%d posts in three hours of changes, want a few, ever more rarely", len(all))
		}
		stop()

		// After a restart nothing is posted again.
		poster, stop = run(t, f, o)
		for range 600 {
			wantDetails("later 10799")
		}
		wantDetails("another")
		advance(t, time.Minute)
		stop()
		check(t, f.shown(), []string{"another"})
	})
}

func TestADeploymentEndsInAnyState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		poster, stop := run(t, f, Options{Deployments: true})
		begin := func(sha string, state status.State) {
			poster.Begin(federation.Revision{SHA: sha})
			for range 3 {
				poster.Want(want(sha, state, ""))
				advance(t, time.Second)
			}
		}
		begin(shaA, status.Success)
		begin(shaB, status.Pending)
		check(t, f.history(start), []string{"0s 1 success: ", "3s b pending: ", "3s 1 success: superseded by b000000"})
		// The commit returns, as after a revert of a revert.
		begin(shaA, status.Pending)
		stop()
		var ended []bool
		for _, c := range f.posted {
			ended = append(ended, c.Superseded)
		}
		if !slices.Equal(ended, []bool{false, false, true, false, true}) {
			t.Errorf("posted %+v, want the superseded ones ended, and the last pending at once", f.posted)
		}
		// The queue was lost: the earlier one is ended, although it was a success.
		g := &forge{posted: []status.Commit{want(shaA, status.Success, "")}}
		poster, stop = run(t, g, Options{
			Deployments: true, Outbox: filepath.Join(t.TempDir(), "outbox"),
			Older: func(context.Context, string, int) ([]string, error) { return []string{shaA}, nil },
		})
		begin(shaB, status.Success)
		advance(t, time.Minute)
		stop()
		if !slices.ContainsFunc(g.posted, func(c status.Commit) bool { return c.SHA == shaA && c.Superseded }) || len(g.posted) != 3 {
			t.Errorf("after a restart without an outbox: %+v, want the earlier one ended", g.posted)
		}
	})
}

func TestNothingIsTriedForAFullCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{answer: func(status.Commit) error { return fmt.Errorf("%w: 1,000", status.ErrFull) }}
		poster, stop := run(t, f, Options{})
		poster.Want(status.Commit{SHA: shaA, Context: web, State: status.Pending, Description: "1/2"})
		advance(t, time.Hour)
		poster.Want(status.Commit{SHA: shaA, Context: web, State: status.Success, Description: "2/2"})
		advance(t, time.Hour)
		stop()
		if n := len(f.attempts); n != 1 {
			t.Errorf("%d attempts in two hours, want 1", n)
		}
		found := poster.Findings()
		if len(found) != 1 || !strings.Contains(found[0].Remedy.String(), "push another commit") {
			t.Errorf("findings: %v", found)
		}
	})
}

func TestTheRemedyNamesTheNewAddressOfAForge(t *testing.T) {
	tests := []struct {
		err             status.MovedError
		message, remedy string
	}{
		{status.MovedError{Name: "platform/web2"}, "the repository is now platform/web2", "--forge-repository platform/web2"},
		{status.MovedError{Host: "https://git.new.example"}, "is now at https://git.new.example", "--forge-url https://git.new.example"},
		{status.MovedError{}, "no longer at this address", "find the repository's new address"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			f := &forge{answer: func(status.Commit) error { return errors.Join(&tt.err) }}
			poster, _ := run(t, f, Options{})
			poster.Want(status.Commit{SHA: shaA, Context: web, State: status.Success, Description: "2/2"})
			advance(t, time.Second)
			found := poster.Findings()
			if len(found) != 1 || !strings.Contains(found[0].Message.String(), tt.message) || !strings.Contains(found[0].Remedy.String(), tt.remedy) {
				t.Errorf("findings: %v", found)
			}
		})
	}
}

func TestIsName(t *testing.T) {
	for name, want := range map[string]bool{
		"team/web": true, "Team-1/web.site_2": true, "team": false, "/web": false, "team/": false, "team/we b": false,
		"team/w\x1b[2J": false, "team/" + strings.Repeat("a", 300): false, "": false,
	} {
		if status.IsName(name) != want {
			t.Errorf("IsName(%q) = %t", name, !want)
		}
	}
}
