package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/fedsync/fedsync/pkg/bounds"
)

// session is one conversation with a remote's git-upload-pack. It lists the
// refs, and can then send one pack.
type session interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	io.Closer
}

// conversation is a session together with what is needed to explain its errors.
type conversation struct {
	session
	adv *packp.AdvRefs // the refs

	at        location
	opts      Options
	exceeded  atomic.Bool  // more bytes were received than the limit allows
	webPage   atomic.Bool  // it answered with a web page
	elsewhere atomic.Value // the other host that it redirects to, a string

	ctx    context.Context // the conversation's lifetime; a slow remote ends it
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// list starts a conversation and lists the refs. The conversation ends when ctx
// does, when the remote takes longer than the timeout, or with end.
func (r *remote) list(ctx context.Context) (*conversation, error) {
	c := &conversation{at: r.at, opts: r.opts}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.timer = time.AfterFunc(r.opts.Timeout, func() { c.cancel(errTimeout) })
	err := r.open(c)
	if err == nil {
		c.adv, err = c.AdvertisedReferencesContext(c.ctx)
	}
	if err == nil {
		err = refuseDumb(c.adv)
	}
	if err != nil {
		err = c.explain(err)
		c.end()
		return nil, err
	}
	return c, nil
}

// more restarts the remote's timeout for the next request.
func (c *conversation) more() { c.timer.Reset(c.opts.Timeout) }

// end ends the conversation.
func (c *conversation) end() {
	c.timer.Stop()
	if c.session != nil {
		_ = c.Close() // It is over, whatever happens to the connection.
	}
	c.cancel(nil)
}

func (r *remote) open(c *conversation) (err error) {
	if r.at.scheme == schemeSSH {
		c.session, err = r.openSSH(c)
		return err
	}
	c.session, err = r.openHTTP(c)
	return err
}

func (r *remote) openHTTP(c *conversation) (session, error) {
	auth, err := r.credentials.http()
	if err != nil {
		return nil, err
	}
	base, err := r.credentials.client()
	if err != nil {
		return nil, err
	}
	// git http-backend finds nothing below a path that ends with a slash.
	endpoint, err := transport.NewEndpoint(strings.TrimRight(r.at.text, "/"))
	if err != nil {
		return nil, err
	}
	client := githttp.NewClient(&http.Client{
		Transport: &bounds.Outside{
			Next:    &limitedTransport{base: base, max: r.opts.Limits.RepositoryBytes, exceeded: &c.exceeded, webPage: &c.webPage},
			Secrets: r.opts.Secrets,
			Most: func(req *http.Request) int64 {
				if req.Method == http.MethodGet {
					return bounds.RefsBytes
				}
				return 0 // the underlying transport has the bound
			},
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if req.URL.Host != via[0].URL.Host {
				c.elsewhere.Store(req.URL.Host)
			}
			return refuseCleartext(req)
		},
	})
	if auth == nil {
		return client.NewUploadPackSession(endpoint, nil)
	}
	return client.NewUploadPackSession(endpoint, auth)
}

// refuseCleartext refuses redirects to addresses that Options.URL may not name.
// go-git itself refuses to go from https to http and drops the credentials when
// the host changes.
func refuseCleartext(req *http.Request) error {
	if req.URL.Scheme == "http" && !loopback(req.URL.Hostname()) {
		return errors.New("redirected to http, which is not encrypted")
	}
	return nil
}

// limitedTransport bounds the body of each response.
type limitedTransport struct {
	base     http.RoundTripper
	max      int64
	exceeded *atomic.Bool
	webPage  *atomic.Bool
}

// RoundTrip does one request.
func (t *limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK && strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.webPage.Store(true)
	}
	res.Body = &limitedReader{r: res.Body, left: t.max, exceeded: t.exceeded, closer: res.Body}
	return res, nil
}

// limitedReader returns an error and sets exceeded when more than left bytes
// are read. go-git does not always wrap errors, so the error alone could be
// lost.
type limitedReader struct {
	r        io.Reader
	left     int64
	exceeded *atomic.Bool
	closer   io.Closer
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, errTooMuch
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		l.exceeded.Store(true)
		return n - 1, errTooMuch
	}
	return n, err
}

func (l *limitedReader) Close() error { return l.closer.Close() }

var errTooMuch = errors.New("more bytes than the limit allows")

// refuseDumb returns an error for servers that lack what is needed of Git's
// protocol.
func refuseDumb(ar *packp.AdvRefs) error {
	if ar == nil || ar.Capabilities == nil || !ar.Capabilities.Supports("shallow") {
		return fmt.Errorf("%w: its server cannot send a single revision (it lacks the capability shallow)", ErrUnreadable)
	}
	return nil
}
