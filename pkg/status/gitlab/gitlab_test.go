package gitlab_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
	"github.com/fedsync/fedsync/pkg/status/gitlab"
	"github.com/fedsync/fedsync/pkg/status/gitlab/gitlabtest"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

const (
	shaA    = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	shaB    = "b000000000000000000000000000000000000000"
	project = "team/edge/web.site"
)

func TestProviderConforms(t *testing.T) {
	statustest.Run(t, func(t *testing.T) statustest.Fixture { return fixtureOf(t, newForge()) })
}

func fixtureOf(t *testing.T, f *gitlabtest.Forge) statustest.Fixture {
	t.Cleanup(func() { noFaults(t, f) })
	return statustest.Fixture{
		Forge: f,
		New: func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
			p, err := gitlab.New(gitlab.Config{Config: forgeclient.Config{Base: baseURL, Token: token}, Project: project, Ref: "refs/heads/main"})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Posted: func(_ *testing.T, sha, context string) []status.Commit { return posted(f, sha, context) },
		SHA:    shaA, OtherSHA: shaB, WordsStay: true,
		Fill: func() {
			f.JobLimit = 1
			f.AddJob(shaA, "main", "build")
		},
		Rename: func() string {
			f.Project, f.Old = "team/new/web", project
			return f.Project
		},
		Lacking: []statustest.Lack{
			{Words: "lacks the scope api", Take: func() { f.Scopes = []string{"read_api", "read_repository"} }},
			{Words: "lacks the role Developer in " + project, Take: func() { f.Scopes, f.Level = []string{"api"}, 20 }},
		},
	}
}

func posted(f *gitlabtest.Forge, sha, context string) []status.Commit {
	states := map[string]status.State{"pending": status.Pending, "running": status.Pending, "success": status.Success, "failed": status.Failure}
	var commits []status.Commit
	for _, j := range f.Jobs(sha, context) {
		commits = append(commits, status.Commit{
			SHA: sha, Context: context, State: states[j.Status], Description: j.Description, TargetURL: j.TargetURL, Time: j.CreatedAt,
		})
	}
	return commits
}

func noFaults(t *testing.T, f *gitlabtest.Forge) {
	t.Helper()
	for _, fault := range f.Faults() {
		t.Errorf("invalid request to GitLab: %s", fault)
	}
}

// serve starts a GitLab and returns a provider for it, for the branch main.
func serve(t *testing.T, f *gitlabtest.Forge) *gitlab.Provider {
	t.Helper()
	return serveRef(t, f, "main")
}

func serveRef(t *testing.T, f *gitlabtest.Forge, ref string) *gitlab.Provider {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	t.Cleanup(func() { noFaults(t, f) })
	p, err := gitlab.New(gitlab.Config{
		Config: forgeclient.Config{Base: server.URL, Token: func() (string, error) { return statustest.Token, nil }}, Project: project, Ref: ref,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newForge() *gitlabtest.Forge { return gitlabtest.New(statustest.Token, project, shaA, shaB) }

func commit(state status.State, words string) status.Commit {
	return status.Commit{SHA: shaA, Context: "fedsync/web", State: state, Description: words, TargetURL: "https://fedsync.example/"}
}

func mustPost(t *testing.T, p *gitlab.Provider, c status.Commit) {
	t.Helper()
	if err := p.Post(t.Context(), c); err != nil {
		t.Fatalf("Post(%s, %s) = %v", c.State, c.Description, err)
	}
}

func TestAPendingJobIsNotSetToPendingAgain(t *testing.T) {
	f := newForge()
	p := serve(t, f)
	for _, words := range []string{"0/3 synced", "1/3 synced", "2/3 synced", "2/3 synced"} {
		mustPost(t, p, commit(status.Pending, words))
	}
	jobs := f.Jobs(shaA, "fedsync/web")
	if len(jobs) != 1 || jobs[0].Status != "running" || jobs[0].Description != "1/3 synced" {
		t.Errorf("jobs = %+v, want a running one with its first description", jobs)
	}
	mustPost(t, p, commit(status.Success, "3/3 synced"))
	mustPost(t, p, commit(status.Success, "3/3 synced, again"))
	jobs = f.Jobs(shaA, "fedsync/web")
	if len(jobs) != 2 || jobs[0].Status != "success" || jobs[1].Description != "3/3 synced, again" {
		t.Errorf("jobs = %+v, want two that succeeded", jobs)
	}
	if pipelines := f.Pipelines(); len(pipelines) != 1 || pipelines[0].Source != "external" || pipelines[0].Ref != "main" {
		t.Errorf("pipelines = %+v, want an external one of main", pipelines)
	}
}

func TestAStatusGoesToTheNewestPipelineOfTheSyncedBranch(t *testing.T) {
	f := newForge()
	f.AddPipeline(shaA, "main", "push")
	want := f.AddPipeline(shaA, "main", "schedule")
	f.AddPipeline(shaA, "feature", "push")
	mustPost(t, serveRef(t, f, ""), commit(status.Success, "well")) // the default branch is main
	if jobs := f.Jobs(shaA, "fedsync/web"); len(jobs) != 1 || jobs[0].PipelineID != want.ID {
		t.Errorf("jobs = %+v, want one in pipeline %d", jobs, want.ID)
	}
}

func TestAMergeRequestsStatusGoesToItsPipelineWhileItIsOpen(t *testing.T) {
	f := newForge()
	pipeline := f.AddPipeline(shaA, "refs/merge-requests/5/head", "merge_request_event")
	merge := gitlabtest.MergeRequest{IID: 5, SHA: shaA, SourceBranch: "feature", TargetBranch: "main", HeadPipeline: &pipeline}
	f.SetMergeRequest(merge)
	f.SetMergeRequest(gitlabtest.MergeRequest{IID: 6, SHA: shaB, SourceBranch: "other", TargetBranch: "main"})
	p := serve(t, f)
	if _, _, err := p.Open(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	plan := commit(status.Success, "no port clashes")
	plan.Context = "fedsync/web/plan"
	mustPost(t, p, plan)
	if jobs := f.Jobs(shaA, plan.Context); len(jobs) != 1 || jobs[0].PipelineID != pipeline.ID || jobs[0].Ref != pipeline.Ref {
		t.Errorf("jobs = %+v, want one in the merge request's pipeline %+v", jobs, pipeline)
	}
	other := plan
	other.SHA = shaB
	mustPost(t, p, other)
	if jobs := f.Jobs(shaB, plan.Context); len(jobs) != 1 || jobs[0].Ref != "other" {
		t.Errorf("jobs = %+v, want one of the source branch, in a pipeline of its own", jobs)
	}
	merge.State = "merged" // without a merge commit, the head is main's
	f.SetMergeRequest(merge)
	mustPost(t, p, commit(status.Success, "13/13 clusters"))
	if jobs := f.Jobs(shaA, "fedsync/web"); len(jobs) != 1 || jobs[0].Ref != "main" {
		t.Errorf("jobs = %+v, want one of main", jobs)
	}
}

func TestAnAccountWithoutTheRoleIsUnauthorized(t *testing.T) {
	f := newForge()
	f.Level = 20
	if err := serve(t, f).Post(t.Context(), commit(status.Success, "well")); !errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Post as a Reporter = %v, want ErrUnauthorized", err)
	}
}

func TestOpenListsChanges(t *testing.T) {
	f := newForge()
	f.SetMergeRequest(gitlabtest.MergeRequest{IID: 1, Title: "Closed", State: "closed", SHA: shaB, SourceBranch: "a", TargetBranch: "main"})
	f.SetMergeRequest(gitlabtest.MergeRequest{IID: 2, Title: "Elsewhere", SHA: shaB, SourceBranch: "b", TargetBranch: "release"})
	f.SetMergeRequest(gitlabtest.MergeRequest{IID: 3, Title: "One", SHA: shaA, SourceBranch: "c", TargetBranch: "main"})
	f.SetMergeRequest(gitlabtest.MergeRequest{IID: 4, Title: "Two", SHA: shaB, SourceBranch: "d", TargetBranch: "main", SourceProjectID: 99})
	p := serve(t, f)
	want := []status.PullRequest{
		{Number: 4, Title: "Two", Head: shaB, Ref: "refs/merge-requests/4/head", Base: "main", Fork: true},
		{Number: 3, Title: "One", Head: shaA, Ref: "refs/merge-requests/3/head", Base: "main"},
	}
	open, changed, err := p.Open(t.Context(), "main")
	if err != nil || !changed || !slices.Equal(statustest.Unversioned(t, open), want) {
		t.Errorf("Open = %+v, %v, %v, want %+v", open, changed, err, want)
	}
	f.Asked()
	if open, changed, err = p.Open(t.Context(), "main"); err != nil || changed || open != nil {
		t.Errorf("Open where nothing changed = %+v, %v, %v", open, changed, err)
	}
	if asked := f.Asked(); len(asked) != 1 || !strings.HasSuffix(asked[0], " 304") {
		t.Errorf("where nothing changed, the requests were %v, want one conditional request", asked)
	}
	f.SetMergeRequest(gitlabtest.MergeRequest{IID: 3, State: "merged", SHA: shaA, SourceBranch: "c", TargetBranch: "main"})
	if open, changed, err = p.Open(t.Context(), "main"); err != nil || !changed || !slices.Equal(statustest.Unversioned(t, open), want[:1]) {
		t.Errorf("Open after a merge = %+v, %v, %v, want %+v", open, changed, err, want[:1])
	}
}

func TestOpenListsEveryPage(t *testing.T) {
	f := newForge()
	const many = 230
	for i := range int64(many) {
		f.SetMergeRequest(gitlabtest.MergeRequest{IID: i + 1, SHA: shaA, SourceBranch: "a", TargetBranch: "main"})
	}
	p := serve(t, f)
	if open, _, err := p.Open(t.Context(), "main"); err != nil || len(open) != many || open[0].Number != many {
		t.Errorf("Open = %d, %v, want %d, the newest first", len(open), err, many)
	}
	// A merge request on a late page is closed.
	f.SetMergeRequest(gitlabtest.MergeRequest{IID: 3, State: "closed", SHA: shaA, SourceBranch: "a", TargetBranch: "main"})
	if open, changed, err := p.Open(t.Context(), "main"); err != nil || !changed || len(open) != many-1 {
		t.Errorf("Open after one was closed = %d, %v, %v, want %d", len(open), changed, err, many-1)
	}
}

func TestThereIsOneNoteOfOurs(t *testing.T) {
	const marker = "<!-- fedsync/web/plan -->"
	f := newForge()
	f.SetMergeRequest(gitlabtest.MergeRequest{IID: 5, SHA: shaA, SourceBranch: "a", TargetBranch: "main"})
	f.AddNote(5, 99, marker+"\nby somebody else")
	for range 120 { // more than a page
		f.AddNote(5, f.User, "another note of our account")
	}
	p := serve(t, f)
	notes := func() []string {
		return slices.DeleteFunc(f.Notes(5, f.User), func(s string) bool { return !strings.HasPrefix(s, marker) })
	}
	for _, text := range []string{"", "first", "first", "second", "", "", "third"} {
		if err := p.Comment(t.Context(), 5, marker, text); err != nil {
			t.Fatalf("Comment(%q) = %v", text, err)
		}
		var want []string
		if text != "" {
			want = []string{marker + "\n" + text}
		}
		if got := notes(); !slices.Equal(got, want) {
			t.Errorf("after Comment(%q): %q, want %q", text, got, want)
		}
	}
	f.Asked()
	if err := p.Comment(t.Context(), 5, marker, "third"); err != nil {
		t.Fatal(err)
	}
	for _, asked := range f.Asked() {
		if !strings.HasPrefix(asked, "GET ") {
			t.Errorf("an unchanged note: %s", asked)
		}
	}
	if got := f.Notes(5, 99); len(got) != 1 || got[0] != marker+"\nby somebody else" {
		t.Errorf("another account's note is %q", got)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	token := func() (string, error) { return "t", nil }
	for want, c := range map[string]gitlab.Config{
		"base URL must be like":         {Config: forgeclient.Config{Base: "gitlab.com", Token: token}, Project: project},
		"needs the project's full path": {Config: forgeclient.Config{Base: "https://gitlab.com", Token: token}, Project: "web"},
		"needs a token":                 {Config: forgeclient.Config{Base: "https://gitlab.com"}, Project: project},
	} {
		if _, err := gitlab.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want %q", c, err, want)
		}
	}
}
