package faults

import (
	"slices"
	"time"
)

// Request is one request of a client and its outcome.
type Request struct {
	Time      time.Time `json:"time"`
	Cluster   string    `json:"cluster"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Query     string    `json:"query"`
	UserAgent string    `json:"userAgent"`

	// How Kubernetes interprets the request. Resource is in the form
	// "replicasets.apps"; it is empty if the request is for no resource.
	Verb        string `json:"verb"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`

	Rule    int  `json:"rule"`    // the rule that applied
	Backend int  `json:"backend"` // the status of the API server's answer
	Status  int  `json:"status"`  // the status that was sent to the client
	Ended   bool `json:"ended"`   // nothing more is sent
}

// Requests are requests in the order of their arrival.
type Requests []Request

// Where returns the requests for which keep returns true.
func (rs Requests) Where(keep func(Request) bool) Requests {
	var kept Requests
	for _, r := range rs {
		if keep(r) {
			kept = append(kept, r)
		}
	}
	return kept
}

// Verbs returns the requests with one of some verbs, such as "patch" or "watch".
func (rs Requests) Verbs(verbs ...string) Requests {
	return rs.Where(func(r Request) bool { return slices.Contains(verbs, r.Verb) })
}

// Writes returns the requests that create, change or delete.
func (rs Requests) Writes() Requests {
	return rs.Verbs("create", "update", "patch", "delete", "deletecollection")
}

// Of returns the requests for a resource, such as "configmaps" or "replicasets.apps".
func (rs Requests) Of(resource string) Requests {
	return rs.Where(func(r Request) bool { return r.Resource == resource })
}

// Besides returns the requests for any other path.
func (rs Requests) Besides(paths ...string) Requests {
	return rs.Where(func(r Request) bool { return !slices.Contains(paths, r.Path) })
}

// Between returns the requests that came at from or later, and before to.
func (rs Requests) Between(from, to time.Time) Requests {
	return rs.Where(func(r Request) bool { return !r.Time.Before(from) && r.Time.Before(to) })
}

// Minutes counts the requests of each whole minute between from and to.
func (rs Requests) Minutes(from, to time.Time) []int {
	var counts []int
	for end := from.Add(time.Minute); !end.After(to); end = end.Add(time.Minute) {
		counts = append(counts, len(rs.Between(end.Add(-time.Minute), end)))
	}
	return counts
}

// Count counts the requests by verb and resource ("patch configmaps"). Requests for no
// resource are counted by verb and path ("get /readyz").
func (rs Requests) Count() map[string]int {
	counts := map[string]int{}
	for _, r := range rs {
		what := r.Resource
		switch {
		case what == "":
			what = r.Path
		case r.Subresource != "":
			what += "/" + r.Subresource
		}
		counts[r.Verb+" "+what]++
	}
	return counts
}
