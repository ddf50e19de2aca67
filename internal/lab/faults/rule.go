// Package faults holds the types of the protocol between tests and the sandbox's
// proxies: rules for treating requests, and reports of the requests that came.
//
// They mirror those of the package of the same name in the sandbox's module, which
// this module cannot import. Their JSON is the contract. Package lab documents how to
// use them.
package faults

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"
)

// Rule selects requests and states how to treat them. An empty field matches every
// request. Of the rules that match a request, the one that was added last applies.
type Rule struct {
	Cluster string `json:"cluster,omitempty"`
	Method  string `json:"method,omitempty"` // regular expression for the whole method: "PATCH|POST"
	Path    string `json:"path,omitempty"`   // regular expression for a part of the path; see Resource
	Query   string `json:"query,omitempty"`  // parameters that the query must have: "watch=true"; "watch=" means without watch
	Body    string `json:"body,omitempty"`   // regular expression for a part of the first MiB of the body
	Skip    int    `json:"skip,omitempty"`   // how many matching requests are spared first
	Count   int    `json:"count,omitempty"`  // how many times the rule applies; 0 means until it is removed

	Action Action `json:"action"`

	// Delay is the time before the action. A request that its client gives up
	// during this time is not forwarded, unless the action is Lose or Withhold.
	Delay time.Duration `json:"-"`
	// AnswerDelay is the time between the API server's answer and the proxy's.
	AnswerDelay time.Duration `json:"-"`

	// These fields are for Answer. If Content is empty and the status is 400 or
	// more, the body is a metav1.Status with Reason and Message; their defaults are
	// the usual ones for the status. $RESOURCE and $NAME in the message are
	// replaced by those of the request.
	Status  int               `json:"status,omitempty"`
	Header  map[string]string `json:"header,omitempty"`
	Content string            `json:"content,omitempty"` // the body
	Reason  string            `json:"reason,omitempty"`
	Message string            `json:"message,omitempty"`

	Bytes int `json:"bytes,omitempty"` // how much of the answer's body Truncate sends

	// Connection makes Drop, Lose and Truncate break the client's connection, and
	// so all other requests on it, instead of one HTTP/2 stream.
	Connection bool `json:"connection,omitempty"`
}

// Action is what happens to a request.
type Action string

// The actions.
const (
	Forward  Action = "forward"  // forwarded to the API server as without a rule, but after the delays
	Answer   Action = "answer"   // answered by the proxy in place of the API server
	Hang     Action = "hang"     // not answered; forwarded when the rule is removed
	Withhold Action = "withhold" // forwarded, but not answered until the rule is removed
	Lose     Action = "lose"     // forwarded, and dropped when the API server has answered
	Drop     Action = "drop"     // dropped before it is forwarded
	Truncate Action = "truncate" // dropped in the middle of the answer
)

// MarshalJSON encodes the delays in the form that the sandbox parses.
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

// Resource returns the [Rule] Path that matches the objects of a resource, such as
// "configmaps" or "replicasets.apps", and their lists, but no subresources.
func Resource(resource string) string {
	name, group, ok := strings.Cut(resource, ".")
	prefix := "^/api/v1/"
	if ok {
		prefix = "^/apis/" + regexp.QuoteMeta(group) + "/[^/]+/"
	}
	return prefix + "(namespaces/[^/]+/)?" + regexp.QuoteMeta(name) + "(/[^/]+)?$"
}

// Object returns the [Rule] Path that matches one object in a namespace.
func Object(resource, namespace, name string) string {
	return strings.TrimSuffix(strings.Replace(Resource(resource), "(namespaces/[^/]+/)?", "namespaces/"+regexp.QuoteMeta(namespace)+"/", 1), "(/[^/]+)?$") +
		"/" + regexp.QuoteMeta(name) + "$"
}
