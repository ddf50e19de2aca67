package health

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Classify says why a request to a cluster failed. It takes the request's error
// or, where there is none, the status code of the answer; an error that holds an
// API server's answer counts by that answer's code.
//
// Whether replicas may be moved hangs on the class, so what is in doubt goes to
// a class that moves nothing: something that answers, yet not as an API server
// does, is a wrong address in the kubeconfig and not an absent cluster.
func Classify(err error, status int) federation.FailureClass {
	if err == nil {
		return classifyStatus(status)
	}
	var answer apierrors.APIStatus
	if errors.As(err, &answer) && answer.Status().Code != 0 {
		return classifyStatus(int(answer.Status().Code))
	}
	return classifyError(err)
}

func classifyStatus(status int) federation.FailureClass {
	switch {
	case status >= 200 && status < 300:
		return federation.FailureNone
	case status == http.StatusUnauthorized:
		return federation.FailureUnauthorised
	case status == http.StatusForbidden, status == http.StatusTooManyRequests:
		// A gateway that limits our rate is alive, and does not let us look.
		return federation.FailureForbidden
	case status >= 500:
		return federation.FailureNotReady
	}
	return federation.FailureContext
}

func classifyError(err error) federation.FailureClass {
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

// isTLS says whether the two sides met and could not agree: our side refused
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
		return true // an alert, whose type crypto/tls keeps to itself
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	// A failed handshake has no type either.
	return strings.HasPrefix(err.Error(), "tls: ") || strings.HasPrefix(err.Error(), "x509: ")
}
