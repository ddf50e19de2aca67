// Package bitbuckettest is a stand-in for Bitbucket Cloud: it implements the build
// statuses and pull requests of its API, and refuses what Bitbucket refuses. Faults lists
// requests in a form that Bitbucket does not accept.
package bitbuckettest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/status/forgetest"
)

// Build is a build status. Bitbucket retains the latest of each key and commit.
type Build struct {
	SHA         string    `json:"-"`
	Key         string    `json:"key"`
	State       string    `json:"state"`
	Name        string    `json:"name"`
	URL         string    `json:"url"`
	Description string    `json:"description"`
	UpdatedOn   time.Time `json:"updated_on"`
}

// PullRequest is a pull request into a branch of the repository.
type PullRequest struct {
	ID     int64
	Title  string
	State  string // "OPEN" unless set
	SHA    string // in full; lists have an abbreviation
	Source string // branch
	Fork   string // the source repository, if it is another
	Dest   string // branch
	Edited time.Time
}

// Comment is a comment on a pull request.
type Comment struct {
	ID      int64
	Author  string
	Raw     string
	Deleted bool
	pull    int64
}

// Forge is a Bitbucket with one repository. Its fields are set before the first request.
type Forge struct {
	Token      string // the accepted token, as Bearer or as a password
	Repository string // "team/web"
	Old        string // an earlier name, which redirects
	Commits    []string
	// Account is the UUID of the token's account. Anonymous means that the token may not
	// ask for it.
	Account   string
	Anonymous bool
	Scopes    string // of the token, in a header of every answer

	forgetest.StandIn // its mutex protects what follows
	builds            []*Build
	pulls             []*PullRequest
	comments          []*Comment
}

// New returns a Bitbucket that knows a repository and its commits.
func New(token, repository string, commits ...string) *Forge {
	return &Forge{Token: token, Repository: repository, Commits: commits, Account: "{fedsync}", Scopes: "repository, pullrequest:write"}
}

// Builds returns the statuses of a commit.
func (f *Forge) Builds(sha string) []Build {
	f.Lock()
	defer f.Unlock()
	var found []Build
	for _, b := range f.builds {
		if b.SHA == sha {
			found = append(found, *b)
		}
	}
	return found
}

// SetPullRequest adds or replaces a pull request.
func (f *Forge) SetPullRequest(p PullRequest) {
	f.Lock()
	defer f.Unlock()
	if p.State == "" {
		p.State = "OPEN"
	}
	p.Edited = time.Now()
	f.pulls = slices.DeleteFunc(f.pulls, func(o *PullRequest) bool { return o.ID == p.ID })
	f.pulls = append(f.pulls, &p)
}

// AddComment adds an author's comment to a pull request.
func (f *Forge) AddComment(pull int64, author, raw string) {
	f.Lock()
	defer f.Unlock()
	f.comments = append(f.comments, &Comment{ID: int64(100 + len(f.comments)), Author: author, Raw: raw, pull: pull})
}

// Comments returns an author's comments on a pull request, oldest first.
func (f *Forge) Comments(pull int64, author string) []string {
	f.Lock()
	defer f.Unlock()
	var found []string
	for _, c := range f.comments {
		if c.pull == pull && c.Author == author && !c.Deleted {
			found = append(found, c.Raw)
		}
	}
	return found
}

// ServeHTTP answers as Bitbucket does.
func (f *Forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.Answer(w, r, "/2.0/repositories/", func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if password != f.Token && bearer != f.Token {
			refuse(w, http.StatusUnauthorized, "Token is invalid or not supported for this endpoint.")
			return
		}
		w.Header().Set("X-OAuth-Scopes", f.Scopes)
		f.routes().ServeHTTP(w, r)
	})
}

func (f *Forge) routes() http.Handler {
	mux := http.NewServeMux()
	in := func(pattern string, serve http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /2.0/repositories/{workspace}/{repository}"+path, f.inRepository(serve))
	}
	mux.HandleFunc("GET /2.0/user", func(w http.ResponseWriter, _ *http.Request) {
		if f.Anonymous {
			refuse(w, http.StatusForbidden, "Your credentials lack one or more required privilege scopes.")
			return
		}
		forgetest.WriteJSON(w, http.StatusOK, map[string]any{"uuid": f.Account})
	})
	in("GET ", func(w http.ResponseWriter, _ *http.Request) {
		forgetest.WriteJSON(w, http.StatusOK, map[string]any{"full_name": f.Repository})
	})
	in("GET /commit/{sha}", f.commit)
	in("POST /commit/{sha}/statuses/build", f.setBuild)
	in("GET /commit/{sha}/statuses/build/{key}", f.getBuild)
	in("GET /pullrequests", f.listPulls)
	in("GET /pullrequests/{id}/comments", f.listComments)
	in("POST /pullrequests/{id}/comments", f.createComment)
	in("PUT /pullrequests/{id}/comments/{comment}", f.editComment)
	in("DELETE /pullrequests/{id}/comments/{comment}", f.deleteComment)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		f.Fault("%s %s: there is no such endpoint", r.Method, r.URL.Path)
		refuse(w, http.StatusNotFound, "Resource not found")
	})
	return mux
}

func (f *Forge) inRepository(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked := r.PathValue("workspace") + "/" + r.PathValue("repository")
		switch {
		case strings.EqualFold(asked, f.Repository):
			serve(w, r)
		case f.Old != "" && strings.EqualFold(asked, f.Old):
			http.Redirect(w, r, strings.Replace(r.URL.Path, asked, f.Repository, 1), http.StatusMovedPermanently)
		default:
			refuse(w, http.StatusNotFound, "Repository "+asked+" not found")
		}
	}
}

// full returns the commit with an abbreviation.
func (f *Forge) full(short string) string {
	for _, c := range f.Commits {
		if len(short) >= 7 && strings.HasPrefix(c, short) {
			return c
		}
	}
	return ""
}

func (f *Forge) commit(w http.ResponseWriter, r *http.Request) {
	sha := f.full(r.PathValue("sha"))
	if sha == "" {
		refuse(w, http.StatusNotFound, "Commit not found")
		return
	}
	forgetest.WriteJSON(w, http.StatusOK, map[string]any{"hash": sha})
}

func (f *Forge) setBuild(w http.ResponseWriter, r *http.Request) {
	b, ok := read[Build](f, w, r)
	if !ok {
		return
	}
	b.SHA, b.UpdatedOn = f.full(r.PathValue("sha")), time.Now()
	link, err := url.Parse(b.URL)
	switch {
	case b.SHA == "":
		refuse(w, http.StatusNotFound, "Commit not found")
		return
	case b.Key == "" || len(b.Key) > 40:
		refuse(w, http.StatusBadRequest, "key: Ensure this value has at most 40 characters.")
		return
	case b.URL == "":
		refuse(w, http.StatusBadRequest, "url: required key not provided")
		return
	case err != nil || link.Host == "":
		refuse(w, http.StatusBadRequest, "url: Enter a valid URL.")
		return
	case !slices.Contains([]string{"INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"}, b.State):
		refuse(w, http.StatusBadRequest, "state: is not one of the allowed values")
		return
	case len(b.Name) > 255:
		refuse(w, http.StatusBadRequest, "name: Ensure this value has at most 255 characters.")
		return
	}
	f.builds = slices.DeleteFunc(f.builds, func(o *Build) bool { return o.SHA == b.SHA && o.Key == b.Key })
	f.builds = append(f.builds, &b)
	forgetest.WriteJSON(w, http.StatusCreated, b)
}

func (f *Forge) getBuild(w http.ResponseWriter, r *http.Request) {
	sha := f.full(r.PathValue("sha"))
	for _, b := range f.builds {
		if b.SHA == sha && b.Key == r.PathValue("key") {
			forgetest.WriteJSON(w, http.StatusOK, b)
			return
		}
	}
	refuse(w, http.StatusNotFound, "Build not found")
}

// read reads a request's body, and refuses an invalid one.
func read[T any](f *Forge, w http.ResponseWriter, r *http.Request) (T, bool) {
	body, ok := forgetest.Read[T](&f.StandIn, r)
	if !ok {
		refuse(w, http.StatusBadRequest, "Bad request")
	}
	return body, ok
}

// page answers with a part of a list, at most most of it.
func page[T any](w http.ResponseWriter, r *http.Request, all []T, most int) {
	part, size, number, next := forgetest.Page(r, all, "pagelen", 10, most+1)
	if size > most {
		refuse(w, http.StatusBadRequest, "Invalid pagelen")
		return
	}
	answer := map[string]any{"pagelen": size, "page": number, "values": part}
	if next > 0 {
		answer["next"] = "https://elsewhere.example" + r.URL.Path // no client should follow it
	}
	forgetest.WriteJSON(w, http.StatusOK, answer)
}

func refuse(w http.ResponseWriter, code int, message string) {
	forgetest.WriteJSON(w, code, map[string]any{"type": "error", "error": map[string]any{"message": message}})
}
