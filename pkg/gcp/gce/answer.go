package gce

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cloud.google.com/go/auth"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// answer is the failure of a call or of an operation, as Compute Engine or the network
// reports it.
type answer struct {
	status  int    // of HTTP; 0 if there was no answer
	reason  string // "alreadyExists", or the code of an operation: "RESOURCE_ALREADY_EXISTS"
	message string
	after   time.Duration // from Retry-After
	// ended is set if the operation ran and failed: a repeat needs a new request id.
	ended bool
	// metric and limit describe a quota.
	metric, limit string
}

// readAnswer parses the error of a call. The result holds no credentials: it omits the
// text of authentication errors, which may quote an answer.
func readAnswer(err error) answer {
	var api *googleapi.Error
	var login *auth.Error
	switch {
	case errors.As(err, &api):
		a := answer{status: api.Code, message: api.Message, after: retryAfter(api.Header)}
		if len(api.Errors) > 0 {
			a.reason = api.Errors[0].Reason
			a.message = cmp.Or(a.message, api.Errors[0].Message)
		}
		return a
	case errors.As(err, &login):
		a := answer{status: http.StatusUnauthorized, message: noToken}
		if login.Temporary() {
			a.status = 0
		}
		return a
	}
	return answer{message: networkText(err)}
}

// noToken replaces the text of authentication errors, which may quote an answer.
const noToken = "cannot get an access token with the Application Default Credentials"

// networkText returns why there was no answer. It omits the text of errors that are not
// known to be harmless.
func networkText(err error) string {
	var lookup *net.DNSError
	var timeout net.Error
	var misbehaves *failure.Misbehaviour
	switch {
	case errors.As(err, &misbehaves):
		return "the server that answers in its place " + misbehaves.What
	case errors.As(err, &lookup):
		return "the name " + lookup.Name + " cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was lost before the answer came"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case strings.Contains(err.Error(), "token"), strings.Contains(err.Error(), "impersonate"), strings.Contains(err.Error(), "credentials"):
		return noToken
	}
	return "no readable answer"
}

// retryAfter parses the Retry-After header: seconds, or a date.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// readOperation returns how a completed operation failed; false if it succeeded.
func readOperation(op *compute.Operation) (answer, bool) {
	if op.Error == nil || len(op.Error.Errors) == 0 {
		if op.HttpErrorStatusCode < 400 {
			return answer{}, false
		}
		return answer{status: int(op.HttpErrorStatusCode), message: op.HttpErrorMessage, ended: true}, true
	}
	first := op.Error.Errors[0]
	a := answer{status: int(op.HttpErrorStatusCode), reason: first.Code, message: first.Message, ended: true}
	for _, d := range first.ErrorDetails {
		if d.QuotaInfo != nil {
			a.metric, a.limit = d.QuotaInfo.LimitName, strconv.FormatFloat(d.QuotaInfo.Limit, 'f', -1, 64)
		}
	}
	return a, true
}

// sameReason reports whether two reasons are equal, of a call ("resourceNotReady") or of
// an operation ("RESOURCE_NOT_READY").
func sameReason(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", ""), strings.ReplaceAll(b, "_", ""))
}

func (a answer) is(reasons ...string) bool {
	for _, r := range reasons {
		if sameReason(a.reason, r) {
			return true
		}
	}
	return false
}

// class returns the class of the failure. 404 and 409 mean different things to different
// verbs; callers handle them first.
func (a answer) class() gcp.Class {
	text := strings.ToLower(a.message)
	switch {
	case a.is("quotaExceeded", "limitExceeded"):
		return gcp.ClassQuota
	case a.transient():
		return gcp.ClassRetry
	case a.is("resourceInUseByAnotherResource", "resourceNotReady", "resourceInUse"), strings.Contains(text, "being used by"),
		strings.Contains(text, "referenced") && strings.Contains(text, "cannot be found"):
		return gcp.ClassOrder
	case strings.Contains(text, "address is in-use"), strings.Contains(text, "address is in use"):
		return gcp.ClassConflict
	case a.status == http.StatusPreconditionFailed, a.is("conditionNotMet"),
		a.absent(), a.exists(), a.status == http.StatusConflict:
		return gcp.ClassChanged
	case a.status == http.StatusForbidden, a.status == http.StatusUnauthorized, a.is("forbidden", "permissionsError"):
		return gcp.ClassForbidden
	}
	return gcp.ClassInvalid
}

// absent reports whether there is no such resource.
func (a answer) absent() bool {
	return a.status == http.StatusNotFound || a.is("notFound", "resourceNotFound")
}

// exists reports whether there already is a resource of that name.
func (a answer) exists() bool { return a.is("alreadyExists", "resourceAlreadyExists") }

// transient reports whether the same call may succeed a moment later.
func (a answer) transient() bool {
	switch a.status {
	case 0:
		return !a.ended || a.is("internalError", "serviceUnavailable", "backendError")
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusForbidden:
		return a.is("rateLimitExceeded", "userRateLimitExceeded")
	}
	return a.is("rateLimitExceeded", "userRateLimitExceeded", "internalError")
}

var (
	permissionText = regexp.MustCompile(`\bcompute\.[a-zA-Z]+\.[a-zA-Z]+\b`)
	quotaText      = regexp.MustCompile(`(?i)quota '?([A-Za-z0-9_./-]+)'? exceeded`)
	limitText      = regexp.MustCompile(`(?i)limit: *([0-9.]*[0-9])`)
)

// fail returns the error of an action or a read.
func (a answer) fail(verb gcp.Verb, id gcp.ID) *gcp.Error {
	e := &gcp.Error{ID: id, Verb: verb, Class: a.class(), Metric: a.metric, Limit: a.limit, After: a.after, Err: errors.New(a.text())}
	if e.Absent = a.absent(); e.Absent && id == (gcp.ID{}) {
		e.Class = gcp.ClassInvalid // the project or the zone does not exist
	}
	e.Ended = a.ended || e.Class != gcp.ClassRetry
	switch e.Class {
	case gcp.ClassForbidden:
		e.Permission = permissionText.FindString(a.message)
	case gcp.ClassQuota:
		if m := quotaText.FindStringSubmatch(a.message); m != nil && e.Metric == "" {
			e.Metric = m[1]
		}
		if m := limitText.FindStringSubmatch(a.message); m != nil && e.Limit == "" {
			e.Limit = m[1]
		}
	case gcp.ClassRetry, gcp.ClassChanged, gcp.ClassOrder, gcp.ClassConflict, gcp.ClassInvalid:
	}
	return e
}

// maxMessage bounds the part of a message that is shown, in bytes.
const maxMessage = 400

// text returns the message in one line, without secrets and PEM data.
func (a answer) text() string {
	text := untrusted.Clean(a.message, maxMessage)
	switch {
	case a.status == 0 && a.reason == "":
		return cmp.Or(text, "no answer")
	case a.reason != "":
		return cmp.Or(text, "no message") + " (" + a.reason + ")"
	}
	return cmp.Or(text, "no message") + " (status " + strconv.Itoa(a.status) + ")"
}
