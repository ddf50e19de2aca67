package faults

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Request is a line of the log: one request of a client, and its result.
type Request struct {
	Time      time.Time `json:"time"`
	Cluster   string    `json:"cluster"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Query     string    `json:"query,omitempty"`
	UserAgent string    `json:"userAgent,omitempty"`

	// The request as Kubernetes interprets it. Resource is like "replicasets.apps",
	// or empty if the request is for no resource.
	Verb        string `json:"verb"`
	Resource    string `json:"resource,omitempty"`
	Subresource string `json:"subresource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`

	Rule    int  `json:"rule,omitempty"`    // the rule that applied
	Backend int  `json:"backend,omitempty"` // the status that the API server answered
	Status  int  `json:"status,omitempty"`  // the status that was sent to the client
	Ended   bool `json:"ended"`             // nothing more will be sent
}

// newRequest interprets r as a kube-apiserver does.
func newRequest(cluster string, r *http.Request) *Request {
	q := &Request{
		Time:      time.Now(),
		Cluster:   cluster,
		Method:    r.Method,
		Path:      r.URL.Path,
		Query:     r.URL.RawQuery,
		UserAgent: r.UserAgent(),
		Verb:      strings.ToLower(r.Method),
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = "."+parts[1], parts[3:]
	default:
		return q
	}
	// The path of a Namespace is /namespaces/NAME, with two subresources.
	if len(parts) > 2 && parts[0] == "namespaces" && parts[2] != "status" && parts[2] != "finalize" {
		q.Namespace, parts = parts[1], parts[2:]
	}
	q.Resource = parts[0] + group
	if len(parts) > 1 {
		q.Name = parts[1]
	}
	if len(parts) > 2 {
		q.Subresource = strings.Join(parts[2:], "/")
	}
	q.Verb = verb(r, q.Name)
	return q
}

func verb(r *http.Request, name string) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if watch := r.URL.Query().Get("watch"); watch == "true" || watch == "1" {
			return "watch"
		}
		if name == "" {
			return "list"
		}
		return "get"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodDelete:
		if name == "" {
			return "deletecollection"
		}
	}
	return strings.ToLower(r.Method)
}

// requestLog holds the newest requests.
type requestLog struct {
	most int

	mu        sync.Mutex // protects what follows, and the fields of the requests
	requests  []*Request
	forgotten int
}

func (l *requestLog) add(q *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, q)
	if over := len(l.requests) - l.most; over > 0 {
		clear(l.requests[:over])
		l.requests = l.requests[over:]
		l.forgotten += over
	}
}

// change calls change with the request, under the lock.
func (l *requestLog) change(q *Request, change func(*Request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(q)
}

// Requests are the lines of a log, in the order of their arrival.
type Requests struct {
	Requests  []Request `json:"requests"`
	Forgotten int       `json:"forgotten"` // how many earlier ones were dropped because the log was full
}

func (l *requestLog) read() Requests {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := Requests{Requests: make([]Request, 0, len(l.requests)), Forgotten: l.forgotten}
	for _, q := range l.requests {
		all.Requests = append(all.Requests, *q)
	}
	return all
}

func (l *requestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests, l.forgotten = nil, 0
}
