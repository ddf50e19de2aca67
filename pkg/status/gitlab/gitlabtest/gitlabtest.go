// Package gitlabtest is a stand-in for GitLab: it implements the commit statuses and
// merge requests of GitLab's API, and refuses what GitLab refuses.
//
// A status is a job in a pipeline, and changes state only as GitLab's state machine
// allows. Faults lists requests in a form that GitLab does not accept.
package gitlabtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/status/forgetest"
)

// Job is a commit status. The newest of one name in one pipeline counts.
type Job struct {
	ID          int64      `json:"id"`
	SHA         string     `json:"sha"`
	Ref         string     `json:"ref"`
	Status      string     `json:"status"`
	Name        string     `json:"name"`
	TargetURL   string     `json:"target_url"`
	Description string     `json:"description"`
	CreatedAt   time.Time  `json:"created_at"`
	FinishedAt  *time.Time `json:"finished_at"`
	PipelineID  int64      `json:"pipeline_id"`
}

// Pipeline is a pipeline of the project.
type Pipeline struct {
	ID     int64  `json:"id"`
	SHA    string `json:"sha"`
	Ref    string `json:"ref"`
	Source string `json:"source"`
}

// MergeRequest is a merge request into a branch of the project.
type MergeRequest struct {
	IID             int64     `json:"iid"`
	Title           string    `json:"title"`
	State           string    `json:"state"` // "opened" unless set
	SHA             string    `json:"sha"`
	SourceBranch    string    `json:"source_branch"`
	TargetBranch    string    `json:"target_branch"`
	SourceProjectID int64     `json:"source_project_id"`
	TargetProjectID int64     `json:"target_project_id"`
	UpdatedAt       time.Time `json:"updated_at"`
	HeadPipeline    *Pipeline `json:"head_pipeline,omitempty"`
}

// Note is a comment on a merge request.
type Note struct {
	ID     int64  `json:"id"`
	Body   string `json:"body"`
	System bool   `json:"system"`
	Author struct {
		ID int64 `json:"id"`
	} `json:"author"`
	merge int64
}

// Forge is a GitLab with one project. Its fields are set before the first request.
type Forge struct {
	Token   string // the accepted token
	Project string // full path: "team/edge/web"
	Commits []string
	// JobLimit is how many jobs a pipeline may have; 0 is no limit.
	JobLimit int
	// Old is an earlier path of the project, which redirects to it.
	Old string
	// Scopes are those of the token, and Level is the role of its account in the
	// project: 30 is Developer.
	Scopes []string
	Level  int
	// Approvals makes deployments wait for an approval.
	Approvals bool
	// User is the number of the token's account.
	User int64

	forgetest.StandIn // its mutex protects what follows
	jobs              []*Job
	pipelines         []*Pipeline
	merges            []*MergeRequest
	notes             []*Note
	deploys           []*Deployment
	urls              map[string]string // of environments, by name
}

const (
	projectID = 42
	branch    = "main"
)

// New returns a GitLab that knows a project and its commits.
func New(token, project string, commits ...string) *Forge {
	return &Forge{Token: token, Project: project, Commits: commits, Scopes: []string{"api"}, Level: 30, User: 7, urls: map[string]string{}}
}

// Jobs returns the jobs of a commit under a name, oldest first.
func (f *Forge) Jobs(sha, name string) []Job {
	f.Lock()
	defer f.Unlock()
	var found []Job
	for _, j := range f.jobs {
		if j.SHA == sha && j.Name == name {
			found = append(found, *j)
		}
	}
	return found
}

// Pipelines returns all pipelines, oldest first.
func (f *Forge) Pipelines() []Pipeline {
	f.Lock()
	defer f.Unlock()
	var found []Pipeline
	for _, p := range f.pipelines {
		found = append(found, *p)
	}
	return found
}

// AddPipeline starts a pipeline, as a push to a project with a .gitlab-ci.yml does.
func (f *Forge) AddPipeline(sha, ref, source string) Pipeline {
	f.Lock()
	defer f.Unlock()
	return *f.addPipeline(sha, ref, source)
}

func (f *Forge) addPipeline(sha, ref, source string) *Pipeline {
	p := &Pipeline{ID: int64(1000 + len(f.pipelines)), SHA: sha, Ref: ref, Source: source}
	f.pipelines = append(f.pipelines, p)
	return p
}

// AddJob adds another client's job to the newest pipeline of a commit on a branch.
func (f *Forge) AddJob(sha, ref, name string) {
	f.Lock()
	defer f.Unlock()
	want := wanted{State: "success", Ref: ref, Name: name}
	f.addJob(f.pipelineOf(sha, want), want)
}

// SetMergeRequest adds or replaces a merge request.
func (f *Forge) SetMergeRequest(m MergeRequest) {
	f.Lock()
	defer f.Unlock()
	if m.State == "" {
		m.State = "opened"
	}
	if m.TargetProjectID == 0 {
		m.TargetProjectID = projectID
	}
	if m.SourceProjectID == 0 {
		m.SourceProjectID = projectID
	}
	m.UpdatedAt = time.Now()
	f.merges = slices.DeleteFunc(f.merges, func(o *MergeRequest) bool { return o.IID == m.IID })
	f.merges = append(f.merges, &m)
}

// AddNote adds an author's comment to a merge request.
func (f *Forge) AddNote(merge, author int64, body string) {
	f.Lock()
	defer f.Unlock()
	f.addNote(merge, author, body)
}

func (f *Forge) addNote(merge, author int64, body string) *Note {
	n := &Note{ID: int64(500 + len(f.notes)), Body: body, merge: merge}
	n.Author.ID = author
	f.notes = append(f.notes, n)
	return n
}

// Notes returns an author's comments on a merge request, oldest first.
func (f *Forge) Notes(merge, author int64) []string {
	f.Lock()
	defer f.Unlock()
	var found []string
	for _, n := range f.notes {
		if n.merge == merge && n.Author.ID == author {
			found = append(found, n.Body)
		}
	}
	return found
}

// ServeHTTP answers as GitLab does.
func (f *Forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.Answer(w, r, "/api/v4", func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("Private-Token")
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			token = bearer
		}
		if token != f.Token {
			forgetest.WriteJSON(w, http.StatusUnauthorized, forgetest.Message("401 Unauthorized"))
			return
		}
		f.routes().ServeHTTP(w, r)
	})
}

func (f *Forge) routes() http.Handler {
	mux := http.NewServeMux()
	in := func(pattern string, serve http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v4/projects/{project}"+path, f.inProject(serve))
	}
	mux.HandleFunc("GET /api/v4/user", func(w http.ResponseWriter, _ *http.Request) {
		forgetest.WriteJSON(w, http.StatusOK, map[string]any{"id": f.User, "username": "fedsync"})
	})
	mux.HandleFunc("GET /api/v4/personal_access_tokens/self", func(w http.ResponseWriter, _ *http.Request) {
		forgetest.WriteJSON(w, http.StatusOK, map[string]any{"id": 1, "scopes": f.Scopes, "active": true, "user_id": f.User})
	})
	in("GET ", f.project)
	in("GET /repository/commits/{sha}", f.commit)
	in("GET /repository/commits/{sha}/statuses", f.listStatuses)
	in("POST /statuses/{sha}", f.setStatus)
	in("GET /deployments", f.listDeployments)
	in("POST /deployments", f.createDeployment)
	in("PUT /deployments/{id}", f.updateDeployment)
	in("PUT /environments/{id}", f.editEnvironment)
	in("GET /merge_requests", f.listMerges)
	in("GET /merge_requests/{iid}", f.getMerge)
	in("GET /merge_requests/{iid}/notes", f.listNotes)
	in("POST /merge_requests/{iid}/notes", f.createNote)
	in("PUT /merge_requests/{iid}/notes/{note}", f.updateNote)
	in("DELETE /merge_requests/{iid}/notes/{note}", f.deleteNote)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		f.Fault("%s %s: there is no such endpoint", r.Method, r.URL.Path)
		forgetest.WriteJSON(w, http.StatusNotFound, map[string]any{"error": "404 Not Found"})
	})
	return mux
}

// inProject finds the project, by its path or its number.
func (f *Forge) inProject(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("project") {
		case f.Project, fmt.Sprint(projectID):
			serve(w, r)
		case f.Old:
			if f.Old == "" || r.Method != http.MethodGet {
				forgetest.WriteJSON(w, http.StatusMethodNotAllowed, forgetest.Message("Non GET methods are not allowed for moved projects"))
				return
			}
			http.Redirect(w, r, fmt.Sprintf("http://%s/api/v4/projects/%d", r.Host, projectID), http.StatusMovedPermanently)
		default:
			forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("404 Project Not Found"))
		}
	}
}

func (f *Forge) project(w http.ResponseWriter, _ *http.Request) {
	forgetest.WriteJSON(w, http.StatusOK, map[string]any{
		"id": projectID, "path_with_namespace": f.Project, "default_branch": branch,
		"permissions": map[string]any{"project_access": map[string]any{"access_level": f.Level}},
	})
}

func (f *Forge) commit(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(f.Commits, r.PathValue("sha")) {
		forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("404 Commit Not Found"))
		return
	}
	forgetest.WriteJSON(w, http.StatusOK, map[string]any{"id": r.PathValue("sha")})
}
