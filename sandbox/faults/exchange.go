package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// exchange is one request under the rule that applies to it.
type exchange struct {
	proxy   *Proxy
	rule    *active
	request *Request
	w       http.ResponseWriter
	r       *http.Request
	client  context.Context // ends when the client gives up
}

func (e *exchange) act() {
	switch e.rule.Action {
	case Forward:
		e.pause(e.client, e.rule.Delay)
		e.forward(e.delayed)
	case Answer:
		e.pause(e.client, e.rule.Delay)
		e.answer()
	case Hang:
		e.pause(e.client, e.rule.Delay)
		e.untilRemoved()
		e.forward(e.delayed)
	case Withhold:
		e.detach()
		e.pause(e.r.Context(), e.rule.Delay)
		e.forward(func(*http.Response) error { e.untilRemoved(); return nil })
	case Lose:
		e.detach()
		e.pause(e.r.Context(), e.rule.Delay)
		e.forward(e.lose)
	case Drop:
		e.pause(e.client, e.rule.Delay)
		e.drop()
	case Truncate:
		e.pause(e.client, e.rule.Delay)
		e.forward(e.truncate)
	}
}

// pause waits for d, or until the rule is removed. If ctx ends first, it ends the
// exchange.
func (e *exchange) pause(ctx context.Context, d Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(time.Duration(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.rule.removed:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

// untilRemoved waits until the rule is removed or the client gives up.
func (e *exchange) untilRemoved() {
	select {
	case <-e.rule.removed:
	case <-e.client.Done():
		panic(http.ErrAbortHandler)
	}
}

// detach makes the request reach the API server whole even if the client gives up.
func (e *exchange) detach() {
	body, err := io.ReadAll(e.r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client did not send the whole request
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.client))
	context.AfterFunc(e.proxy.open, cancel)
	e.r = e.r.WithContext(ctx)
	e.r.Body = io.NopCloser(bytes.NewReader(body))
}

// errDropped reports that a rule dropped an answer.
var errDropped = errors.New("dropped by a rule")

// forward sends the request to the API server. It calls change before it sends the
// header of the answer.
func (e *exchange) forward(change func(*http.Response) error) {
	b := e.proxy.current()
	through := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(b.url) },
		Transport:     b.transport,
		FlushInterval: -1, // send each event of a watch at once
		ErrorLog:      silent,
		ModifyResponse: func(answer *http.Response) error {
			e.proxy.front.log.change(e.request, func(q *Request) { q.Backend = answer.StatusCode })
			return change(answer)
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			switch {
			case errors.Is(err, errDropped):
				e.drop()
			case e.client.Err() == nil:
				e.disconnect() // the API server is down: the client must see that
			}
			panic(http.ErrAbortHandler)
		},
	}
	through.ServeHTTP(e.w, e.r)
}

func (e *exchange) delayed(*http.Response) error {
	e.pause(e.client, e.rule.AnswerDelay)
	return nil
}

// lose waits for the end of the answer, except for a watch, whose answer has no end.
func (e *exchange) lose(answer *http.Response) error {
	if e.request.Verb != "watch" {
		_, _ = io.Copy(io.Discard, answer.Body) // a broken answer is lost too
	}
	e.pause(e.r.Context(), e.rule.AnswerDelay)
	return errDropped
}

func (e *exchange) truncate(answer *http.Response) error {
	e.pause(e.client, e.rule.AnswerDelay)
	answer.Body = &truncated{ReadCloser: answer.Body, left: e.rule.Bytes, end: e.broken}
	return nil
}

// truncated is a body that breaks off after left bytes.
type truncated struct {
	io.ReadCloser
	left int
	end  func() error
}

func (t *truncated) Read(p []byte) (int, error) {
	if t.left == 0 {
		return 0, t.end()
	}
	n, err := t.ReadCloser.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

// broken breaks the connection if the rule's Connection is set, and returns the error
// that makes the server break off the answer.
func (e *exchange) broken() error {
	if e.rule.Connection {
		e.disconnect()
	}
	return errDropped
}

// drop breaks the stream or the connection without an answer.
func (e *exchange) drop() {
	_ = e.broken()
	panic(http.ErrAbortHandler)
}

func (e *exchange) disconnect() {
	if c, ok := e.client.Value(connectionKey{}).(net.Conn); ok {
		reset(c)
	}
}

// answer answers in place of the API server.
func (e *exchange) answer() {
	header := e.w.Header()
	for name, value := range e.rule.Header {
		header.Set(name, value)
	}
	content := []byte(e.rule.Content)
	if len(content) == 0 && e.rule.Status >= 400 {
		content = e.status()
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	e.w.WriteHeader(e.rule.Status)
	_, _ = e.w.Write(content) // the client may be gone
}

// status returns the body that an API server would send with the rule's status.
func (e *exchange) status() []byte {
	q, rule := e.request, e.rule
	after, _ := strconv.Atoi(rule.Header["Retry-After"]) // 0 without the header
	verb := q.Verb
	if verb == "create" {
		verb = http.MethodPost // selects AlreadyExists instead of Conflict
	}
	s := apierrors.NewGenericServerResponse(rule.Status, verb, schema.ParseGroupResource(q.Resource), q.Name, rule.Message, after, false).ErrStatus
	if rule.Status == http.StatusGone {
		s.Reason = metav1.StatusReasonExpired
	}
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	if rule.Message != "" {
		s.Message = strings.NewReplacer("$RESOURCE", q.Resource, "$NAME", q.Name).Replace(rule.Message)
	}
	if rule.Reason != "" {
		s.Reason = metav1.StatusReason(rule.Reason)
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a Status always encodes
	}
	return append(b, '\n')
}

func (e *exchange) sent(status int) {
	e.proxy.front.log.change(e.request, func(q *Request) { q.Status = status })
}

// recorder records the status that is sent.
type recorder struct {
	http.ResponseWriter
	sent func(status int)
}

// WriteHeader records the status and sends it.
func (w *recorder) WriteHeader(status int) {
	w.sent(status)
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap allows http.ResponseController to flush and hijack.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
