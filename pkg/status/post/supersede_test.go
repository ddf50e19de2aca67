package post

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestASupersededCommitGetsOneLastStatus(t *testing.T) {
	tests := []struct {
		name   string
		before []status.Commit // a minute and a half apart
		want   string
	}{
		{"pending", []status.Commit{want(shaA, status.Pending, "0/3 synced")}, "failure: superseded by b000000 before it was in sync"},
		{"failed", []status.Commit{want(shaA, status.Failure, "1/3 failed")}, "failure: superseded by b000000 · had failed: 1/3 failed"},
		{"succeeded", []status.Commit{want(shaA, status.Success, "3/3 clusters")}, "success: superseded by b000000 · was: 3/3 clusters"},
		{
			"lost its success",
			[]status.Commit{want(shaA, status.Success, "3/3 clusters"), want(shaA, status.Failure, "1/3 failed")},
			"failure: superseded by b000000 · had failed: 1/3 failed",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &forge{}
				p, _ := run(t, f, Options{})
				p.Begin(federation.Revision{SHA: shaA})
				for _, c := range tt.before {
					p.Want(c)
					advance(t, 90*time.Second)
				}
				posts := len(f.posted)
				for range 3 {
					p.Begin(federation.Revision{SHA: shaB})
					advance(t, time.Hour)
				}
				if len(f.posted) != posts+1 {
					t.Fatalf("%d last statuses, want 1", len(f.posted)-posts)
				}
				last := f.posted[posts]
				if got := string(last.State) + ": " + last.Description; got != tt.want {
					t.Errorf("last status = %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestASuccessThatFlapsWhileItIsSupersededStaysOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		p, _ := run(t, f, Options{})
		p.Begin(federation.Revision{SHA: shaA})
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		advance(t, time.Minute)
		p.Want(want(shaA, status.Pending, "2/3 synced")) // as at the start of the next revision
		advance(t, time.Second)
		p.Begin(federation.Revision{SHA: shaB})
		advance(t, time.Hour)
		if got := f.posted[len(f.posted)-1]; len(f.posted) != 2 || got.State != status.Success {
			t.Errorf("posted %v, want a second success", f.posted)
		}
	})
}

func TestARevisionThatReturnsIsCurrentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		p, _ := run(t, f, Options{})
		p.Begin(federation.Revision{SHA: shaA})
		p.Want(want(shaA, status.Failure, "1/3 failed"))
		advance(t, time.Second)
		p.Begin(federation.Revision{SHA: shaB})
		advance(t, time.Second)
		p.Begin(federation.Revision{SHA: shaA}) // a force-push returns to it
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		advance(t, time.Hour)
		check(t, f.history(start), []string{
			"0s 1 failure: 1/3 failed",
			"1s 1 failure: superseded by b000000 · had failed: 1/3 failed",
			"2s 1 success: 3/3 clusters",
		})
	})
}

func TestSupersededStatusesDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{answer: func(status.Commit) error { return errors.New("away") }}
		p, _ := run(t, f, Options{})
		for i := range 3 * keptSuperseded {
			sha := fmt.Sprintf("%040d", i)
			p.Begin(federation.Revision{SHA: sha})
			p.Want(want(sha, status.Pending, "0/3 synced"))
		}
		p.Begin(federation.Revision{SHA: shaB})
		f.repair()
		advance(t, time.Hour)
		if len(f.posted) != keptSuperseded {
			t.Errorf("%d last statuses, want the newest %d", len(f.posted), keptSuperseded)
		}
		if n := len(p.entries); n != 0 {
			t.Errorf("%d statuses are remembered after everything was posted", n)
		}
	})
}

func TestAStatusTheForgeRejectsIsTriedEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		f.answer = func(c status.Commit) error {
			if c.SHA == shaA {
				return fmt.Errorf("post: %w: no such commit", status.ErrRejected)
			}
			return nil
		}
		p, _ := run(t, f, Options{})
		p.Want(want(shaA, status.Pending, "0/3 synced"))
		p.Want(want(shaB, status.Pending, "0/3 synced"))
		advance(t, time.Second)
		got := p.Findings()
		if len(got) != 1 || !strings.Contains(got[0].Message.String(), "1a2b3c4") || !strings.Contains(got[0].Message.String(), "no such commit") {
			t.Errorf("findings = %v, want one that names the commit and the reason", got)
		}
		for i := range 3600 {
			p.Want(want(shaA, status.Pending, fmt.Sprintf("%d/3 synced", i)))
			advance(t, time.Second)
		}
		if n := len(f.attempts); n < 15 || n > 35 || len(f.posted) != 1 {
			t.Errorf("%d attempts and %d posts in an hour, want about 28 and the one", n, len(f.posted))
		}
		// A mirror may receive a commit later: a new state is worth a try at once.
		f.repair()
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		advance(t, time.Minute)
		if len(f.posted) != 2 {
			t.Errorf("posted %v, want the success of the commit that is known now", f.posted)
		}
	})
}

func TestARejectedTokenIsAFindingUntilItIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{}
		refuse := func(status.Commit) error { return fmt.Errorf("post: %w: 401", status.ErrUnauthorized) }
		f.answer = refuse
		p, _ := run(t, f, Options{})
		p.Want(want(shaA, status.Pending, "0/3 synced"))
		advance(t, time.Hour)
		if n := len(f.attempts); n < 30 || n > 61 {
			t.Errorf("%d attempts in an hour with a rejected token, want one every minute or two", n)
		}
		got := p.Findings()
		if len(got) != 1 || !strings.Contains(got[0].Message.String(), "forge token rejected") || got[0].Remedy.IsZero() {
			t.Errorf("findings = %v, want one about a rejected token with a remedy", got)
		}
		f.repair()
		advance(t, backoffMax)
		if len(f.posted) != 1 || len(p.Findings()) != 0 {
			t.Errorf("after the token was replaced: posted %v, findings %v", f.posted, p.Findings())
		}
	})
}
