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

// maxBody is how much of an error answer is read. client-go would read all of it.
const maxBody = 1 << 20

// Once returns a transport on which client-go sends each request one time.
//
// By itself client-go repeats a request up to ten times, without the caller's knowledge
// and for as long as a Retry-After asks. After a minute's overload there would be ten
// times as many requests as intended, or a request would sleep for years. Here the
// answer's Retry-After is in the error, where Of finds it, and the pause is the
// caller's.
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

// WrappedRoundTripper makes the transport visible to client-go, which closes it.
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
	// Less than a second still asks for a pause.
	status.Details.RetryAfterSeconds = int32((after + time.Second - 1) / time.Second)
	content, err = json.Marshal(status)
	if err != nil {
		return // cannot happen: a struct of strings and numbers
	}
	resp.Header.Del("Retry-After")
	resp.Header.Set("Content-Type", "application/json")
	resp.Header.Del("Content-Length")
	resp.ContentLength = int64(len(content))
	resp.Body = io.NopCloser(bytes.NewReader(content))
}

// final hides from client-go that it would repeat the request after this error.
func final(req *http.Request, err error) error {
	switch {
	case req.Context().Err() != nil: // client-go does not try again then
	case utilnet.IsConnectionReset(err), utilnet.IsProbableEOF(err), utilnet.IsHTTP2ConnectionLost(err):
		return &finalError{err}
	case utilnet.IsTimeout(err):
		return &timeoutError{err}
	}
	return err
}

// finalError ends its error chain: client-go searches the chain for the cause.
type finalError struct{ err error }

// otherWords replaces the words by which client-go recognises errors to repeat.
var otherWords = strings.NewReplacer(
	"connection reset by peer", "connection reset",
	"use of closed network connection", "the connection was closed",
	"broken connection", "connection that broke",
	"client connection lost", "the connection was lost",
	"GOAWAY and closed", "GOAWAY, closed",
)

// Error returns the cause in words that client-go does not search for.
func (e *finalError) Error() string { return otherWords.Replace(e.err.Error()) }

// timeoutError is no net.Error.
type timeoutError struct{ err error }

func (e *timeoutError) Error() string { return e.err.Error() }
func (e *timeoutError) Unwrap() error { return e.err }

// Is keeps it recognisable as a timeout.
func (e *timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
