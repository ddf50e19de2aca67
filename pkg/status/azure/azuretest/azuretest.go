// Package azuretest is an Azure DevOps for tests, as far as commit statuses go, by
// Microsoft's documentation of its API. What was asked in a form that it does not take
// is in Faults.
package azuretest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Status is a commit status.
type Status struct {
	SHA         string    `json:"-"`
	ID          int64     `json:"id"`
	State       string    `json:"state"`
	Description string    `json:"description"`
	TargetURL   string    `json:"targetUrl"`
	Created     time.Time `json:"creationDate"`
	Context     struct {
		Name  string `json:"name"`
		Genre string `json:"genre"`
	} `json:"context"`
}

// Forge is an Azure DevOps with one repository.
type Forge struct {
	Token   string
	Commits []string

	mu       sync.Mutex // protects what follows
	statuses []Status
	faults   []string
}

// Repository is the path of the repository below the address.
const Repository = "/contoso/shop/_apis/git/repositories/web"

// New returns an Azure DevOps that knows commits of the repository web in the project
// shop of the organization contoso.
func New(token string, commits ...string) *Forge { return &Forge{Token: token, Commits: commits} }

// Statuses returns the statuses of a commit under a name, the oldest first.
func (f *Forge) Statuses(sha, name string) []Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []Status
	for _, s := range f.statuses {
		if s.SHA == sha && s.Context.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// Faults returns what was asked in a form that is not taken.
func (f *Forge) Faults() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.faults)
}

// ServeHTTP answers as Azure DevOps does.
func (f *Forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, token, _ := r.BasicAuth(); token != f.Token {
		// Whoever is not known gets the page to sign in at.
		w.WriteHeader(http.StatusNonAuthoritativeInfo)
		_, _ = w.Write([]byte("<html>Sign in</html>")) // who does not read it has gone
		return
	}
	if r.URL.Query().Get("api-version") != "7.1" {
		f.faults = append(f.faults, fmt.Sprintf("%s %s: no api-version", r.Method, r.URL))
		say(w, http.StatusBadRequest, message("The requested version is not supported."))
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Repository, func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, map[string]any{"name": "web"}) })
	mux.HandleFunc("GET "+Repository+"/commits/{sha}", f.known(func(w http.ResponseWriter, r *http.Request) {
		say(w, http.StatusOK, map[string]any{"commitId": r.PathValue("sha")})
	}))
	mux.HandleFunc("GET "+Repository+"/commits/{sha}/statuses", f.known(f.list))
	mux.HandleFunc("POST "+Repository+"/commits/{sha}/statuses", f.known(f.create))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		say(w, http.StatusNotFound, message("TF200016: The following project does not exist."))
	})
	mux.ServeHTTP(w, r)
}

func (f *Forge) known(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(f.Commits, r.PathValue("sha")) {
			say(w, http.StatusNotFound, message("TF401175: The commit does not exist."))
			return
		}
		serve(w, r)
	}
}

func (f *Forge) create(w http.ResponseWriter, r *http.Request) {
	var s Status
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&s)
	switch {
	case err != nil || r.Header.Get("Content-Type") != "application/json":
		f.faults = append(f.faults, fmt.Sprintf("%s %s: %v", r.Method, r.URL, err))
		say(w, http.StatusBadRequest, message("Value cannot be null. Parameter name: gitCommitStatusToCreate"))
		return
	case s.Context.Name == "":
		say(w, http.StatusBadRequest, message("The status context name is missing."))
		return
	case !slices.Contains([]string{"notSet", "pending", "succeeded", "failed", "error", "notApplicable"}, s.State):
		say(w, http.StatusBadRequest, message("The state is not valid."))
		return
	}
	s.SHA, s.ID, s.Created = r.PathValue("sha"), int64(1+len(f.statuses)), time.Now()
	f.statuses = append(f.statuses, s)
	say(w, http.StatusCreated, s)
}

func (f *Forge) list(w http.ResponseWriter, r *http.Request) {
	top, err := strconv.Atoi(r.URL.Query().Get("top"))
	if err != nil {
		top = 1000
	}
	skip, _ := strconv.Atoi(r.URL.Query().Get("skip"))
	found := []Status{}
	for _, s := range f.statuses {
		if s.SHA == r.PathValue("sha") {
			found = append(found, s)
		}
	}
	part := found[min(skip, len(found)):min(skip+top, len(found))]
	say(w, http.StatusOK, map[string]any{"count": len(part), "value": part})
}

func message(text string) map[string]any { return map[string]any{"message": text} }

func say(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // who does not read it has gone
}
