package post

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestQueuedStatusesSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		o := Options{Outbox: filepath.Join(t.TempDir(), "outbox")}
		p, stop := run(t, f, o)
		begin := func(sha string, s status.State, words string) {
			p.Begin(federation.Revision{SHA: sha})
			p.Want(want(sha, s, words))
			advance(t, time.Second)
		}
		begin(shaA, status.Success, "3/3 clusters")
		f.answer = func(status.Commit) error { return fmt.Errorf("502 Bad Gateway") }
		begin(shaB, status.Failure, "1/3 failed")
		shaC := strings.Repeat("c", 40)
		begin(shaC, status.Success, "3/3 clusters")
		stop()
		f.repair()

		p, stop = run(t, f, o)
		advance(t, time.Minute)
		if got := f.history(start)[1:]; len(got) != 2 {
			t.Errorf("before the newest revision is known, posted %v, want the last status of the other two", got)
		}
		begin(shaC, status.Success, "3/3 clusters")
		stop()
		p, _ = run(t, f, o)
		begin(shaC, status.Success, "3/3 clusters")
		check(t, f.history(start), []string{
			"0s 1 success: 3/3 clusters",
			"3s b failure: superseded by ccccccc · had failed: 1/3 failed",
			"3s 1 success: superseded by b000000 · was: 3/3 clusters",
			"63s c success: 3/3 clusters",
		})
	})
}

func TestTheFileOfAnEarlierVersionIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "told")
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"sha":%q,"contexts":["fedsync/web"]}`, shaA), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{posted: []status.Commit{want(shaA, status.Pending, "0/3 synced")}}
		p, _ := run(t, f, Options{Outbox: file})
		p.Begin(federation.Revision{SHA: shaB})
		advance(t, time.Second)
		if got := f.history(start); len(got) != 2 || !strings.Contains(got[1], "failure: superseded by b000000 before it was in sync") {
			t.Errorf("posted %v, want the last status of the saved commit", got)
		}
	})
}

// A damaged or malicious file loses no more than its own content, and a failure to write
// it is a finding.
func TestABadOutboxStopsNothing(t *testing.T) {
	good := fmt.Sprintf(`{"sha":%q,"context":"fedsync/web","state":"failure","description":"1/3 failed","by":"b000000"}`, shaA)
	for name, c := range map[string]struct {
		make  func(file string) error
		posts int
		found bool
	}{
		"none":          {func(string) error { return nil }, 1, false},
		"empty":         {holding(""), 1, false},
		"cut":           {holding(`{"letters":[` + good[:40]), 1, false},
		"not JSON":      {holding("\x00\xff\x1b[31m"), 1, false},
		"nested":        {holding(strings.Repeat("[", 500_000)), 1, false},
		"huge":          {holding(`{"letters":[` + good + `]}` + strings.Repeat(" ", outboxBytes)), 1, false},
		"many":          {holding(`{"letters":[` + strings.Repeat(good+",", 1000) + good + `]}`), 2, false},
		"one is valid":  {holding(`{"letters":[{"sha":"../../etc"},{"sha":"` + shaB + `","context":"\u0000"},` + good + `]}`), 2, false},
		"foreign text":  {holding(`{"letters":[` + strings.Replace(good, "1/3 failed", `\u001b]0;x\u0007`, 1) + `]}`), 2, false},
		"no such state": {holding(`{"letters":[` + strings.Replace(good, "failure", "error", 1) + `]}`), 1, false},
		"a folder":      {func(file string) error { return os.MkdirAll(filepath.Join(file, "x"), 0o700) }, 1, false},
		"a link":        {func(file string) error { return os.Symlink("/dev/zero", file) }, 1, false},
		"no folder":     {func(file string) error { return os.Remove(filepath.Dir(file)) }, 1, true},
		"in the way": {func(file string) error {
			return os.MkdirAll(filepath.Join(file+".new", "x"), 0o700)
		}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "state", "outbox")
			if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := c.make(file); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				f := &forge{}
				p, _ := run(t, f, Options{Outbox: file})
				p.Begin(federation.Revision{SHA: shaB})
				p.Want(want(shaB, status.Success, "3/3 clusters"))
				advance(t, time.Minute)
				if len(f.posted) != c.posts {
					t.Errorf("posted %v, want %d", f.posted, c.posts)
				}
				for _, post := range f.posted {
					if strings.ContainsAny(post.Description, "\x1b\a") {
						t.Errorf("posted %q", post.Description)
					}
				}
				found := p.Findings()
				if c.found != (len(found) == 1 && found[0].ID == federation.FindingStatusOutbox) || len(found) > 1 {
					t.Errorf("findings = %v, want one about the outbox: %t", found, c.found)
				}
				for _, f := range found {
					if strings.Contains(f.Message.String(), filepath.Dir(file)) {
						t.Errorf("the finding contains the path: %s", f.Message)
					}
				}
			})
		})
	}
}

func holding(text string) func(string) error {
	return func(file string) error { return os.WriteFile(file, []byte(text), 0o600) }
}

// The newest letters are not overwritten, and it is known that more may be missing.
func TestLettersSurviveAFullFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "outbox")
	o := outbox{file}
	kept := content{Letters: []letter{{SHA: shaA, Context: web, State: status.Failure, By: "b000000"}}}
	if err := o.write(kept); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(file+".new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := o.write(content{}); err == nil {
		t.Fatal("the write succeeded")
	}
	letters, err := o.read()
	if err == nil || len(letters) != 1 || letters[0].SHA != shaA {
		t.Errorf("read %v, %v, want the letter and errIncomplete", letters, err)
	}
	if err := os.RemoveAll(file + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := o.write(kept); err != nil {
		t.Fatal(err)
	}
	if letters, err := o.read(); err != nil || len(letters) != 1 {
		t.Errorf("read %v, %v after there is space again", letters, err)
	}
}

// Without an outbox, older commits with our pending status are ended.
func TestOlderCommitsThatStayedPendingAreEndedWithoutAnOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older := []string{strings.Repeat("1", 40), strings.Repeat("2", 40), strings.Repeat("3", 40), strings.Repeat("4", 40)}
		f := &forge{posted: []status.Commit{
			want(older[0], status.Pending, "0/3 synced"), want(older[1], status.Success, "3/3 clusters"), want(older[2], status.Failure, "1/3 failed"),
			{SHA: older[3], Context: "ci/build", State: status.Pending},
		}}
		had := len(f.posted)
		p, _ := run(t, f, Options{Older: func(_ context.Context, _ string, _ int) ([]string, error) { return older, nil }})
		p.Begin(federation.Revision{SHA: shaB})
		p.Want(want(shaB, status.Success, "3/3 clusters"))
		advance(t, time.Hour)
		posted := f.posted[had:]
		if len(posted) != 2 || posted[0].SHA != shaB || posted[1].SHA != older[0] || posted[1].State != status.Failure ||
			!strings.HasPrefix(posted[1].Description, "superseded by b000000") {
			t.Errorf("posted %v, want the newest's status and the end of the pending one", posted)
		}
		if len(p.entries) != 1 {
			t.Errorf("%d statuses are remembered", len(p.entries))
		}
	})
}
