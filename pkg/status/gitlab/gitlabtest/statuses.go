package gitlabtest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fedsync/fedsync/pkg/status/forgetest"
)

// wanted is the body of a request that sets a status.
type wanted struct {
	State       string `json:"state"`
	Ref         string `json:"ref"`
	Name        string `json:"name"`
	TargetURL   string `json:"target_url"`
	Description string `json:"description"`
	PipelineID  int64  `json:"pipeline_id"`
}

func (f *Forge) setStatus(w http.ResponseWriter, r *http.Request) {
	want, ok := read[wanted](f, w, r)
	if !ok {
		return
	}
	sha := r.PathValue("sha")
	link, err := url.Parse(want.TargetURL)
	switch {
	case f.Level < 30:
		forgetest.WriteJSON(w, http.StatusForbidden, forgetest.Message("403 Forbidden"))
		return
	case !slices.Contains(f.Commits, sha):
		forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("404 Commit Not Found"))
		return
	case !slices.Contains([]string{"pending", "running", "success", "failed", "canceled", "skipped"}, want.State):
		forgetest.WriteJSON(w, http.StatusBadRequest, map[string]any{"error": "state does not have a valid value"})
		return
	case want.Ref == "":
		f.Fault("a status of %s has no ref", sha) // GitLab would guess
	case utf8.RuneCountInString(want.Description) > 255:
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("description is too long (maximum is 255 characters)"))
		return
	case utf8.RuneCountInString(want.Name) > 255:
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("name is too long (maximum is 255 characters)"))
		return
	case want.TargetURL != "" && (err != nil || link.Host == "" || len(want.TargetURL) > 255):
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("target_url is blocked: Only allowed schemes are http, https"))
		return
	}
	f.apply(w, sha, want)
}

// apply updates the job that has not ended, or creates one.
func (f *Forge) apply(w http.ResponseWriter, sha string, want wanted) {
	pipeline := f.pipelineOf(sha, want)
	at := slices.IndexFunc(f.jobs, func(j *Job) bool {
		return j.PipelineID == pipeline.ID && j.Name == want.Name && j.Ref == want.Ref && (j.Status == "pending" || j.Status == "running")
	})
	if at >= 0 {
		job := f.jobs[at]
		if event, ok := move(job.Status, want.State); !ok {
			forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message(fmt.Sprintf(
				`Cannot transition status via :%s from :%s (Reason(s): Status cannot transition via "%s")`, event, job.Status, event)))
			return
		}
		job.set(want)
		forgetest.WriteJSON(w, http.StatusCreated, job)
		return
	}
	if f.JobLimit > 0 && f.jobsOf(pipeline.ID) >= f.JobLimit {
		forgetest.WriteJSON(w, http.StatusUnprocessableEntity, forgetest.Message(fmt.Sprintf("The number of jobs has exceeded the limit of %d", f.JobLimit)))
		return
	}
	forgetest.WriteJSON(w, http.StatusCreated, f.addJob(pipeline, want))
}

func (f *Forge) addJob(pipeline *Pipeline, want wanted) *Job {
	job := &Job{ID: int64(1 + len(f.jobs)), SHA: pipeline.SHA, Ref: want.Ref, Name: want.Name, PipelineID: pipeline.ID, CreatedAt: time.Now()}
	job.set(want)
	f.jobs = append(f.jobs, job)
	return job
}

// pipelineOf returns the newest matching pipeline, or creates one.
func (f *Forge) pipelineOf(sha string, want wanted) *Pipeline {
	for _, p := range slices.Backward(f.pipelines) {
		if p.SHA == sha && p.Ref == want.Ref && (want.PipelineID == 0 || want.PipelineID == p.ID) {
			return p
		}
	}
	if want.PipelineID != 0 {
		f.Fault("pipeline %d is not one of %s on %s", want.PipelineID, sha, want.Ref)
	}
	return f.addPipeline(sha, want.Ref, "external")
}

func (f *Forge) jobsOf(pipeline int64) (n int) {
	for _, j := range f.jobs {
		if j.PipelineID == pipeline {
			n++
		}
	}
	return n
}

// move returns the event that leads to a state, and whether it is allowed.
func move(from, to string) (event string, ok bool) {
	switch to {
	case "pending":
		return "enqueue", false // only from a job that was not started
	case "running":
		return "run", from == "pending"
	case "success":
		return "success", true
	case "failed":
		return "drop", true
	case "canceled":
		return "cancel", true
	}
	return "skip", from == "pending"
}

// set sets a job's state and description.
func (j *Job) set(want wanted) {
	j.Status = want.State
	if want.Description != "" {
		j.Description = want.Description
	}
	if want.TargetURL != "" {
		j.TargetURL = want.TargetURL
	}
	if want.State != "pending" && want.State != "running" {
		now := time.Now()
		j.FinishedAt = &now
	}
}

func (f *Forge) listStatuses(w http.ResponseWriter, r *http.Request) {
	sha, query := r.PathValue("sha"), r.URL.Query()
	if !slices.Contains(f.Commits, sha) {
		forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("404 Commit Not Found"))
		return
	}
	found := []*Job{}
	latest := map[string]int{} // by name and pipeline
	for _, j := range f.jobs {
		if j.SHA != sha || query.Has("name") && j.Name != query.Get("name") || query.Has("ref") && j.Ref != query.Get("ref") {
			continue
		}
		key := fmt.Sprint(j.PipelineID, j.Name)
		if at, ok := latest[key]; ok && query.Get("all") != "true" {
			found[at] = j
			continue
		}
		latest[key] = len(found)
		found = append(found, j)
	}
	page(w, r, found)
}

// read reads a request's body, and refuses an invalid one.
func read[T any](f *Forge, w http.ResponseWriter, r *http.Request) (T, bool) {
	body, ok := forgetest.Read[T](&f.StandIn, r)
	if !ok {
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("400 Bad request"))
	}
	return body, ok
}

// page answers with a page of a list: 20 items by default, at most 100.
func page[T any](w http.ResponseWriter, r *http.Request, all []T) {
	part, _, _, next := forgetest.Page(r, all, "per_page", 20, 100)
	if next > 0 {
		w.Header().Set("X-Next-Page", strconv.Itoa(next))
	}
	body, _ := json.Marshal(part) // our own types
	etag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(body))
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	forgetest.WriteJSON(w, http.StatusOK, part)
}
