package failure

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// maxBody is how much of an answer that reports a failure is read. client-go
// would read all of it.
const maxBody = 1 << 20

// Once returns a transport on which client-go sends each request once.
//
// By itself client-go repeats a request up to ten times, out of reach of whoever
// counts requests and for as long as any Retry-After says: after a minute's
// overload ten times as many requests as were meant, or a request that sleeps for
// years. Here the answer's Retry-After comes out in the error, for Of to find,
// and the pause is the caller's.
func Once(next http.RoundTripper) http.RoundTripper { return &once{next} }

type once struct{ next http.RoundTripper }

// RoundTrip sends the request on.
func (o *once) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(req)
	if err != nil {
		return nil, final(req, err)
	}
	if resp.StatusCode < 400 || resp.Body == nil {
		return resp, nil
	}
	resp.Body = limited{io.LimitReader(resp.Body, maxBody), resp.Body}
	if after := RetryAfter(resp.Header, time.Now()); resp.Header.Get("Retry-After") != "" {
		tellInBody(req, resp, after)
	}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport to close.
func (o *once) WrappedRoundTripper() http.RoundTripper { return o.next }

type limited struct {
	io.Reader
	io.Closer
}

// tellInBody moves Retry-After from the answer's header to its Status.
func tellInBody(req *http.Request, resp *http.Response, after time.Duration) {
	content, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // it was read, or cannot be
	if err != nil {
		content = nil
	}
	var status metav1.Status
	if json.Unmarshal(content, &status) != nil || status.Kind != "Status" {
		text := strings.TrimSpace(strings.ToValidUTF8(string(content[:min(len(content), 2048)]), "�"))
		status = apierrors.NewGenericServerResponse(
			resp.StatusCode, req.Method, schema.GroupResource{}, "", cmp.Or(text, "unknown"), 0, true).ErrStatus
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		if text != "" && !strings.Contains(status.Message, text) {
			status.Message += ": " + text
		}
	}
	if status.Details == nil {
		status.Details = &metav1.StatusDetails{}
	}
	// Less than a second is still an answer that asks to wait.
	status.Details.RetryAfterSeconds = int32((after + time.Second - 1) / time.Second)
	content, err = json.Marshal(status)
	if err != nil {
		return // a struct of strings and numbers
	}
	resp.Header.Del("Retry-After")
	resp.Header.Set("Content-Type", "application/json")
	resp.Header.Del("Content-Length")
	resp.ContentLength = int64(len(content))
	resp.Body = io.NopCloser(bytes.NewReader(content))
}

// final hides from client-go that an error is one which it would repeat the
// request for.
func final(req *http.Request, err error) error {
	switch {
	case req.Context().Err() != nil: // it does not try again then
	case utilnet.IsConnectionReset(err), utilnet.IsProbableEOF(err), utilnet.IsHTTP2ConnectionLost(err):
		return &finalError{err}
	case utilnet.IsTimeout(err):
		return &timeoutError{err}
	}
	return err
}

// finalError is the end of its chain: client-go looks for the cause there.
type finalError struct{ err error }

// otherWords replace those by which client-go recognises what it repeats.
var otherWords = strings.NewReplacer(
	"connection reset by peer", "connection reset",
	"use of closed network connection", "the connection was closed",
	"broken connection", "connection that broke",
	"client connection lost", "the connection was lost",
	"GOAWAY and closed", "GOAWAY, closed",
)

// Error returns the cause in words that client-go does not search for.
func (e *finalError) Error() string { return otherWords.Replace(e.err.Error()) }

// timeoutError is a net.Error no longer.
type timeoutError struct{ err error }

func (e *timeoutError) Error() string { return e.err.Error() }
func (e *timeoutError) Unwrap() error { return e.err }

// Is makes it a timeout by another name.
func (e *timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
