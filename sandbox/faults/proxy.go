package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Proxy is the proxy in front of one cluster.
type Proxy struct {
	front  *Front
	target Target

	listener net.Listener
	http     *http.Server
	serving  sync.WaitGroup  // the goroutine of http
	requests sync.WaitGroup  // the requests under way; some outlive their clients
	open     context.Context // ends with the proxy
	end      context.CancelFunc

	mu      sync.Mutex // protects what follows
	backend *backend
	clients map[net.Conn]bool
	ended   bool
}

// backend is an API server that a proxy forwards to.
type backend struct {
	url       *url.URL
	transport *http.Transport
}

// connectionKey is the key of the connection in a request's context.
type connectionKey struct{}

func newProxy(f *Front, t Target) (*Proxy, error) {
	p := &Proxy{front: f, target: t, clients: map[net.Conn]bool{}}
	p.open, p.end = context.WithCancel(context.Background())
	var err error
	if p.backend, err = p.newBackend(t.Server); err != nil {
		return nil, err
	}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	p.http = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{t.Certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          silent,
		ConnState:         p.track,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, c)
		},
	}
	p.serving.Go(func() { _ = p.http.ServeTLS(p.listener, "", "") }) // ends only by close
	return p, nil
}

// enter adds a request to p.requests. It returns false if the proxy is closing.
func (p *Proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.requests.Add(1)
	}
	return !p.ended
}

// silent discards the errors of connections, which break here by design.
var silent = log.New(io.Discard, "", 0)

func (p *Proxy) newBackend(server string) (*backend, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.target.Authority) {
		return nil, errors.New("the certificate authority is not valid PEM")
	}
	return &backend{url: u, transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // only the client decides which encodings it accepts
		MaxIdleConnsPerHost: 100,
		IdleConnTimeout:     time.Minute,
	}}, nil
}

func (p *Proxy) server() string { return "https://" + p.listener.Addr().String() }

// forwardTo makes new requests go to another server, and breaks those under way.
func (p *Proxy) forwardTo(server string) error {
	b, err := p.newBackend(server)
	if err != nil {
		return err
	}
	p.mu.Lock()
	before := p.backend
	p.backend = b
	p.mu.Unlock()
	p.disconnect()
	before.transport.CloseIdleConnections()
	return nil
}

func (p *Proxy) current() *backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backend
}

// track maintains the set of open connections.
func (p *Proxy) track(c net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.clients[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(p.clients, c)
	case http.StateActive, http.StateIdle:
	}
}

func (p *Proxy) disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.clients {
		reset(c)
	}
}

// reset breaks a connection as a crash does: unsent data is lost, and the client gets a
// TCP reset.
func reset(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // fails if the connection is already closed
	}
	_ = c.Close()
}

func (p *Proxy) close() error {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.end()
	err := p.http.Close()
	p.disconnect()
	p.serving.Wait()
	p.requests.Wait()
	p.current().transport.CloseIdleConnections()
	return err
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.requests.Done()
	q := newRequest(p.target.Cluster, r)
	p.front.log.add(q)
	defer p.front.log.change(q, func(q *Request) { q.Ended = true })
	rule, err := p.front.match(p.target.Cluster, r)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	if rule == nil {
		rule = untouched
	} else {
		p.front.log.change(q, func(q *Request) { q.Rule = rule.ID })
	}
	e := &exchange{proxy: p, rule: rule, request: q, r: r, client: r.Context()}
	e.w = &recorder{ResponseWriter: w, sent: e.sent}
	e.act()
}

// untouched is the rule for requests that no other rule matches.
var untouched = &active{Rule: Rule{Action: Forward}}
