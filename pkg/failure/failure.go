// Package failure classifies what goes wrong between fedsync and an API server.
//
// It turns an error or an answer into a Failure: its class, with a text, a remedy and
// the pause before the next try. Probes, lists, watches and writes all use it, so that
// one answer has one meaning. Package refusal distinguishes further what only writes
// meet, such as quotas, webhooks and node ports.
package failure

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/pkg/federation"
)

// MaxRetryAfter is the longest time that a server's Retry-After is obeyed: a gateway
// that asks for years must not stop a cluster for more than minutes.
const MaxRetryAfter = 5 * time.Minute

// Failure is why a request failed. The zero value is no failure.
type Failure struct {
	Class federation.FailureClass
	// RetryAfter is how long the server asked to wait, at most MaxRetryAfter. It may
	// come with any class; zero if it did not ask.
	RetryAfter time.Duration
}

// Of returns the failure behind a client's error, zero for nil. An error with an API
// server's answer is classified by that answer.
//
// A class may cause replicas to be moved, so a doubtful error gets a class that moves
// nothing. The caller has to check first whether something was not found:
// apierrors.IsNotFound means different things to a list, a GET and a DELETE. Here it is
// a wrong address.
func Of(err error) Failure {
	if err == nil {
		return Failure{}
	}
	if _, ok := errors.AsType[*Misbehaviour](err); ok {
		return Failure{Class: federation.FailureMisbehaves}
	}
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) || answer.Status().Code == 0 {
		return Failure{Class: classOf(err)}
	}
	status := answer.Status()
	var after time.Duration
	if status.Details != nil {
		if hasCause(status.Details, "ClientWatchDecoding") {
			// The client made it up: the connection broke during a watch.
			return Failure{Class: federation.FailureNetwork}
		}
		after = bounded(int64(status.Details.RetryAfterSeconds))
	}
	f := ofCode(int(status.Code), after)
	if f.Class == federation.FailureContext {
		f.Class = ofRequest(int(status.Code))
	}
	return f
}

// OfAnswer returns the failure that an HTTP answer means for a request that cannot
// itself be wrong, such as a probe; zero for a good answer. An answer that no API
// server gives means a wrong address in the kubeconfig, and not an absent cluster.
func OfAnswer(code int, header http.Header) Failure {
	return ofCode(code, RetryAfter(header, time.Now()))
}

// RetryAfter returns how long a server asks to wait, at most MaxRetryAfter; zero if it
// does not ask.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // ParseInt returns the nearest number then
		return bounded(seconds)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, at.Sub(now)), MaxRetryAfter)
	}
	return 0
}

func bounded(seconds int64) time.Duration {
	return time.Duration(min(max(0, seconds), int64(MaxRetryAfter/time.Second))) * time.Second
}

func ofCode(code int, after time.Duration) Failure {
	class := federation.FailureContext
	switch {
	case code >= 200 && code < 300:
		return Failure{}
	case code == http.StatusUnauthorized:
		class = federation.FailureUnauthorised
	case code == http.StatusForbidden:
		class = federation.FailureForbidden
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && after > 0:
		class = federation.FailureThrottled
	case code >= 300 && code < 400:
		class = federation.FailureMisbehaves // an API server does not redirect
	case code >= 500:
		class = federation.FailureServer
	}
	return Failure{Class: class, RetryAfter: after}
}

// ofRequest returns the class of an API server's 4xx answer to a request that may
// itself be wrong.
func ofRequest(code int) federation.FailureClass {
	switch code {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusNotAcceptable:
		return federation.FailureInvalid
	case http.StatusConflict:
		return federation.FailureConflict
	case http.StatusMethodNotAllowed:
		return federation.FailureForbidden
	case http.StatusRequestTimeout:
		return federation.FailureTimeout
	case http.StatusGone: // the server no longer has the requested history
		return federation.FailureServer
	}
	return federation.FailureContext
}

func classOf(err error) federation.FailureClass {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return federation.FailureDNS
	}
	if isTLS(err) {
		return federation.FailureTLS
	}
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return federation.FailureRefused
	case errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return federation.FailureTimeout
	}
	return federation.FailureNetwork
}

// isTLS reports whether the two sides connected and could not agree: our side refused
// the certificate, theirs refused ours, or one of them does not speak TLS.
func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		operation    *net.OpError
	)
	switch {
	case errors.As(err, &verification), errors.Is(err, http.ErrSchemeMismatch):
		return true
	case errors.As(err, &operation) && (operation.Op == "remote error" || operation.Op == "local error"):
		return true // an alert, whose type crypto/tls does not export
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	// A failed handshake has no type either.
	return strings.HasPrefix(err.Error(), "tls: ") || strings.HasPrefix(err.Error(), "x509: ")
}

func hasCause(details *metav1.StatusDetails, cause metav1.CauseType) bool {
	for _, c := range details.Causes {
		if c.Type == cause {
			return true
		}
	}
	return false
}
