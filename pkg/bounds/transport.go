package bounds

import (
	"cmp"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fedsync/fedsync/pkg/failure"
)

// guardTransport is the transport of a guard.
type guardTransport struct {
	guard *Guard
	next  http.RoundTripper
}

// WrappedRoundTripper returns the wrapped transport to client-go.
func (t *guardTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// RoundTrip implements http.RoundTripper.
func (t *guardTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	g := t.guard
	g.secrets.LearnHeader(req.Header.Get("Authorization"))
	if visitingOf(req) != nil && req.URL.Query().Has("continue") {
		if err := wait(req.Context(), g.pace.work(pageWork, time.Now()), nil); err != nil {
			return nil, err
		}
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		switch {
		case isEndlessHeader(err):
			return nil, g.caught(req, failure.Misbehaves("answers %s with headers of more than %s", g.name(req), size(HeaderBytes)))
		case strings.Contains(err.Error(), "connection error: PROTOCOL_ERROR"):
			// Much longer headers also cause this error.
			return nil, g.caught(req, failure.Misbehaves("answers %s with invalid HTTP/2, or with headers of more than %s", g.name(req), size(HeaderBytes)))
		}
		return nil, g.secrets.Error(err)
	}
	g.cleanHeader(resp)
	switch {
	case resp.StatusCode >= 400:
		resp.Body = &refusal{g.body(req, resp)}
		g.replaceBody(resp, RefusalBytes, g.cleanRefusal)
	case isRedirect(resp.StatusCode):
		_ = resp.Body.Close()
		return nil, g.caught(req, g.redirect(req, resp))
	case !hasRequestedType(req, resp):
		_ = resp.Body.Close()
		return nil, g.caught(req, failure.Misbehaves("answers %s with %s, which is not JSON",
			g.name(req), g.secrets.Mask(short(cmp.Or(resp.Header.Get("Content-Type"), resp.Status)))))
	case isWatch(req) && resp.StatusCode == http.StatusOK:
		resp.Body = g.events(req, resp)
	default:
		most := limitOf(req)
		if resp.ContentLength > int64(most.bytes) {
			_ = resp.Body.Close()
			return nil, g.caught(req, g.tooLarge(req, most, count{bytes: int(resp.ContentLength)}))
		}
		resp.Body = &whole{body: g.body(req, resp), most: most}
		switch page := visitingOf(req); {
		case page != nil:
			resp.Body = &visited{ReadCloser: resp.Body, guard: g, req: req, page: page}
		case isCleaned(req):
			g.replaceBody(resp, objectLimit.bytes+1, g.cleanObject)
		}
	}
	return resp, nil
}

// limit is the limit on one answer.
type limit struct{ bytes, values int }

// figure formats the limit that is exceeded.
func (l limit) figure(has count) string {
	if has.bytes > l.bytes {
		return size(l.bytes)
	}
	return fmt.Sprintf("%d values", l.values)
}

var objectLimit = limit{ObjectBytes, ObjectValues}

// limitOf returns the limit on the answer to a request. It recognizes lists by
// their page size, which all of them request.
func limitOf(req *http.Request) limit {
	if req.Method == http.MethodGet && req.URL.Query().Has("limit") {
		return limit{ListBytes, ListValues}
	}
	return objectLimit
}

func isWatch(req *http.Request) bool {
	watch := req.URL.Query().Get("watch")
	return watch == "true" || watch == "1"
}

func isRedirect(code int) bool { return code >= 300 && code < 400 && code != http.StatusNotModified }

// hasRequestedType reports whether an answer to a request for JSON is JSON. Only
// JSON is counted correctly, so nothing else must be decoded.
func hasRequestedType(req *http.Request, resp *http.Response) bool {
	if !strings.Contains(req.Header.Get("Accept"), runtime.ContentTypeJSON) {
		return true // a probe
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == runtime.ContentTypeJSON && resp.StatusCode != http.StatusSwitchingProtocols
}

// redirect returns the error for a redirect. An API server never redirects. A
// redirect from something in its place is not followed, since the target would
// receive our credentials and writes.
func (g *Guard) redirect(req *http.Request, resp *http.Response) *failure.Misbehaviour {
	target := ""
	if to, err := resp.Location(); err == nil && to.Host != req.URL.Host {
		target = " to " + g.secrets.Mask(short(to.Host))
	}
	return failure.Misbehaves("answers %s with a redirect%s (%d %s), which is not followed: "+
		"correct the server's address in the kubeconfig", g.name(req), target, resp.StatusCode, http.StatusText(resp.StatusCode))
}

// caught reports a misbehaviour, and returns it.
func (g *Guard) caught(req *http.Request, m *failure.Misbehaviour) *failure.Misbehaviour {
	if !failure.Caught(req.Context(), m) {
		g.misbehaved(m)
	}
	return m
}

// tooLarge returns the error for an answer that exceeds a limit.
func (g *Guard) tooLarge(req *http.Request, most limit, has count) *failure.Misbehaviour {
	return failure.Misbehaves("answers %s with more than %s", g.name(req), most.figure(has))
}

// name describes a request, as in "GET /apis".
func (g *Guard) name(req *http.Request) string {
	return req.Method + " " + g.secrets.Mask(short(req.URL.Path))
}

// shortMost is how many bytes of a name are shown.
const shortMost = 200

func short(text string) string {
	if len(text) > shortMost {
		text = strings.ToValidUTF8(text[:shortMost], "") + "…"
	}
	return text
}

func size(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// isEndlessHeader recognises the errors of net/http, which have no type.
func isEndlessHeader(err error) bool {
	text := err.Error()
	return strings.Contains(text, "server response headers exceeded") ||
		strings.Contains(text, "response header list larger than advertised limit") ||
		strings.Contains(text, "too many 1xx informational responses")
}

// cleanHeader removes the secrets from an answer's headers and status line. Warnings
// are logged, and the status line is quoted.
func (g *Guard) cleanHeader(resp *http.Response) {
	resp.Status = g.secrets.Mask(resp.Status)
	for _, values := range resp.Header {
		for i, value := range values {
			values[i] = g.secrets.Clean(value)
		}
	}
}
