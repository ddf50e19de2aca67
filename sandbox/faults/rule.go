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

// Rule selects requests and makes them fail. An empty field matches every request. Of
// the rules that match a request, the one that was added last applies.
type Rule struct {
	ID int `json:"id,omitempty"` // set by the front

	Cluster string `json:"cluster,omitempty"`
	Method  string `json:"method,omitempty"` // regular expression for the whole method: "PATCH|POST"
	Path    string `json:"path,omitempty"`   // regular expression for a part of the path
	Query   string `json:"query,omitempty"`  // parameters that the query has: "watch=true"; "watch=" matches a query without it
	Body    string `json:"body,omitempty"`   // regular expression for a part of the first MiB of the body
	Skip    int    `json:"skip,omitempty"`   // the number of matching requests to ignore first
	Count   int    `json:"count,omitempty"`  // the number of times that the rule applies; 0 means until it is removed

	Action Action `json:"action"`

	// Delay is the time before the action. If the client gives up during it, the
	// request is not forwarded, unless the action is Lose or Withhold.
	Delay Duration `json:"delay,omitzero"`
	// AnswerDelay is the time between the API server's answer and the client's.
	AnswerDelay Duration `json:"answerDelay,omitzero"`

	// For Answer. If Content is empty and Status is 400 or more, the body is a
	// metav1.Status with the reason and the message, or with the API server's
	// defaults for the status. $RESOURCE and $NAME in the message are replaced by
	// those of the request.
	Status  int               `json:"status,omitempty"`
	Header  map[string]string `json:"header,omitempty"`
	Content string            `json:"content,omitempty"` // the body
	Reason  string            `json:"reason,omitempty"`
	Message string            `json:"message,omitempty"`

	Bytes int `json:"bytes,omitempty"` // for Truncate: how many bytes of the answer's body are sent

	// Connection makes Drop, Lose and Truncate break the client's whole connection,
	// with all other requests on it, instead of one HTTP/2 stream.
	Connection bool `json:"connection,omitempty"`

	Applied int `json:"applied,omitempty"` // how often the rule applied; set by the front
}

// Action is what happens to a request.
type Action string

// The actions.
const (
	Forward  Action = "forward"  // to the API server, as without a rule except for the delays
	Answer   Action = "answer"   // in place of the API server
	Hang     Action = "hang"     // no answer; forwarded when the rule is removed
	Withhold Action = "withhold" // forwarded, and no answer until the rule is removed
	Lose     Action = "lose"     // forwarded, and dropped when the API server has answered
	Drop     Action = "drop"     // dropped before it is forwarded
	Truncate Action = "truncate" // dropped in the middle of the answer
)

// Duration is a time.Duration that is "2.5s" in JSON.
type Duration time.Duration

// MarshalText returns d in the format of time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText accepts the format of time.ParseDuration.
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
			return fmt.Errorf("status: %d is out of range: want 200 to 599", r.Status)
		}
	case Forward, Hang, Withhold, Lose, Drop, Truncate:
		if r.Status != 0 || r.Content != "" || r.Reason != "" || r.Message != "" || len(r.Header) > 0 {
			return fmt.Errorf("status, header, content, reason and message are for action %q, not %q", Answer, r.Action)
		}
	default:
		return fmt.Errorf("action: unknown action %q: want forward, answer, hang, withhold, lose, drop or truncate", r.Action)
	}
	if r.Count < 0 || r.Skip < 0 || r.Bytes < 0 || r.Delay < 0 || r.AnswerDelay < 0 {
		return errors.New("skip, count, bytes, delay and answerDelay must not be negative")
	}
	return nil
}

// spent reports whether the rule has applied Count times.
func (a *active) spent() bool { return a.Count > 0 && a.Applied >= a.Count }

// matchesHead reports whether everything but the body matches.
func (a *active) matchesHead(cluster string, r *http.Request) bool {
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
