package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
