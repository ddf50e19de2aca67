package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Deployment is a deployment of a commit to an environment.
type Deployment struct {
	ID                     int64
	SHA, Environment, Task string
	Statuses               []DeploymentStatus // newest last
}

// DeploymentStatus is a status of a deployment.
type DeploymentStatus struct {
	ID                                         int64
	State, Description, LogURL, EnvironmentURL string
	At                                         time.Time
}

// Deployments returns the deployments of a commit to an environment, newest last.
func (s *Server) Deployments(sha, environment string) []Deployment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Deployment
	for _, d := range s.deployments {
		if d.SHA == sha && d.Environment == environment {
			one := *d
			one.Statuses = slices.Clone(d.Statuses)
			found = append(found, one)
		}
	}
	return found
}

func (s *Server) postDeployment(q *request) {
	var body struct {
		Ref              string    `json:"ref"`
		Task             *string   `json:"task"`
		AutoMerge        *bool     `json:"auto_merge"`
		RequiredContexts *[]string `json:"required_contexts"`
		Environment      *string   `json:"environment"`
		Description      *string   `json:"description"`
	}
	if !q.may("deployments") || !q.read(&body) {
		return
	}
	sha := body.Ref
	if !s.hasCommit(sha) {
		if sha = s.tip("refs/heads/" + body.Ref); sha == "" {
			q.refuse(http.StatusUnprocessableEntity, "No ref found for: "+body.Ref)
			return
		}
	}
	if (body.AutoMerge == nil || *body.AutoMerge) && s.behind(sha) {
		q.refuse(http.StatusConflict, "Conflict merging main into "+body.Ref)
		return
	}
	if words := s.unchecked(sha, body.RequiredContexts); words != "" {
		q.refuse(http.StatusConflict, "Conflict: "+words)
		return
	}
	if !s.creates(q) {
		return
	}
	d := &Deployment{ID: s.next(), SHA: sha, Environment: "production", Task: "deploy"}
	if body.Environment != nil {
		d.Environment = *body.Environment
	}
	if body.Task != nil {
		d.Task = *body.Task
	}
	s.deployments = append(s.deployments, d)
	write(q.w, http.StatusCreated, d.show())
}

// behind reports whether the default branch has commits that are missing in this one.
func (s *Server) behind(sha string) bool {
	_, err := s.git("merge-base", "--is-ancestor", "refs/heads/main", sha)
	return err != nil
}

// unchecked returns which of the statuses that a deployment waits for is missing. By
// default it waits for every status of the commit.
func (s *Server) unchecked(sha string, contexts *[]string) string {
	if contexts == nil {
		contexts = &[]string{}
		for _, one := range s.statuses {
			if one.SHA == sha {
				*contexts = append(*contexts, one.Context)
			}
		}
		for _, c := range s.checks {
			if c.SHA == sha {
				*contexts = append(*contexts, c.Name)
			}
		}
	}
	for _, context := range *contexts {
		if s.stateOf(sha, Required{Context: context}) != "success" {
			return "Commit status checks failed for " + context
		}
	}
	return ""
}

func (s *Server) listDeployments(q *request) {
	values := q.URL.Query()
	var found []*Deployment
	for _, d := range slices.Backward(s.deployments) {
		wants := func(name, has string) bool { return values.Get(name) == "" || values.Get(name) == has }
		if wants("sha", d.SHA) && wants("environment", d.Environment) && wants("task", d.Task) {
			found = append(found, d)
		}
	}
	list(q, found, func(d *Deployment) any { return d.show() }, plainly)
}

func (d *Deployment) show() object {
	return object{"id": d.ID, "sha": d.SHA, "ref": d.SHA, "task": d.Task, "environment": d.Environment, "payload": object{}}
}

// deployment returns the requested deployment, or answers that there is none.
func (s *Server) deployment(q *request) *Deployment {
	id, _ := strconv.ParseInt(q.PathValue("id"), 10, 64)
	at := slices.IndexFunc(s.deployments, func(d *Deployment) bool { return d.ID == id })
	if at < 0 {
		q.refuse(http.StatusNotFound, "Not Found")
		return nil
	}
	return s.deployments[at]
}

func (s *Server) postDeploymentStatus(q *request) {
	d := s.deployment(q)
	var body struct {
		State          string  `json:"state"`
		LogURL         *string `json:"log_url"`
		Description    *string `json:"description"`
		EnvironmentURL *string `json:"environment_url"`
		AutoInactive   *bool   `json:"auto_inactive"`
	}
	if d == nil || !q.may("deployments") || !q.read(&body) {
		return
	}
	one := DeploymentStatus{State: body.State, At: time.Now().UTC().Truncate(time.Second)}
	for to, from := range map[*string]*string{&one.LogURL: body.LogURL, &one.Description: body.Description, &one.EnvironmentURL: body.EnvironmentURL} {
		if from != nil {
			*to = *from
		}
	}
	switch {
	case !slices.Contains([]string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}, one.State):
		q.invalid("DeploymentStatus", "state", "state is not included in the list")
	case utf8.RuneCountInString(one.Description) > 140:
		q.invalid("DeploymentStatus", "description", "description is too long (maximum is 140 characters)")
	case one.LogURL != "" && !isWeb(one.LogURL), one.EnvironmentURL != "" && !isWeb(one.EnvironmentURL):
		q.invalid("DeploymentStatus", "environment_url", "environment_url must use http(s) scheme")
	case s.creates(q):
		one.ID = s.next()
		d.Statuses = append(d.Statuses, one)
		if one.State == "success" && (body.AutoInactive == nil || *body.AutoInactive) {
			s.endBefore(d)
		}
		write(q.w, http.StatusCreated, one.show())
	}
}

// endBefore makes earlier successes in the same environment inactive.
func (s *Server) endBefore(last *Deployment) {
	for _, d := range s.deployments {
		if d.ID < last.ID && d.Environment == last.Environment && len(d.Statuses) > 0 && d.Statuses[len(d.Statuses)-1].State == "success" {
			d.Statuses = append(d.Statuses, DeploymentStatus{ID: s.next(), State: "inactive", At: time.Now().UTC()})
		}
	}
}

func (s *Server) listDeploymentStatuses(q *request) {
	d := s.deployment(q)
	if d == nil {
		return
	}
	newest := slices.Clone(d.Statuses)
	slices.Reverse(newest)
	list(q, newest, func(one DeploymentStatus) any { return one.show() }, plainly)
}

func (one DeploymentStatus) show() object {
	return object{
		"id": one.ID, "url": fmt.Sprintf("https://github.example/deployments/statuses/%d", one.ID), "state": one.State,
		"description": one.Description, "log_url": one.LogURL, "environment_url": one.EnvironmentURL, "created_at": one.At,
	}
}
