package githubtest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Check is a check run.
type Check struct {
	ID                     int64
	App                    int64
	SHA, Name              string
	Status, Conclusion     string // Conclusion is empty while it has not ended
	Title, Summary         string
	DetailsURL, ExternalID string
	Annotations            []Annotation
	Started, Completed     time.Time
}

// Annotation is an annotation of a check run.
type Annotation struct {
	Path       string  `json:"path"`
	StartLine  int     `json:"start_line"`
	EndLine    int     `json:"end_line"`
	Level      string  `json:"annotation_level"`
	Message    string  `json:"message"`
	Title      *string `json:"title"`
	RawDetails *string `json:"raw_details"`
}

// Checks returns the check runs of a commit with that name, newest last.
func (s *Server) Checks(sha, name string) []Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Check
	for _, one := range s.checks {
		if one.SHA == sha && one.Name == name {
			found = append(found, *one)
		}
	}
	return found
}

// run is the body of a request about a check run.
type run struct {
	Name        *string    `json:"name"`
	HeadSHA     *string    `json:"head_sha"`
	DetailsURL  *string    `json:"details_url"`
	ExternalID  *string    `json:"external_id"`
	Status      *string    `json:"status"`
	Conclusion  *string    `json:"conclusion"`
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      *struct {
		Title       *string      `json:"title"`
		Summary     *string      `json:"summary"`
		Text        *string      `json:"text"`
		Annotations []Annotation `json:"annotations"`
	} `json:"output"`
}

const conclusions = " action_required cancelled failure neutral success skipped stale timed_out "

// invalid returns the first field that GitHub does not accept, and its message.
func (r run) invalid() (field, message string) {
	switch {
	case r.Status != nil && !slices.Contains([]string{"queued", "in_progress", "completed"}, *r.Status):
		return "status", "is not included in the list"
	case r.Conclusion != nil && !strings.Contains(conclusions, " "+*r.Conclusion+" "):
		return "conclusion", "is not included in the list"
	case r.Status != nil && *r.Status == "completed" && r.Conclusion == nil:
		return "conclusion", "is required where the status is completed"
	case r.DetailsURL != nil && !isWeb(*r.DetailsURL):
		return "details_url", "must use http(s) scheme"
	case r.Output == nil:
		return "", ""
	case r.Output.Title == nil || r.Output.Summary == nil:
		return "output", `"title", "summary" weren't supplied`
	case utf8.RuneCountInString(*r.Output.Summary) > 65_535:
		return "summary", "exceeds a maximum length of 65535"
	case len(r.Output.Annotations) > 50:
		return "annotations", "exceeds a maximum quantity of 50"
	}
	for _, a := range r.Output.Annotations {
		if a.Path == "" || strings.HasPrefix(a.Path, "/") || a.StartLine < 1 || a.EndLine < a.StartLine || a.Message == "" ||
			!slices.Contains([]string{"notice", "warning", "failure"}, a.Level) {
			return "annotations", "an annotation is not valid"
		}
	}
	return "", ""
}

// readRun reads a request about a check run, and answers it if it is refused.
func (s *Server) readRun(q *request) (run, bool) {
	var r run
	if q.by.app == nil {
		q.refuse(http.StatusForbidden, "You must authenticate via a GitHub App.")
		return r, false
	}
	if !q.may("checks") || !q.read(&r) {
		return r, false
	}
	if field, message := r.invalid(); field != "" {
		q.invalid("CheckRun", field, message)
		return r, false
	}
	return r, s.creates(q)
}

func (s *Server) postCheck(q *request) {
	r, ok := s.readRun(q)
	if !ok {
		return
	}
	if r.Name == nil || *r.Name == "" || r.HeadSHA == nil {
		q.invalid("CheckRun", "name", "name and head_sha are required")
		return
	}
	if !s.hasCommit(*r.HeadSHA) {
		q.unknownCommit(*r.HeadSHA)
		return
	}
	c := &Check{ID: s.next(), App: q.by.app.ID, SHA: *r.HeadSHA, Name: *r.Name, Status: "queued", Started: time.Now().UTC().Truncate(time.Second)}
	c.take(r)
	s.checks = append(s.checks, c)
	s.forgetOldest(c)
	write(q.w, http.StatusCreated, s.show(c))
}

// forgetOldest limits the runs of one name in a suite as GitHub does.
func (s *Server) forgetOldest(of *Check) {
	n, oldest := 0, -1
	for i, c := range s.checks {
		if c.SHA == of.SHA && c.Name == of.Name && c.App == of.App {
			if n++; oldest < 0 {
				oldest = i
			}
		}
	}
	if n > ChecksOfOne {
		s.checks = append(s.checks[:oldest], s.checks[oldest+1:]...)
	}
}

func (s *Server) patchCheck(q *request) {
	id, _ := strconv.ParseInt(q.PathValue("id"), 10, 64)
	r, ok := s.readRun(q)
	if !ok {
		return
	}
	for _, c := range s.checks {
		switch {
		case c.ID != id:
			continue
		case c.App != q.by.app.ID:
			q.refuse(http.StatusForbidden, "Invalid app_id `"+strconv.FormatInt(q.by.app.ID, 10)+"` - check run can only be modified by the GitHub App that created it.")
		case c.Status == "completed" && r.Status != nil && *r.Status != "completed":
			// GitHub does not document whether it accepts this, so no client may rely on
			// it.
			q.invalid("CheckRun", "status", "a completed run does not run again")
		default:
			c.take(r)
			write(q.w, http.StatusOK, s.show(c))
		}
		return
	}
	q.refuse(http.StatusNotFound, "Not Found")
}

// take updates a run from a request.
func (c *Check) take(r run) {
	set := func(to, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&c.Status, r.Status)
	set(&c.Conclusion, r.Conclusion)
	set(&c.DetailsURL, r.DetailsURL)
	set(&c.ExternalID, r.ExternalID)
	if r.Conclusion != nil {
		c.Status, c.Completed = "completed", time.Now().UTC().Truncate(time.Second)
	}
	if r.Output != nil {
		set(&c.Title, r.Output.Title)
		set(&c.Summary, r.Output.Summary)
		c.Annotations = append(c.Annotations, r.Output.Annotations...) // GitHub can only add
	}
}

func (s *Server) listChecks(q *request) {
	sha, values := q.PathValue("sha"), q.URL.Query()
	if !s.hasCommit(sha) {
		q.unknownCommit(sha)
		return
	}
	var found []*Check
	seen := map[string]bool{}
	for _, c := range slices.Backward(s.checks) {
		app := strconv.FormatInt(c.App, 10)
		if c.SHA != sha || values.Has("check_name") && values.Get("check_name") != c.Name || values.Has("app_id") && values.Get("app_id") != app {
			continue
		}
		if values.Get("filter") != "all" && seen[app+"/"+c.Name] {
			continue
		}
		seen[app+"/"+c.Name] = true
		found = append(found, c)
	}
	list(q, found, func(c *Check) any { return s.show(c) }, func(page []any) any {
		return object{"total_count": len(found), "check_runs": page}
	})
}

func (s *Server) show(c *Check) object {
	shown := object{
		"id": c.ID, "head_sha": c.SHA, "name": c.Name, "status": c.Status, "conclusion": nil, "started_at": c.Started, "completed_at": nil,
		"details_url": nil, "external_id": c.ExternalID, "app": object{"id": c.App, "slug": s.apps[c.App].Slug},
		"output": object{"title": c.Title, "summary": c.Summary, "annotations_count": len(c.Annotations)},
	}
	if c.Conclusion != "" {
		shown["conclusion"], shown["completed_at"] = c.Conclusion, c.Completed
	}
	if c.DetailsURL != "" {
		shown["details_url"] = c.DetailsURL
	}
	return shown
}
