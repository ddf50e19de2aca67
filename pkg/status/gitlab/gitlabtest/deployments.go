package gitlabtest

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/fedsync/fedsync/pkg/status/forgetest"
)

// Deployment is a deployment of a commit to an environment.
type Deployment struct {
	ID          int64     `json:"id"`
	SHA         string    `json:"sha"`
	Ref         string    `json:"ref"`
	Tag         bool      `json:"tag"`
	Status      string    `json:"status"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	Environment struct {
		ID          int64  `json:"id"`
		Name        string `json:"name"`
		ExternalURL string `json:"external_url"`
	} `json:"environment"`
}

// Deployments returns the deployments of a commit to an environment, oldest first, with
// the current URL of the environment.
func (f *Forge) Deployments(sha, environment string) []Deployment {
	f.Lock()
	defer f.Unlock()
	var found []Deployment
	for _, d := range f.deploys {
		if d.SHA == sha && d.Environment.Name == environment {
			found = append(found, f.shownDeployment(d))
		}
	}
	return found
}

func (f *Forge) shownDeployment(d *Deployment) Deployment {
	shown := *d
	shown.Environment.ExternalURL = f.urls[d.Environment.Name]
	return shown
}

func (f *Forge) listDeployments(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	found := []Deployment{}
	for _, d := range f.deploys {
		if !query.Has("environment") || query.Get("environment") == d.Environment.Name {
			found = append(found, f.shownDeployment(d))
		}
	}
	if query.Get("sort") == "desc" {
		slices.Reverse(found)
	}
	page(w, r, found)
}

// deploymentStates are the states that the API accepts.
var deploymentStates = []string{"running", "success", "failed", "canceled"}

func (f *Forge) createDeployment(w http.ResponseWriter, r *http.Request) {
	body, ok := read[struct {
		Environment string `json:"environment"`
		SHA         string `json:"sha"`
		Ref         string `json:"ref"`
		Tag         *bool  `json:"tag"`
		Status      string `json:"status"`
	}](f, w, r)
	switch {
	case !ok:
	case body.Environment == "" || body.SHA == "" || body.Ref == "" || body.Tag == nil || !slices.Contains(deploymentStates, body.Status):
		f.Fault("a deployment lacks something: %+v", body)
		forgetest.WriteJSON(w, http.StatusBadRequest, map[string]any{"error": "environment, sha, ref, tag, status are required"})
	case f.Level < 30:
		forgetest.WriteJSON(w, http.StatusForbidden, forgetest.Message("403 Forbidden"))
	case !slices.Contains(f.Commits, body.SHA):
		forgetest.WriteJSON(w, http.StatusBadRequest, map[string]any{"message": map[string]any{"sha": []string{"The commit does not exist"}}})
	case len(body.Environment) > 255:
		forgetest.WriteJSON(w, http.StatusBadRequest, map[string]any{"message": map[string]any{"name": []string{"is too long (maximum is 255 characters)"}}})
	default:
		now := time.Now()
		d := &Deployment{
			ID: int64(9000 + len(f.deploys)), SHA: body.SHA, Ref: body.Ref, Tag: *body.Tag, Status: body.Status, CreatedAt: now, UpdatedAt: now,
		}
		if f.Approvals && d.Status == "running" {
			d.Status = "blocked"
		}
		d.Environment.ID, d.Environment.Name = environmentID(body.Environment), body.Environment
		f.deploys = append(f.deploys, d)
		forgetest.WriteJSON(w, http.StatusCreated, f.shownDeployment(d))
	}
}

func environmentID(name string) int64 {
	h := fnv.New32()
	_, _ = h.Write([]byte(name)) // it never fails
	return int64(h.Sum32())
}

func (f *Forge) updateDeployment(w http.ResponseWriter, r *http.Request) {
	body, ok := read[struct {
		Status string `json:"status"`
	}](f, w, r)
	if !ok {
		return
	}
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	at := slices.IndexFunc(f.deploys, func(d *Deployment) bool { return d.ID == id })
	switch {
	case at < 0:
		forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("404 Not found"))
	case f.Level < 30:
		forgetest.WriteJSON(w, http.StatusForbidden, forgetest.Message("403 Forbidden"))
	case !slices.Contains(deploymentStates, body.Status):
		forgetest.WriteJSON(w, http.StatusBadRequest, map[string]any{"error": "status does not have a valid value"})
	case body.Status == f.deploys[at].Status, body.Status == "running":
		forgetest.WriteJSON(w, http.StatusBadRequest, map[string]any{"message": map[string]any{"status": []string{fmt.Sprintf("cannot transition from %q", f.deploys[at].Status)}}})
	default:
		f.deploys[at].Status, f.deploys[at].UpdatedAt = body.Status, time.Now()
		forgetest.WriteJSON(w, http.StatusOK, f.shownDeployment(f.deploys[at]))
	}
}

func (f *Forge) editEnvironment(w http.ResponseWriter, r *http.Request) {
	body, ok := read[struct {
		ExternalURL string `json:"external_url"`
	}](f, w, r)
	if !ok {
		return
	}
	link, err := url.Parse(body.ExternalURL)
	at := slices.IndexFunc(f.deploys, func(d *Deployment) bool { return fmt.Sprint(d.Environment.ID) == r.PathValue("id") })
	switch {
	case at < 0:
		forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("404 Environment Not Found"))
	case f.Level < 30:
		forgetest.WriteJSON(w, http.StatusForbidden, forgetest.Message("403 Forbidden"))
	case err != nil || link.Host == "" || len(body.ExternalURL) > 255:
		forgetest.WriteJSON(w, http.StatusBadRequest, map[string]any{"message": map[string]any{"external_url": []string{"is not a valid URL"}}})
	default:
		f.urls[f.deploys[at].Environment.Name] = body.ExternalURL
		forgetest.WriteJSON(w, http.StatusOK, f.shownDeployment(f.deploys[at]).Environment)
	}
}
