// Package azuretest is a stand-in for Azure DevOps: its commit statuses, by Microsoft's
// documentation of its API. Faults lists requests in a form that Azure DevOps does not
// accept.
package azuretest

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/fedsync/fedsync/pkg/status/forgetest"
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

	forgetest.StandIn // its mutex protects what follows
	statuses          []Status
}

// Repository is the path of the repository below the address.
const Repository = "/contoso/shop/_apis/git/repositories/web"

// New returns an Azure DevOps that knows commits of the repository web in the project
// shop of the organization contoso.
func New(token string, commits ...string) *Forge { return &Forge{Token: token, Commits: commits} }

// Statuses returns the statuses of a commit under a name, oldest first.
func (f *Forge) Statuses(sha, name string) []Status {
	f.Lock()
	defer f.Unlock()
	var found []Status
	for _, s := range f.statuses {
		if s.SHA == sha && s.Context.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// ServeHTTP answers as Azure DevOps does.
func (f *Forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.Answer(w, r, Repository, f.answer)
}

func (f *Forge) answer(w http.ResponseWriter, r *http.Request) {
	if _, token, _ := r.BasicAuth(); token != f.Token {
		// A request without a valid token gets the sign-in page.
		w.WriteHeader(http.StatusNonAuthoritativeInfo)
		_, _ = w.Write([]byte("<html>Sign in</html>")) // an error means that the client has gone
		return
	}
	if r.URL.Query().Get("api-version") != "7.1" {
		f.Fault("%s %s: no api-version", r.Method, r.URL)
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("The requested version is not supported."))
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Repository, func(w http.ResponseWriter, _ *http.Request) {
		forgetest.WriteJSON(w, http.StatusOK, map[string]any{"name": "web"})
	})
	mux.HandleFunc("GET "+Repository+"/commits/{sha}", f.known(func(w http.ResponseWriter, r *http.Request) {
		forgetest.WriteJSON(w, http.StatusOK, map[string]any{"commitId": r.PathValue("sha")})
	}))
	mux.HandleFunc("GET "+Repository+"/commits/{sha}/statuses", f.known(f.list))
	mux.HandleFunc("POST "+Repository+"/commits/{sha}/statuses", f.known(f.create))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("TF200016: The following project does not exist."))
	})
	mux.ServeHTTP(w, r)
}

func (f *Forge) known(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(f.Commits, r.PathValue("sha")) {
			forgetest.WriteJSON(w, http.StatusNotFound, forgetest.Message("TF401175: The commit does not exist."))
			return
		}
		serve(w, r)
	}
}

func (f *Forge) create(w http.ResponseWriter, r *http.Request) {
	s, ok := forgetest.Read[Status](&f.StandIn, r)
	switch {
	case !ok:
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("Value cannot be null. Parameter name: gitCommitStatusToCreate"))
		return
	case s.Context.Name == "":
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("The status context name is missing."))
		return
	case !slices.Contains([]string{"notSet", "pending", "succeeded", "failed", "error", "notApplicable"}, s.State):
		forgetest.WriteJSON(w, http.StatusBadRequest, forgetest.Message("The state is not valid."))
		return
	}
	s.SHA, s.ID, s.Created = r.PathValue("sha"), int64(1+len(f.statuses)), time.Now()
	f.statuses = append(f.statuses, s)
	forgetest.WriteJSON(w, http.StatusCreated, s)
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
	forgetest.WriteJSON(w, http.StatusOK, map[string]any{"count": len(part), "value": part})
}
