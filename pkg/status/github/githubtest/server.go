// Package githubtest is a stand-in for GitHub: it implements the REST API over HTTP as a
// GitHub Enterprise Server does, for one repository that is a bare Git repository on this
// machine, and refuses what GitHub refuses.
//
// It records and the test judges. server.go authenticates requests, statuses.go and
// checks.go handle what is posted, pulls.go and comments.go pull requests, and merge.go
// their merges: under branch protection, or through a merge queue.
package githubtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The repository, and its number.
const (
	Owner  = "team"
	Name   = "web"
	repoID = 4711
)

// The limits that GitHub sets.
const (
	ContentPerMinute = 80  // requests that create content, before the secondary rate limit
	ContentPerHour   = 500 // the same
	StatusesOfOne    = 1000
	ChecksOfOne      = 1000
)

// Server is the stand-in. Its methods may be called while it serves requests.
type Server struct {
	URL string // for --forge-url

	path string // of the bare repository
	mux  *http.ServeMux

	mu       sync.Mutex // protects what follows
	name     string     // "team/web", or another after Rename
	former   []string   // names that redirect
	tokens   map[string]*caller
	apps     map[int64]*App
	number   int64 // the last number that was assigned
	statuses []Status
	checks   []*Check

	deployments []*Deployment
	pulls       []*pull
	comments    []*Comment
	rules       map[string]Protection
	created     []time.Time // of content
	requests    []string
	known       map[string]bool // commits that the repository has
}

// caller is the client of a request.
type caller struct {
	login string
	id    int64
	app   *App // nil for a user
	jwt   bool // it is the App itself, not its installation
	may   map[string]string
}

// New returns a GitHub with one repository, whose Git repository is at the path.
func New(t testing.TB, path string) *Server {
	t.Helper()
	s := Unserved(path)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Unserved is New for a test that serves the handler itself, below the path "/".
func Unserved(path string) *Server {
	s := &Server{
		path: path, name: Owner + "/" + Name, mux: http.NewServeMux(), number: 100,
		tokens: map[string]*caller{}, apps: map[int64]*App{}, rules: map[string]Protection{}, known: map[string]bool{},
	}
	s.routes()
	return s
}

// AddToken adds a token of the account of that name, with permissions such as
// {"statuses": "write"}. Reading the repository needs no permission.
func (s *Server) AddToken(token, login string, permissions map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	s.tokens[token] = &caller{login: login, id: accountNumber(login), may: permissions}
}

// RemoveToken makes a token invalid.
func (s *Server) RemoveToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// Rename renames the repository. Requests for the old name are redirected.
func (s *Server) Rename(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.former, s.name = append(s.former, s.name), name
}

// Requests returns the method and path of each request so far.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.requests...)
}

func (s *Server) routes() {
	handle := func(pattern string, f func(*Server, *request)) {
		method, path, _ := strings.Cut(pattern, " ")
		s.mux.HandleFunc(method+" /api/v3"+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, f) })
	}
	const repo = "/repos/{owner}/{name}"
	handle("GET "+repo, (*Server).getRepository)
	handle("GET /repositories/{id}", (*Server).getRepository)
	handle("GET /repositories/{id}/installation", (*Server).getInstallation)
	handle("GET /user", (*Server).getUser)
	handle("GET /app", (*Server).getApp)
	handle("GET "+repo+"/installation", (*Server).getInstallation)
	handle("POST /app/installations/{id}/access_tokens", (*Server).postToken)
	handle("POST "+repo+"/statuses/{sha}", (*Server).postStatus)
	handle("GET "+repo+"/commits/{sha}/statuses", (*Server).listStatuses)
	handle("POST "+repo+"/check-runs", (*Server).postCheck)
	handle("PATCH "+repo+"/check-runs/{id}", (*Server).patchCheck)
	handle("GET "+repo+"/commits/{sha}/check-runs", (*Server).listChecks)
	handle("GET "+repo+"/deployments", (*Server).listDeployments)
	handle("POST "+repo+"/deployments", (*Server).postDeployment)
	handle("GET "+repo+"/deployments/{id}/statuses", (*Server).listDeploymentStatuses)
	handle("POST "+repo+"/deployments/{id}/statuses", (*Server).postDeploymentStatus)
	handle("GET "+repo+"/pulls", (*Server).listPulls)
	handle("POST "+repo+"/pulls", (*Server).postPull)
	handle("PUT "+repo+"/pulls/{number}/merge", (*Server).mergePull)
	handle("GET "+repo+"/issues/{number}/comments", (*Server).listComments)
	handle("POST "+repo+"/issues/{number}/comments", (*Server).postComment)
	handle("PATCH "+repo+"/issues/comments/{id}", (*Server).patchComment)
	handle("DELETE "+repo+"/issues/comments/{id}", (*Server).deleteComment)
	handle("GET "+repo+"/git/matching-refs/{ref...}", (*Server).listRefs)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	s.mu.Unlock()
	if _, pattern := s.mux.Handler(r); pattern == "" {
		write(w, http.StatusNotFound, object{"message": "Not Found", "documentation_url": "https://docs.github.com/rest"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// object is JSON to write.
type object = map[string]any

// request is one authenticated request.
type request struct {
	*http.Request
	w  http.ResponseWriter
	by *caller
}

// serve authenticates a request, and answers it with mu held.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, answer func(*Server, *request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &request{Request: r, w: w}
	if r.Header.Get("User-Agent") == "" {
		q.refuse(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
		return
	}
	if q.by = s.whoIs(r); q.by == nil {
		q.refuse(http.StatusUnauthorized, "Bad credentials")
		return
	}
	if owner := r.PathValue("owner"); owner != "" {
		switch asked := owner + "/" + r.PathValue("name"); {
		case strings.EqualFold(asked, s.name):
		case contains(s.former, asked):
			rest := strings.TrimPrefix(r.URL.Path, "/api/v3/repos/"+asked)
			w.Header().Set("Location", "http://"+r.Host+"/api/v3/repositories/"+strconv.Itoa(repoID)+rest)
			q.refuse(http.StatusMovedPermanently, "Moved Permanently")
			return
		default:
			q.refuse(http.StatusNotFound, "Not Found")
			return
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodDelete && r.ContentLength > 0 && r.Header.Get("Content-Type") != "application/json" {
		q.refuse(http.StatusUnsupportedMediaType, "Unsupported Media Type")
		return
	}
	s.sync()
	answer(s, q)
	s.settle()
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if strings.EqualFold(a, one) {
			return true
		}
	}
	return false
}

// whoIs returns the owner of a request's credential; nil if it is invalid.
func (s *Server) whoIs(r *http.Request) *caller {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "token") && !strings.EqualFold(scheme, "bearer") {
		return nil
	}
	if by := s.tokens[token]; by != nil {
		return by
	}
	return s.appOf(token)
}

// may reports whether the caller has a write permission, and answers if not.
func (q *request) may(permission string) bool {
	if q.by.may[permission] == "write" {
		return true
	}
	q.w.Header().Set("X-Accepted-GitHub-Permissions", permission+"=write")
	who := "personal access token"
	if q.by.app != nil {
		who = "integration"
	}
	q.refuse(http.StatusForbidden, "Resource not accessible by "+who)
	return false
}

// creates counts a request that creates content, and answers if there are too many.
func (s *Server) creates(q *request) bool {
	now := time.Now()
	minute, hour := 0, 0
	for _, at := range s.created {
		if now.Sub(at) < time.Minute {
			minute++
		}
		if now.Sub(at) < time.Hour {
			hour++
		}
	}
	if minute >= ContentPerMinute || hour >= ContentPerHour {
		q.w.Header().Set("Retry-After", "60")
		write(q.w, http.StatusForbidden, object{
			"message":           "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. Please retry your request again later.",
			"documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
		})
		return false
	}
	s.created = append(s.created, now)
	return true
}

// read reads a request's body, which must not have unknown fields.
func (q *request) read(into any) bool {
	d := json.NewDecoder(q.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		q.refuse(http.StatusUnprocessableEntity, "Invalid request. "+err.Error())
		return false
	}
	return true
}

func (q *request) refuse(code int, message string) {
	write(q.w, code, object{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(code)})
}

// invalid answers that GitHub does not accept a field.
func (q *request) invalid(resource, field, message string) {
	write(q.w, http.StatusUnprocessableEntity, object{
		"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest",
		"errors": []object{{"resource": resource, "code": "custom", "field": field, "message": message}},
	})
}

// list answers with a page of a list, or with 304 if the client has it already.
func list[T any](q *request, all []T, show func(T) any, wrap func(page []any) any) {
	size, _ := strconv.Atoi(q.URL.Query().Get("per_page"))
	if size < 1 || size > 100 {
		size = 30
	}
	page, _ := strconv.Atoi(q.URL.Query().Get("page"))
	first := min((max(page, 1)-1)*size, len(all))
	last := min(first+size, len(all))
	if last < len(all) {
		next := *q.URL
		values := next.Query()
		values.Set("page", strconv.Itoa(max(page, 1)+1))
		next.RawQuery = values.Encode()
		q.w.Header().Set("Link", fmt.Sprintf(`<http://%s%s>; rel="next"`, q.Host, next.RequestURI()))
	}
	shown := []any{}
	for _, one := range all[first:last] {
		shown = append(shown, show(one))
	}
	body, _ := json.Marshal(wrap(shown)) // maps of plain values always encode
	sum := sha256.Sum256(append(body, q.Header.Get("Authorization")...))
	tag := `W/"` + hex.EncodeToString(sum[:]) + `"`
	q.w.Header().Set("ETag", tag)
	if q.Header.Get("If-None-Match") == tag {
		q.w.WriteHeader(http.StatusNotModified)
		return
	}
	q.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = q.w.Write(body)
}

func plainly(page []any) any { return page }

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) getRepository(q *request) {
	if q.by.jwt {
		q.refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	owner, name, _ := strings.Cut(s.name, "/")
	write(q.w, http.StatusOK, object{
		"id": repoID, "name": name, "full_name": s.name, "owner": object{"login": owner}, "default_branch": "main",
		"permissions": object{"pull": true, "push": len(q.by.may) > 0},
	})
}

func (s *Server) getUser(q *request) {
	if q.by.app != nil {
		q.refuse(http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	write(q.w, http.StatusOK, object{"login": q.by.login, "id": q.by.id, "type": "User"})
}

// accountNumber returns the number of an account.
func accountNumber(login string) int64 {
	sum := sha256.Sum256([]byte(login))
	return int64(sum[0])<<16 | int64(sum[1])<<8 | int64(sum[2]) + 1<<24
}

// next assigns a number.
func (s *Server) next() int64 {
	s.number++
	return s.number
}
