package faults

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Rule says which requests to treat badly, and how. An empty field matches every
// request. Of the rules that match a request, the one that was added last applies.
type Rule struct {
	ID int `json:"id,omitempty"` // given by the front

	Cluster string `json:"cluster,omitempty"`
	Method  string `json:"method,omitempty"` // regular expression for the whole method: "PATCH|POST"
	Path    string `json:"path,omitempty"`   // regular expression for a part of the path
	Query   string `json:"query,omitempty"`  // parameters that the query has, "watch=true"; "watch=" means it has none
	Body    string `json:"body,omitempty"`   // regular expression for a part of the first MiB of the body
	Skip    int    `json:"skip,omitempty"`   // so many matching requests are spared first
	Count   int    `json:"count,omitempty"`  // the rule applies so many times; 0 means until it is removed

	Action Action `json:"action"`

	// Delay passes before the action. A request that its client gives up in
	// the meantime is not forwarded, unless the action is Lose or Withhold.
	Delay Duration `json:"delay,omitzero"`
	// AnswerDelay passes between the API server's answer and the client's.
	AnswerDelay Duration `json:"answerDelay,omitzero"`

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

	Applied int `json:"applied,omitempty"` // how often it did; set by the front
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

// Duration is a time.Duration that JSON writes as "2.5s".
type Duration time.Duration

// MarshalText writes d as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// active is a rule in force. The front's lock protects seen and Applied.
type active struct {
	Rule
	seen    int           // how many requests matched
	removed chan struct{} // closed when the rule is removed

	method, path, body *regexp.Regexp // nil matches everything
	query              url.Values
}

func compile(r Rule) (*active, error) {
	a := &active{Rule: r, removed: make(chan struct{})}
	var errs []error
	expression := func(field, pattern, before, after string) *regexp.Regexp {
		if pattern == "" {
			return nil
		}
		x, err := regexp.Compile(before + pattern + after)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
		return x
	}
	a.method = expression("method", r.Method, "^(?:", ")$")
	a.path = expression("path", r.Path, "", "")
	a.body = expression("body", r.Body, "", "")
	var err error
	if a.query, err = url.ParseQuery(r.Query); err != nil {
		errs = append(errs, fmt.Errorf("query: %w", err))
	}
	return a, errors.Join(append(errs, r.check())...)
}

func (r Rule) check() error {
	switch r.Action {
	case Answer:
		if r.Status < 200 || r.Status > 599 {
			return fmt.Errorf("status: %d is not a status of an answer: want 200 to 599", r.Status)
		}
	case Forward, Hang, Withhold, Lose, Drop, Truncate:
		if r.Status != 0 || r.Content != "" || r.Reason != "" || r.Message != "" || len(r.Header) > 0 {
			return fmt.Errorf("status, header, content, reason and message are for action %q, not %q", Answer, r.Action)
		}
	default:
		return fmt.Errorf("action: %q is none; there are forward, answer, hang, withhold, lose, drop and truncate", r.Action)
	}
	if r.Count < 0 || r.Skip < 0 || r.Bytes < 0 || r.Delay < 0 || r.AnswerDelay < 0 {
		return errors.New("skip, count, bytes and delays are not negative")
	}
	return nil
}

// spent reports whether the rule has applied as often as it should.
func (a *active) spent() bool { return a.Count > 0 && a.Applied >= a.Count }

// fits reports whether all but the body matches.
func (a *active) fits(cluster string, r *http.Request) bool {
	if a.Cluster != "" && a.Cluster != cluster ||
		a.method != nil && !a.method.MatchString(r.Method) ||
		a.path != nil && !a.path.MatchString(r.URL.Path) {
		return false
	}
	if len(a.query) == 0 {
		return true
	}
	has := r.URL.Query()
	for name, values := range a.query {
		if strings.Join(has[name], "\n") != strings.Join(values, "\n") {
			return false
		}
	}
	return true
}
