package github

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
)

const (
	// annotationsAtOnce is how many annotations GitHub accepts in one request, and
	// maxAnnotations bounds the requests for one check.
	annotationsAtOnce = 50
	maxAnnotations    = 200

	statusRunning   = "in_progress"
	statusCompleted = "completed"
)

// Checks posts check runs as a GitHub App, and no commit statuses: if a name is required,
// both a check and a status of that name must succeed. It is safe for concurrent use.
type Checks struct {
	repository
	app *app
}

var (
	_ status.Reviewer = (*Checks)(nil)
	_ status.Checker  = (*Checks)(nil)
	_ status.Prober   = (*Checks)(nil)
)

// Post posts the status as a check run without details.
func (p *Checks) Post(ctx context.Context, c status.Commit) error {
	return p.PostCheck(ctx, c, status.Details{})
}

// PostCheck posts the status as a check run. It updates the existing run if possible, so
// that repeating it changes nothing. Annotations are sent only with the outcome, because
// GitHub can only add to them.
func (p *Checks) PostCheck(ctx context.Context, c status.Commit, details status.Details) error {
	if err := p.post(ctx, c, details); err != nil {
		return fmt.Errorf("post check to github: %w", err)
	}
	return nil
}

func (p *Checks) post(ctx context.Context, c status.Commit, details status.Details) error {
	api, err := p.proof.sdk(ctx)
	if err != nil {
		return err
	}
	runs, resp, err := p.runs(ctx, api, c.SHA, c.Context)
	if err != nil {
		return p.ofCommit(ctx, resp, err, c.SHA)
	}
	w := p.newWriting(c, details)
	var run *sdk.CheckRun
	if len(runs) > 0 && w.continues(runs[0]) {
		run = runs[0]
		w.skip(run.GetOutput().GetAnnotationsCount())
		run, resp, err = api.Checks.UpdateCheckRun(ctx, p.owner, p.name, run.GetID(), w.update())
	} else {
		run, resp, err = api.Checks.CreateCheckRun(ctx, p.owner, p.name, w.create())
	}
	for err == nil && len(w.rest) > 0 {
		_, resp, err = api.Checks.UpdateCheckRun(ctx, p.owner, p.name, run.GetID(), w.update())
	}
	if err != nil {
		return p.ofCommit(ctx, resp, err, c.SHA)
	}
	return nil
}

// List returns the App's check runs of that name as statuses, newest first.
func (p *Checks) List(ctx context.Context, sha, name string) ([]status.Commit, error) {
	commits, err := p.list(ctx, sha, name)
	if err != nil {
		return nil, fmt.Errorf("list checks of github: %w", err)
	}
	return commits, nil
}

func (p *Checks) list(ctx context.Context, sha, name string) ([]status.Commit, error) {
	api, err := p.proof.sdk(ctx)
	if err != nil {
		return nil, err
	}
	runs, resp, err := p.runs(ctx, api, sha, name)
	if err != nil {
		return nil, p.unlessUnknown(ctx, api, resp, err, sha)
	}
	var commits []status.Commit
	for _, run := range runs {
		commits = append(commits, status.Commit{
			SHA: sha, Context: name, State: stateOfRun(run),
			Description: p.client.Secrets.Clean(run.GetOutput().GetTitle()), TargetURL: p.client.Secrets.Clean(run.GetDetailsURL()),
			Time: latest(run.GetStartedAt().Time, run.GetCompletedAt().Time),
		})
	}
	return commits, nil
}

// runs lists the App's check runs of a name, newest first.
func (p *Checks) runs(ctx context.Context, api *sdk.Client, sha, name string) ([]*sdk.CheckRun, *sdk.Response, error) {
	var all []*sdk.CheckRun
	for page := 1; page <= maxPages; page++ {
		found, resp, err := api.Checks.ListCheckRunsForRef(ctx, p.owner, p.name, sha, &sdk.ListCheckRunsOptions{
			CheckName: &name, AppID: &p.app.id, Filter: new("all"), ListOptions: sdk.ListOptions{Page: page, PerPage: pageSize},
		})
		if err != nil {
			return nil, resp, err
		}
		for _, run := range found.CheckRuns {
			if run.GetName() == name && run.GetApp().GetID() == p.app.id {
				all = append(all, run)
			}
		}
		if resp.NextPage == 0 || len(found.CheckRuns) == 0 {
			break
		}
	}
	slices.SortFunc(all, func(a, b *sdk.CheckRun) int { return cmp.Compare(b.GetID(), a.GetID()) })
	return all, nil, nil
}

// writing is a check run to be sent to GitHub.
type writing struct {
	sha, name  string
	url        *string
	status     string
	conclusion *string // nil while it runs
	title      string
	summary    string
	rest       []*sdk.CheckRunAnnotation // not sent yet
}

// newWriting returns the check run of a status.
func (p *Checks) newWriting(c status.Commit, details status.Details) *writing {
	w := &writing{
		sha: c.SHA, name: c.Context, url: orNone(c.TargetURL),
		title: p.client.Description(c.Description, limit), status: statusRunning,
	}
	w.summary = cmp.Or(p.client.Secrets.Clean(details.Summary), w.title)
	switch c.State {
	case status.Pending:
		return w
	case status.Success:
		w.conclusion = new("success")
	case status.Failure:
		w.conclusion = new("failure")
	}
	w.status = statusCompleted
	for _, a := range details.Annotations[:min(len(details.Annotations), maxAnnotations)] {
		w.rest = append(w.rest, &sdk.CheckRunAnnotation{
			Path: new(a.File), StartLine: new(a.Line), EndLine: new(a.Line), AnnotationLevel: new(levelOf(a.Level)),
			Title: orNone(p.client.Secrets.Clean(a.Title)), Message: new(p.client.Secrets.Clean(a.Message)),
		})
	}
	return w
}

// continues reports whether an existing run can become the wanted one: the conclusion of
// a completed run is final.
func (w *writing) continues(run *sdk.CheckRun) bool {
	return run.GetStatus() != statusCompleted || w.conclusion != nil && run.GetConclusion() == *w.conclusion
}

// skip drops the first n annotations, which an earlier try has sent.
func (w *writing) skip(n int) { w.rest = w.rest[min(n, len(w.rest)):] }

// output returns the next annotations and removes them from the rest.
func (w *writing) output() *sdk.CheckRunOutput {
	next := w.rest[:min(annotationsAtOnce, len(w.rest))]
	w.rest = w.rest[len(next):]
	return &sdk.CheckRunOutput{Title: &w.title, Summary: &w.summary, Annotations: next}
}

func (w *writing) create() sdk.CreateCheckRunOptions {
	return sdk.CreateCheckRunOptions{
		Name: w.name, HeadSHA: w.sha, DetailsURL: w.url, Status: &w.status, Conclusion: w.conclusion, Output: w.output(),
	}
}

func (w *writing) update() sdk.UpdateCheckRunOptions {
	return sdk.UpdateCheckRunOptions{
		Name: w.name, DetailsURL: w.url, Status: &w.status, Conclusion: w.conclusion, Output: w.output(),
	}
}

func levelOf(l status.Level) string {
	switch l {
	case status.LevelError:
		return "failure"
	case status.LevelWarning:
		return "warning"
	case status.LevelNote:
		return "notice"
	}
	return "notice"
}

// stateOfRun returns the state of a run. A conclusion that we never post means that a
// user ended it.
func stateOfRun(run *sdk.CheckRun) status.State {
	switch {
	case run.GetStatus() != statusCompleted:
		return status.Pending
	case run.GetConclusion() == "success":
		return status.Success
	}
	return status.Failure
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
