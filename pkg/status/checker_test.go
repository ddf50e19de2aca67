package status

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// checkForge is a forge that has checks.
type checkForge struct {
	forge
	summaries []string
}

func (f *checkForge) PostCheck(ctx context.Context, c Commit, details Details) error {
	f.summaries = append(f.summaries, details.Summary)
	return f.Post(ctx, c)
}

func TestACheckHasTheDetailsOfWhenItIsPosted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &checkForge{}
		poster, stop := run(t, f, Options{Details: func(c Commit) Details {
			return Details{Summary: fmt.Sprintf("%s of %s in %q", c.State, c.Context, c.Cluster)}
		}})
		poster.Want(Commit{SHA: shaA, Context: web, State: Pending, Description: "1/2"})
		advance(t, time.Second)
		poster.Want(Commit{SHA: shaA, Context: web + "/c1", State: Success, Description: "2/2", Cluster: "c1"})
		advance(t, time.Minute)
		stop()
		if got := strings.Join(f.summaries, "; "); got != `pending of fedsync/web in ""; success of fedsync/web/c1 in "c1"` {
			t.Errorf("details: %s", got)
		}
	})
}

func TestDetailsThatChangeAreShownAtMostOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, text := &checkForge{}, "0"
		o := Options{Details: func(Commit) Details { return Details{Summary: text} }}
		poster, stop := run(t, f, o)
		tell := func(summary string) {
			text = summary
			poster.Want(want(shaA, Failure, "1/2 failed"))
			advance(t, time.Second)
		}
		tell("0")
		for i := range 55 { // within the first minute
			tell(fmt.Sprint("soon ", i))
		}
		if got := strings.Join(f.summaries, "; "); got != "0" {
			t.Errorf("within a minute: %s", got)
		}
		advance(t, time.Minute)
		for range 600 {
			tell("the same")
		}
		if got := strings.Join(f.summaries, "; "); got != "0; soon 54; the same" {
			t.Errorf("details: %s, want the newest after a minute, and the same once", got)
		}
		before := len(f.summaries)
		for i := range 3 * 3600 {
			tell(fmt.Sprint("later ", i))
		}
		if n := len(f.summaries) - before; n < 3 || n > 12 {
			t.Errorf("%d posts in three hours of changes, want a few, and fewer and fewer", n)
		}
		stop()
		if len(f.posted) > 0 && poster.Findings() != nil {
			t.Errorf("findings: %v", poster.Findings())
		}

		// After a restart nothing is posted that is there already.
		before = len(f.summaries)
		poster, stop = run(t, f, o)
		for range 600 {
			tell(text)
		}
		tell("another")
		advance(t, time.Minute)
		stop()
		if got := strings.Join(f.summaries[before:], "; "); got != "another" {
			t.Errorf("after a restart: %s, want what changed since", got)
		}
	})
}

func TestADeploymentEndsWhateverItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		poster, stop := run(t, f, Options{Deployments: true})
		begin := func(sha string, state State) {
			poster.Begin(federation.Revision{SHA: sha})
			for range 3 {
				poster.Want(want(sha, state, ""))
				advance(t, time.Second)
			}
		}
		begin(shaA, Success)
		begin(shaB, Pending)
		check(t, f.told(start), []string{"0s 1 success: ", "3s b pending: ", "3s 1 success: superseded by b000000"})
		if f.posted[0].Superseded || f.posted[1].Superseded || !f.posted[2].Superseded {
			t.Errorf("posted %+v, want the last alone superseded", f.posted)
		}
		// The commit comes back, as after a revert of a revert.
		begin(shaA, Pending)
		if last := f.posted[len(f.posted)-1]; len(f.posted) != 5 {
			t.Errorf("%d posts, the last %+v; want shaA pending at once and shaB ended", len(f.posted), last)
		}
		stop()
		// What waited was not kept: the one before is ended, though it was a success.
		g := &forge{posted: []Commit{want(shaA, Success, "")}}
		poster, _ = run(t, g, Options{
			Deployments: true, Outbox: filepath.Join(t.TempDir(), "outbox"),
			Older: func(context.Context, string, int) ([]string, error) { return []string{shaA}, nil },
		})
		begin(shaB, Success)
		advance(t, time.Minute)
		ended := slices.ContainsFunc(g.posted, func(c Commit) bool { return c.SHA == shaA && c.Superseded })
		if !ended || len(g.posted) != 3 {
			t.Errorf("after a restart without an outbox: %+v, want the one before ended", g.posted)
		}
	})
}

func TestNothingIsTriedWhereACommitIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{answer: func(Commit) error { return fmt.Errorf("%w: 1,000", ErrFull) }}
		poster, stop := run(t, f, Options{})
		poster.Want(Commit{SHA: shaA, Context: web, State: Pending, Description: "1/2"})
		advance(t, time.Hour)
		poster.Want(Commit{SHA: shaA, Context: web, State: Success, Description: "2/2"})
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

func TestAForgeThatMovedIsFoundByItsRemedy(t *testing.T) {
	tests := []struct {
		err         MovedError
		says, cures string
	}{
		{MovedError{Name: "platform/web2"}, "the repository is platform/web2", "--forge-repository platform/web2"},
		{MovedError{Host: "https://git.new.example"}, "answers at https://git.new.example", "--forge-url https://git.new.example"},
		{MovedError{}, "not at this address", "look where"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			f := &forge{answer: func(Commit) error { return errors.Join(&tt.err) }}
			poster, _ := run(t, f, Options{})
			poster.Want(Commit{SHA: shaA, Context: web, State: Success, Description: "2/2"})
			advance(t, time.Second)
			found := poster.Findings()
			if len(found) != 1 || !strings.Contains(found[0].Message.String(), tt.says) || !strings.Contains(found[0].Remedy.String(), tt.cures) {
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
		if IsName(name) != want {
			t.Errorf("IsName(%q) = %t", name, !want)
		}
	}
}
