package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

// answer is the result of one request.
type answer struct {
	failure federation.FailureClass
	message string // why it failed, without secrets
	body    []byte // if it did not fail
}

// asker sends one request at a time to an API server and never waits longer than its
// timeout.
type asker struct {
	cfg     *rest.Config
	timeout time.Duration
	secrets *secret.Set

	client *http.Client // created at the first request with a usable cfg
	base   *url.URL

	// pending is closed when the last request's goroutine has ended; nil before the
	// first. Only a credentials plugin that hangs can keep it open for long.
	pending chan struct{}
}

func newAsker(cfg *rest.Config, timeout time.Duration, guard *bounds.Guard) *asker {
	cfg = guard.Attach(cfg)
	cfg.Timeout = 0 // the context's deadline is the timeout
	// HTTP/1.1 gives each probe a connection, and closes it when the probe fails: the
	// next probe cannot inherit a connection that hangs.
	cfg.NextProtos = []string{"http/1.1"}
	// client-go shares transports between equal configurations. A configuration with a
	// dialer of its own gets a transport of its own, which may be wrapped.
	cfg.Dial = bounds.OwnDialer(cfg.Dial)
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return &wire{rt} })
	return &asker{cfg: cfg, timeout: timeout, secrets: guard.Secrets()}
}

// get requests one path. It returns within the timeout, even if name resolution, the
// connection, the server or a credentials plugin hangs.
func (a *asker) get(ctx context.Context, path string) answer {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()

	if a.pending != nil {
		select {
		case <-a.pending:
		case <-ctx.Done():
			return a.timedOut(&attempt{})
		}
	}
	if err := a.connect(); err != nil {
		return answer{failure: federation.FailureContext, message: a.clean(err.Error())}
	}

	tried := &attempt{}
	done := make(chan answer, 1) // has room for an abandoned answer
	ended := make(chan struct{})
	a.pending = ended
	go func() {
		defer close(ended)
		done <- a.request(ctx, tried, path)
	}()
	select {
	case answer := <-done:
		return answer
	case <-ctx.Done():
		return a.timedOut(tried)
	}
}

// version requests the server's version. done is false if another request may succeed
// later; a server that forbids the request never answers it.
func (a *asker) version(ctx context.Context) (version string, done bool) {
	answer := a.get(ctx, "version")
	if answer.failure != federation.FailureNone {
		return "", answer.failure == federation.FailureForbidden
	}
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(answer.body, &v); err != nil {
		return "", true
	}
	// A truncated secret could not be recognised, so mask first.
	return untrusted.Clean(a.secrets.Mask(v.GitVersion), maxVersion), true
}

// maxVersion is the longest version in bytes; the rest is cut off.
const maxVersion = 64

// close waits for the last request, at most for its timeout, and closes the connections.
func (a *asker) close() {
	if a.pending != nil {
		timer := time.NewTimer(a.timeout)
		defer timer.Stop()
		select {
		case <-a.pending:
		case <-timer.C:
		}
	}
	if a.client != nil {
		utilnet.CloseIdleConnectionsFor(a.client.Transport)
	}
}

func (a *asker) connect() error {
	if a.client != nil {
		return nil
	}
	base, _, err := rest.DefaultServerUrlFor(a.cfg)
	if err != nil {
		return fmt.Errorf("read the cluster's address: %w", err)
	}
	transport, err := rest.TransportFor(a.cfg)
	if err != nil {
		return fmt.Errorf("read the cluster's credentials: %w", err)
	}
	a.base = base
	a.client = &http.Client{
		Transport: transport,
		// The guard answers first. This still holds if it is wrapped later.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

func (a *asker) request(ctx context.Context, tried *attempt, path string) answer {
	ctx = httptrace.WithClientTrace(context.WithValue(ctx, attemptKey{}, tried), tried.trace())
	ctx = failure.Catching(ctx, func(*failure.Misbehaviour) {}) // it is in the answer
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base.JoinPath(path).String(), http.NoBody)
	if err != nil {
		return answer{failure: federation.FailureContext, message: a.clean(err.Error())}
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return a.failed(ctx, tried, err)
	}
	defer resp.Body.Close() //nolint:errcheck // It was only read.

	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if failure := failure.OfAnswer(resp.StatusCode, resp.Header).Class; failure != federation.FailureNone {
		text := strings.TrimSuffix(fmt.Sprintf("GET /%s: %s: %s", path, resp.Status, reason(body)), ": ")
		return answer{failure: failure, message: a.clean(text)}
	}
	if err != nil {
		return a.failed(ctx, tried, err)
	}
	return answer{body: body}
}

func (a *asker) failed(ctx context.Context, tried *attempt, err error) answer {
	if ctx.Err() != nil {
		return a.timedOut(tried)
	}
	class := failure.Of(err).Class
	if tried.phase() == phaseCredentials {
		// Nothing was sent: a plugin or a token file failed. That is our fault and not
		// the cluster's, which must not be evacuated because of it.
		class = federation.FailureUnauthorised
	}
	if m, ok := errors.AsType[*failure.Misbehaviour](err); ok {
		return answer{failure: class, message: a.clean(m.What)}
	}
	// The URL is from the kubeconfig, which the reader knows; it makes messages long.
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return answer{failure: class, message: a.clean(err.Error())}
}

// timedOut returns the answer to a request that timed out. The class depends on what
// hung.
func (a *asker) timedOut(tried *attempt) answer {
	status := int(tried.status.Load())
	if class := failure.OfAnswer(status, nil).Class; status != 0 && class != federation.FailureNone {
		// It was answered. The plugin that client-go calls after a 401 hung.
		return answer{
			failure: class,
			message: fmt.Sprintf("%d %s, and no new credentials within %v", status, http.StatusText(status), a.timeout),
		}
	}
	phase := tried.phase()
	class := federation.FailureTimeout
	switch phase {
	case phaseCredentials:
		class = federation.FailureUnauthorised
	case phaseName:
		class = federation.FailureDNS
	case phaseConnection, phaseHandshake, phaseAnswer:
	}
	return answer{failure: class, message: fmt.Sprintf("no answer within %v: %s", a.timeout, phase)}
}

// clean makes a cluster's text safe to show.
func (a *asker) clean(text string) string { return untrusted.Line(a.secrets.Mask(text)) }

// reason extracts the reason from a failed answer: the message of a Status, the failed
// checks of a /readyz, or else the first line.
func reason(body []byte) string {
	var status struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &status) == nil && status.Message != "" {
		return status.Message
	}
	lines := strings.Split(strings.TrimSpace(string(body)), "\n")
	var failed []string
	for _, line := range lines {
		if check, ok := strings.CutPrefix(line, "[-]"); ok {
			failed = append(failed, check)
		}
	}
	if len(failed) > 0 {
		return strings.Join(failed, "; ")
	}
	return lines[0]
}

// phase is how far a request got.
type phase int32

const (
	phaseCredentials phase = iota // nothing was sent: the credentials are being created or read
	phaseName
	phaseConnection
	phaseHandshake
	phaseAnswer
)

func (p phase) String() string {
	switch p {
	case phaseCredentials:
		return "the credentials plugin of the kubeconfig did not answer"
	case phaseName:
		return "the name was not resolved"
	case phaseConnection:
		return "no connection"
	case phaseHandshake:
		return "connected, no TLS handshake"
	case phaseAnswer:
		return "connected, the request was not answered"
	}
	return "unknown phase"
}

// attempt records how far one request got. The goroutine that abandons it reads what the
// sending one writes.
type attempt struct {
	at     atomic.Int32 // a phase
	status atomic.Int32 // of the answer, 0 before
}

type attemptKey struct{}

func (a *attempt) phase() phase { return phase(a.at.Load()) }

func (a *attempt) trace() *httptrace.ClientTrace {
	reach := func(p phase) { a.at.Store(int32(p)) }
	return &httptrace.ClientTrace{
		GetConn:           func(string) { reach(phaseConnection) },
		DNSStart:          func(httptrace.DNSStartInfo) { reach(phaseName) },
		DNSDone:           func(httptrace.DNSDoneInfo) { reach(phaseConnection) },
		TLSHandshakeStart: func() { reach(phaseHandshake) },
		GotConn:           func(httptrace.GotConnInfo) { reach(phaseAnswer) },
	}
}

// wire is below client-go's credentials and sees the real answers.
type wire struct{ next http.RoundTripper }

// RoundTrip passes the request on and records the answer's status.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	tried, ok := req.Context().Value(attemptKey{}).(*attempt)
	if !ok {
		return w.next.RoundTrip(req)
	}
	resp, err := w.next.RoundTrip(req)
	if err == nil {
		tried.status.Store(int32(resp.StatusCode))
	}
	return resp, err
}

// WrappedRoundTripper allows client-go to find the transport to close.
func (w *wire) WrappedRoundTripper() http.RoundTripper { return w.next }
