// Package faults has the types in which tests describe to the sandbox's proxies how to
// treat requests, and in which the proxies report the requests that they saw.
//
// They are those of the package of the same name in the sandbox's module, which
// this one cannot import: the JSON in between is the contract. Package lab documents
// how to use them.
package faults

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"
)

// Rule selects requests, and states how to treat them. An empty field matches every
// request. Of the rules that match a request, the one that was added last applies.
type Rule struct {
	Cluster string `json:"cluster,omitempty"`
	Method  string `json:"method,omitempty"` // regular expression for the whole method: "PATCH|POST"
	Path    string `json:"path,omitempty"`   // regular expression for a part of the path; see Resource
	Query   string `json:"query,omitempty"`  // parameters that the query has, "watch=true"; "watch=" means it has none
	Body    string `json:"body,omitempty"`   // regular expression for a part of the first MiB of the body
	Skip    int    `json:"skip,omitempty"`   // so many matching requests are spared first
	Count   int    `json:"count,omitempty"`  // the rule applies so many times; 0 means until it is removed

	Action Action `json:"action"`

	// Delay passes before the action. A request that its client gives up in
	// the meantime is not forwarded, unless the action is Lose or Withhold.
	Delay time.Duration `json:"-"`
	// AnswerDelay passes between the API server's answer and the client's.
	AnswerDelay time.Duration `json:"-"`

	// For Answer. Without a body, a status of 400 or more has a metav1.Status
	// of the reason and the message, or of the usual ones for the status.
	// $RESOURCE and $NAME in the message stand for those of the request.
	Status  int               `json:"status,omitempty"`
	Header  map[string]string `json:"header,omitempty"`
	Content string            `json:"content,omitempty"` // the body
	Reason  string            `json:"reason,omitempty"`
	Message string            `json:"message,omitempty"`

	Bytes int `json:"bytes,omitempty"` // of the answer's body that Truncate lets through

	// Connection breaks the client's whole connection, and with it all other
	// requests on it, where Drop, Lose and Truncate break one HTTP/2 stream.
	Connection bool `json:"connection,omitempty"`
}

// Action is what happens to a request.
type Action string

// The actions.
const (
	Forward  Action = "forward"  // to the API server, as without a rule but for the delays
	Answer   Action = "answer"   // in place of the API server
	Hang     Action = "hang"     // no answer; forwarded when the rule is removed
	Withhold Action = "withhold" // forwarded, and no answer until the rule is removed
	Lose     Action = "lose"     // forwarded, and dropped when the API server has answered
	Drop     Action = "drop"     // dropped before it is forwarded
	Truncate Action = "truncate" // dropped in the middle of the answer
)

// MarshalJSON writes the delays as the sandbox reads them.
func (r Rule) MarshalJSON() ([]byte, error) {
	type plain Rule
	wire := struct {
		plain
		Delay       string `json:"delay,omitempty"`
		AnswerDelay string `json:"answerDelay,omitempty"`
	}{plain: plain(r)}
	if r.Delay != 0 {
		wire.Delay = r.Delay.String()
	}
	if r.AnswerDelay != 0 {
		wire.AnswerDelay = r.AnswerDelay.String()
	}
	return json.Marshal(wire)
}

// Status returns a rule that answers everything with a status.
func Status(status int) Rule { return Rule{Action: Answer, Status: status} }

// Resource returns the Path of the objects of a resource, "configmaps" or
// "replicasets.apps", and of their lists, without subresources.
func Resource(resource string) string {
	name, group, ok := strings.Cut(resource, ".")
	prefix := "^/api/v1/"
	if ok {
		prefix = "^/apis/" + regexp.QuoteMeta(group) + "/[^/]+/"
	}
	return prefix + "(namespaces/[^/]+/)?" + regexp.QuoteMeta(name) + "(/[^/]+)?$"
}

// Object returns the Path of one object in a namespace.
func Object(resource, namespace, name string) string {
	return strings.TrimSuffix(strings.Replace(Resource(resource), "(namespaces/[^/]+/)?", "namespaces/"+regexp.QuoteMeta(namespace)+"/", 1), "(/[^/]+)?$") +
		"/" + regexp.QuoteMeta(name) + "$"
}
