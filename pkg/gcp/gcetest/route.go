package gcetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"time"
)

// method is a method of the API.
type method struct {
	name  string // "backendServices.getHealth"
	verb  string
	path  string // with {project}, {zone} or {region}, {name}
	body  reflect.Type
	query []string // parameters in addition to commonQuery
	// serve returns a value that is sent as JSON. The caller holds the server's lock,
	// unless the method blocks.
	serve  func(*request) (any, *refusal)
	blocks bool
}

// request is a call that is being answered.
type request struct {
	server     *Server
	method     *method
	collection *collection
	http       *http.Request
	query      url.Values
	key        key // from the path; without a name for lists and inserts
	body       document
	requestID  string
	fault      faultPlan
}

// commonQuery are the parameters of every call.
var commonQuery = []string{
	"alt", "prettyPrint", "fields", "key", "quotaUser", "userIp", "access_token", "oauth_token", "$.xgafv",
	"callback", "uploadType", "upload_protocol",
}

var (
	listQuery      = []string{"filter", "maxResults", "orderBy", "pageToken"}
	aggregateQuery = append(slices.Clone(listQuery), "includeAllScopes", "serviceProjectNumber")
	mutationQuery  = []string{"requestId"}
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, c := range s.collections {
		for _, m := range c.methods {
			mux.HandleFunc(m.verb+" /compute/v1/"+m.path, func(w http.ResponseWriter, r *http.Request) {
				s.serve(w, r, c, m)
			})
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		call := Call{Time: s.clock(), Method: "unknown", Name: r.Method + " " + r.URL.Path, Status: http.StatusNotFound}
		s.logCall(call)
		refuse(http.StatusNotFound, reasonNotFound, "Not Found: the stand-in has no method of compute/v1 at %s %s",
			r.Method, r.URL.Path).write(w)
	})
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, c *collection, m *method) {
	q := &request{server: s, method: m, collection: c, http: r, query: r.URL.Query()}
	q.key = key{project: r.PathValue("project"), scope: "global", collection: c.segment, name: r.PathValue("name")}
	if zone := r.PathValue("zone"); zone != "" {
		q.key.scope = "zones/" + zone
	} else if region := r.PathValue("region"); region != "" {
		q.key.scope = "regions/" + region
	}
	q.requestID = q.query.Get("requestId")
	call := Call{
		Time: s.clock(), Method: m.name, Project: q.key.project, Zone: q.key.zone(),
		Name: q.key.name, RequestID: q.requestID,
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	if err != nil {
		invalid("Read the body: %v", err).write(w)
		return
	}
	call.Name = callName(call.Name, body)
	q.fault = s.faultFor(r.Context(), call)
	answer, refused := q.answer(body)
	call.Duration = s.clock().Sub(call.Time)
	if q.fault.broken {
		s.logCall(call)
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
	call.Status = http.StatusOK
	if refused != nil {
		call.Status, call.Reason = refused.code, refused.reason
	}
	s.logCall(call)
	if refused != nil {
		refused.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(answer) // a client that has gone needs no answer
}

// callName returns the name of a call's resource. An insert has it in the body.
func callName(name string, body []byte) string {
	if name != "" || len(body) == 0 {
		return name
	}
	var inserted struct{ Name string }
	if json.Unmarshal(body, &inserted) != nil {
		return ""
	}
	return inserted.Name
}

// answer checks what is common to all calls, then executes the call.
func (q *request) answer(body []byte) (any, *refusal) {
	s := q.server
	if q.fault.drop {
		return nil, nil
	}
	if q.fault.refusal != nil {
		return nil, q.fault.refusal
	}
	if refused := q.checkQuery(); refused != nil {
		return nil, refused
	}
	if refused := q.parseBody(body); refused != nil {
		return nil, refused
	}
	if q.method.blocks {
		return q.method.serve(q)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.projects[q.key.project] {
		return nil, refuse(http.StatusNotFound, reasonNotFound, "The resource 'projects/%s' was not found", q.key.project)
	}
	if refused := s.limit(q.key.project); refused != nil {
		return nil, refused
	}
	if zone := q.key.zone(); zone != "" && s.resources[key{q.key.project, "global", "zones", zone}] == nil {
		return nil, invalid("Invalid value for field 'zone': '%s'. Unknown zone.", zone)
	}
	if refused, op := q.repeated(); refused != nil || op != nil {
		return op, refused
	}
	return q.method.serve(q)
}

func (q *request) checkQuery() *refusal {
	for name, values := range q.query {
		if !slices.Contains(commonQuery, name) && !slices.Contains(q.method.query, name) {
			return invalid("Invalid JSON payload received. Unknown name %q: Cannot bind query parameter. Field '%s' could not be found in request message.", name, name)
		}
		if len(values) > 1 {
			return invalid("Invalid value for query parameter '%s': it is given %d times", name, len(values))
		}
	}
	if alt := q.query.Get("alt"); alt != "" && alt != "json" {
		return invalid("Invalid value for query parameter 'alt': '%s'", alt)
	}
	if id := q.requestID; id != "" && (!uuidPattern.MatchString(id) || id == zeroUUID) {
		return invalid("Invalid value for field 'requestId': '%s'. It must be a UUID that is not zero.", id)
	}
	return nil
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

const zeroUUID = "00000000-0000-0000-0000-000000000000"

func (q *request) parseBody(body []byte) *refusal {
	if q.method.body == nil {
		if len(body) > 0 {
			return invalid("Invalid JSON payload received. %s takes no body.", q.method.name)
		}
		return nil
	}
	if len(body) == 0 {
		return refuse(http.StatusBadRequest, reasonRequired, "Required field 'resource' not specified")
	}
	var refused *refusal
	q.body, refused = parseDocument(body, q.method.body)
	return refused
}

// repeated answers a call whose request id was already accepted.
func (q *request) repeated() (*refusal, any) {
	if q.requestID == "" {
		return nil, nil
	}
	op := q.server.requests[requestKey{q.key.project, q.requestID}]
	if op == nil {
		return nil, nil
	}
	name := q.key.name
	if name == "" {
		name = q.body.text("name")
	}
	if op.method != q.method.name || op.target.key.name != name || op.scope != q.key.scope {
		return invalid("Invalid value for field 'requestId': '%s'. It was used for %s of %s.",
			q.requestID, op.method, op.target.key.path()), nil
	}
	return nil, op.answer()
}

// bucket counts the calls of one second.
type bucket struct {
	second int64
	calls  int
}

func (s *Server) limit(project string) *refusal {
	if s.options.RateLimit <= 0 {
		return nil
	}
	b := s.limits[project]
	if b == nil {
		b = &bucket{}
		s.limits[project] = b
	}
	if now := s.clock().Unix(); b.second != now {
		b.second, b.calls = now, 0
	}
	b.calls++
	if b.calls > s.options.RateLimit {
		refused := refuse(http.StatusForbidden, reasonRateLimit,
			"Quota exceeded for quota metric 'Queries' and limit 'Queries per second' of project '%s'.", project)
		refused.retryAfter = time.Second
		return refused
	}
	return nil
}

// notImplemented refuses what the API supports and the stand-in does not.
func notImplemented(what string) *refusal {
	return invalid("The stand-in does not implement %s", fmt.Sprintf("%q", what))
}
