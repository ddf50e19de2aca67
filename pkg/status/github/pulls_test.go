package github_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/github/githubtest"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

// branch creates a branch with a commit of its own.
func (f *forge) branch(name string) string {
	f.repo.InWork("checkout", "--quiet", "-B", name, f.second)
	sha := f.repo.Commit("on "+name, map[string]string{strings.ReplaceAll(name, "/", "-"): name})
	f.repo.Git("fetch", "--quiet", f.repo.Work, name)
	f.repo.Git("update-ref", "refs/heads/"+name, sha)
	return sha
}

func (f *forge) open(t *testing.T, branch string) int64 {
	t.Helper()
	number, err := f.OpenPull("Change "+branch, branch, "main")
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func mustOpen(t *testing.T, p status.Reviewer) ([]status.PullRequest, bool) {
	t.Helper()
	open, changed, err := p.Open(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	return open, changed
}

func TestOpenListsChanges(t *testing.T) {
	f := newForge(t)
	p := mustNew(t, f.config())
	one, two := f.branch("one"), f.branch("two")
	first, second := f.open(t, "one"), f.open(t, "two")
	want := []status.PullRequest{
		{Number: second, Title: "Change two", Head: two, Ref: "refs/pull/2/head", Base: "main"},
		{Number: first, Title: "Change one", Head: one, Ref: "refs/pull/1/head", Base: "main"},
	}
	if open, changed := mustOpen(t, p); !changed || !slices.Equal(statustest.Unversioned(t, open), want) {
		t.Errorf("Open = %+v, %t, want %+v", open, changed, want)
	}
	before := len(f.Requests())
	for range 3 {
		if open, changed := mustOpen(t, p); changed || open != nil {
			t.Errorf("Open where nothing changed = %+v, %t", open, changed)
		}
	}
	if n := len(f.Requests()) - before; n != 6 {
		t.Errorf("%d requests for 3 calls where nothing changed, want 2 each: %v", n, f.Requests()[before:])
	}
	for _, step := range []struct {
		name   string
		change func()
	}{
		{"a push", func() { f.branch("one"); f.repo.Git("update-ref", "refs/heads/one", f.branch("three")) }},
		{"a closing", func() { f.ClosePull(second) }},
		{"another", func() { f.open(t, "three") }},
	} {
		step.change()
		if _, changed := mustOpen(t, p); !changed {
			t.Errorf("Open after %s = nothing changed", step.name)
		}
	}
	open, _ := mustOpen(t, mustNew(t, f.config()))
	if len(open) != 2 || open[1].Number != first || open[1].Head == one {
		t.Errorf("Open after all = %+v", open)
	}
}

func TestOpenRecognisesForks(t *testing.T) {
	f := newForge(t)
	f.branch("theirs")
	if _, err := f.OpenForkPull("From a fork", "theirs", "main"); err != nil {
		t.Fatal(err)
	}
	if open, _ := mustOpen(t, mustNew(t, f.config())); len(open) != 1 || !open[0].Fork {
		t.Errorf("Open = %+v, want one from a fork", open)
	}
}

func TestOpenListsEveryPage(t *testing.T) {
	f := newForge(t)
	const many = 102 // more than a page
	f.branch("one")
	for range many {
		f.open(t, "one")
	}
	open, _ := mustOpen(t, mustNew(t, f.config()))
	if len(open) != many || open[0].Number != many || open[many-1].Number != 1 {
		t.Errorf("Open = %d pull requests", len(open))
	}
}

func TestTheHeadOfAQueueIsMergedWhenItsStatusSucceeds(t *testing.T) {
	f := newForge(t)
	app := f.AddApp(t, "fedsync", everything)
	f.Protect("main", githubtest.Protection{Required: []githubtest.Required{{Context: "fedsync/web/plan", App: app.ID}}, Queue: true})
	p := mustNew(t, f.asApp(app))
	head := f.branch("one")
	number := f.open(t, "one")
	post := func(sha string, state status.State) {
		t.Helper()
		if err := p.Post(t.Context(), status.Commit{SHA: sha, Context: "fedsync/web/plan", State: state, Description: "planned"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Enqueue(number); err == nil || !strings.Contains(err.Error(), "is expected") {
		t.Errorf("queued without its check: %v", err)
	}
	post(head, status.Success)
	if err := f.Merge(number); err == nil {
		t.Error("merged past the queue")
	}
	mustOpen(t, p)
	if err := f.Enqueue(number); err != nil {
		t.Fatal(err)
	}
	open, changed := mustOpen(t, p)
	if !changed || len(open) != 2 || !open[0].Queued || open[0].Number != number || open[0].Base != "main" || open[0].Head == head {
		t.Fatalf("Open = %+v, want the queue's head first", open)
	}
	if ref := f.repo.Git("rev-parse", open[0].Ref); strings.TrimSpace(ref) != open[0].Head {
		t.Errorf("%s is %s, want %s", open[0].Ref, ref, open[0].Head)
	}
	post(open[0].Head, status.Pending)
	if f.Pull(number).Merged {
		t.Fatal("merged while its check was pending")
	}
	post(open[0].Head, status.Success)
	if got := f.Pull(number); !got.Merged || strings.TrimSpace(f.repo.Git("rev-parse", "main")) != open[0].Head {
		t.Errorf("after its check: %+v, want it merged", got)
	}
	if open, changed := mustOpen(t, p); !changed || len(open) != 0 {
		t.Errorf("Open after the merge = %+v, %t", open, changed)
	}
}

func TestAFailureLeavesTheQueue(t *testing.T) {
	f := newForge(t)
	f.Protect("main", githubtest.Protection{Required: []githubtest.Required{{Context: "fedsync/web/plan"}}, Queue: true})
	p := mustNew(t, f.config())
	head := f.branch("one")
	number := f.open(t, "one")
	for _, sha := range []string{head, ""} {
		state := status.Success
		if sha == "" {
			if err := f.Enqueue(number); err != nil {
				t.Fatal(err)
			}
			sha, state = f.Pull(number).Queued, status.Failure
		}
		if err := p.Post(t.Context(), status.Commit{SHA: sha, Context: "fedsync/web/plan", State: state, Description: "planned"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Pull(number); got.Merged || got.Queued != "" || !got.Open {
		t.Errorf("after a failed check in the queue: %+v", got)
	}
}

func TestOneCommentOfOurs(t *testing.T) {
	const marker = "<!-- fedsync plan -->"
	f := newForge(t)
	f.branch("one")
	number := f.open(t, "one")
	f.AddComment(number, "mallory", marker+"\nnot ours")
	for name, p := range map[string]status.Reviewer{"fedsync-bot": mustNew(t, f.config()), "fedsync[bot]": mustNew(t, f.asApp(f.AddApp(t, "fedsync", everything)))} {
		comment := func(text string) {
			t.Helper()
			if err := p.Comment(t.Context(), number, marker, text); err != nil {
				t.Fatal(err)
			}
		}
		ours := func() []githubtest.Comment {
			return slices.DeleteFunc(f.Comments(number), func(c githubtest.Comment) bool { return c.Author != name })
		}
		comment("")
		if n := len(ours()); n != 0 {
			t.Errorf("%s: %d comments for an empty text", name, n)
		}
		comment("first")
		comment("first")
		comment("second")
		if got := ours(); len(got) != 1 || got[0].Body != marker+"\nsecond" || got[0].Edits != 1 {
			t.Errorf("%s: %+v, want one comment, edited once", name, got)
		}
		comment(strings.Repeat("ä", 70_000))
		if got := ours(); len(got) != 1 || !strings.HasPrefix(got[0].Body, marker+"\nää") {
			t.Errorf("%s: a long text made %d comments", name, len(got))
		}
		comment("")
		if got := ours(); len(got) != 0 {
			t.Errorf("%s: %+v is left of a cleared comment", name, got)
		}
	}
	if all := f.Comments(number); len(all) != 1 || all[0].Body != marker+"\nnot ours" || all[0].Edits != 0 {
		t.Errorf("comments of other accounts: %+v", all)
	}
	if err := mustNew(t, f.config()).Comment(t.Context(), 99, marker, "nobody's"); !errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("comment on a missing pull request = %v", err)
	}
}
