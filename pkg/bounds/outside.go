package bounds

import (
	"io"
	"net/http"
	"strings"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/failure"
)

// RefsBytes bounds a Git server's list of refs, in bytes: enough for half a
// million.
const RefsBytes = 32 << 20

// Outside is the transport of a client of anything but a cluster: a forge, a Git
// server, a cloud. It learns the credentials in requests and removes them from
// failures, and it refuses endless answers. It does not follow redirects: a client that
// does must not send a credential to another host.
type Outside struct {
	Next    http.RoundTripper // sends requests; it must bound headers, as Headers does
	Secrets *secret.Set       // collects credentials
	// Most returns the limit on the answer to a request, in bytes after
	// decompression. Nil, or zero, means no limit.
	Most func(*http.Request) int64
}

// Headers returns a copy of a transport, with a limit on the headers of
// answers.
func Headers(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.MaxResponseHeaderBytes = HeaderBytes
	return t
}

// RoundTrip implements http.RoundTripper.
func (o *Outside) RoundTrip(req *http.Request) (*http.Response, error) {
	o.Secrets.LearnHeader(req.Header.Get("Authorization"))
	o.Secrets.Learn(secret.OfProxy(req)...)
	resp, err := o.Next.RoundTrip(req)
	if err != nil {
		if isEndlessHeader(err) {
			return nil, failure.Misbehaves("answers %s with headers of more than %s", o.name(req), size(HeaderBytes))
		}
		return nil, o.Secrets.Error(err)
	}
	g := Guard{secrets: o.Secrets}
	g.cleanHeader(resp)
	if resp.StatusCode >= 400 {
		g.replaceBody(resp, RefusalBytes, g.cleanRefusal)
		return resp, nil
	}
	if most := o.most(req); most > 0 {
		resp.Body = &ended{ReadCloser: resp.Body, left: most, exceeded: func() error {
			return failure.Misbehaves("answers %s with more than %s", o.name(req), size(int(most)))
		}}
	}
	return resp, nil
}

func (o *Outside) most(req *http.Request) int64 {
	if o.Most == nil {
		return 0
	}
	return o.Most(req)
}

func (o *Outside) name(req *http.Request) string {
	return req.Method + " " + o.Secrets.Mask(short(strings.ToValidUTF8(req.URL.Path, "\uFFFD")))
}

// ended is a body that returns an error when more than left bytes are read.
type ended struct {
	io.ReadCloser
	left     int64
	exceeded func() error
	err      error // returned by all later reads; nil for none
}

// Read implements io.Reader.
func (e *ended) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if int64(len(p)) > e.left+1 {
		p = p[:e.left+1]
	}
	n, err := e.ReadCloser.Read(p)
	if e.left -= int64(n); e.left < 0 {
		_ = e.Close()
		e.err = e.exceeded()
		return n - 1, e.err
	}
	return n, err
}
