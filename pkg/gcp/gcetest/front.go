package gcetest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// fronts is an HTTP server that receives its connections from the proxy, each with the
// address that the client asked for.
type fronts struct {
	server *Server
	web    *http.Server
	conns  chan net.Conn // unbuffered, so that each connection is served or closed
	stop   chan struct{}
	once   sync.Once
	addr   net.Addr
}

// frontConn is a connection to an address of a forwarding rule.
type frontConn struct {
	net.Conn
	in      io.Reader
	address string
	single  bool // it carries only one request
}

func (c *frontConn) Read(p []byte) (int, error) { return c.in.Read(p) }

type connKey struct{}

func (s *Server) newFronts(addr net.Addr) *fronts {
	f := &fronts{server: s, conns: make(chan net.Conn), stop: make(chan struct{}), addr: addr}
	proxy := &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: upstream{s}, ErrorHandler: s.upstreamError, FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error { r.Header.Add("Via", via); return nil },
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	f.web = &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveFront(w, r, proxy) }),
		ConnContext: connContext, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate},
	}
	return f
}

func connContext(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, conn)
}

func (f *fronts) serve()    { _ = f.web.Serve(f) }
func (f *fronts) serveTLS() { _ = f.web.ServeTLS(f, "", "") }
func (f *fronts) close()    { _ = f.web.Close() }

func (f *fronts) take(conn net.Conn) {
	select {
	case f.conns <- conn:
	case <-f.stop:
		_ = conn.Close()
	}
}

// Accept implements net.Listener.
func (f *fronts) Accept() (net.Conn, error) {
	select {
	case conn := <-f.conns:
		return conn, nil
	case <-f.stop:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *fronts) Close() error {
	f.once.Do(func() { close(f.stop) })
	return nil
}

// Addr implements net.Listener.
func (f *fronts) Addr() net.Addr { return f.addr }

// certificate returns the first certificate for the name that the client asks for, or
// else the first of all.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	conn, ok := hello.Conn.(*frontConn)
	if !ok {
		return nil, errors.New("no forwarding rule for the connection")
	}
	f := s.front(conn.address)
	if f == nil || len(f.certificates) == 0 {
		return nil, errors.New("no certificate")
	}
	for _, c := range f.certificates {
		if c.Leaf != nil && c.Leaf.VerifyHostname(hello.ServerName) == nil {
			return c, nil
		}
	}
	return f.certificates[0], nil
}

const via = "1.1 google"

// serveFront routes a request by the URL map.
func (s *Server) serveFront(w http.ResponseWriter, r *http.Request, proxy http.Handler) {
	conn, _ := r.Context().Value(connKey{}).(*frontConn)
	if conn == nil {
		panic(http.ErrAbortHandler)
	}
	f := s.front(conn.address)
	if f == nil {
		panic(http.ErrAbortHandler) // the rule is gone, so its connections end
	}
	if conn.single {
		w.Header().Set("Connection", "close")
	}
	r.Header.Del("Proxy-Connection")
	scheme := "http"
	if f.https {
		scheme = "https"
	}
	to := route(f.urlMap, &routeRequest{host: r.Host, path: r.URL.Path, scheme: scheme, header: r.Header, query: r.URL.Query()})
	if to.redirect != nil {
		location, code := redirected(to, r, scheme)
		w.Header().Set("Location", location)
		w.Header().Set("Via", via)
		w.WriteHeader(code)
		return
	}
	if to.action != nil && aborts(to.action, w) {
		return
	}
	s.forward(w, r, to, &hop{scheme: scheme, address: f.rule.IPAddress}, proxy)
}

// hop is what a request's context holds about its routing so far.
type hop struct {
	scheme, address string
	action          *compute.HttpRouteAction
	prefix          string
}

type hopKey struct{}

// forward sends the request to the backend service, within the service's timeout.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, to routed, h *hop, proxy http.Handler) {
	h.action, h.prefix = to.action, to.prefix
	service := mustKey(to.service)
	if to.service == "" {
		service = weighted(to.action)
	}
	s.mu.Lock()
	timeout := 30 * time.Second
	if b := s.table().services[service]; b != nil && b.service.TimeoutSec > 0 {
		timeout = time.Duration(b.service.TimeoutSec) * time.Second
	}
	s.mu.Unlock()
	ctx := context.WithValue(context.WithValue(r.Context(), serviceKey{}, service), hopKey{}, h)
	if r.Header.Get("Upgrade") == "" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
}

func weighted(action *compute.HttpRouteAction) key {
	total := int64(0)
	for _, w := range action.WeightedBackendServices {
		total += w.Weight
	}
	if total == 0 {
		return key{}
	}
	at := rand.Int64N(total)
	for _, w := range action.WeightedBackendServices {
		if at -= w.Weight; at < 0 {
			return mustKey(w.BackendService)
		}
	}
	return key{}
}

// rewrite sets what the load balancer adds to a request.
func rewrite(r *httputil.ProxyRequest) {
	h, _ := r.In.Context().Value(hopKey{}).(*hop)
	r.Out.Host = r.In.Host
	client, _, _ := net.SplitHostPort(r.In.RemoteAddr)
	forwarded := slices.Concat(r.In.Header["X-Forwarded-For"], []string{client, h.address})
	r.Out.Header.Set("X-Forwarded-For", strings.Join(forwarded, ", "))
	r.Out.Header.Set("X-Forwarded-Proto", h.scheme)
	r.Out.Header.Set("Via", via)
	if h.action == nil || h.action.UrlRewrite == nil {
		return
	}
	if prefix := h.action.UrlRewrite.PathPrefixRewrite; prefix != "" {
		r.Out.URL.Path = prefix + strings.TrimPrefix(r.In.URL.Path, h.prefix)
		r.Out.URL.RawPath = ""
	}
	if host := h.action.UrlRewrite.HostRewrite; host != "" {
		r.Out.Host = host
	}
}

// aborts answers a share of the requests by fault injection, and reports whether it did.
func aborts(action *compute.HttpRouteAction, w http.ResponseWriter) bool {
	if action.FaultInjectionPolicy == nil || action.FaultInjectionPolicy.Abort == nil {
		return false
	}
	abort := action.FaultInjectionPolicy.Abort
	if rand.Float64()*100 >= abort.Percentage {
		return false
	}
	w.Header().Set("Via", via)
	http.Error(w, "fault filter abort", int(abort.HttpStatus))
	return true
}

func redirected(to routed, r *http.Request, scheme string) (string, int) {
	u := url.URL{Scheme: scheme, Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if to.redirect.HttpsRedirect {
		u.Scheme = "https"
		if host, port, err := net.SplitHostPort(u.Host); err == nil && port == "80" {
			u.Host = host
		}
	}
	if to.redirect.HostRedirect != "" {
		u.Host = to.redirect.HostRedirect
	}
	switch {
	case to.redirect.PathRedirect != "":
		u.Path, u.RawPath = to.redirect.PathRedirect, ""
	case to.redirect.PrefixRedirect != "":
		u.Path, u.RawPath = to.redirect.PrefixRedirect+strings.TrimPrefix(r.URL.Path, to.prefix), ""
	}
	if to.redirect.StripQuery {
		u.RawQuery = ""
	}
	return u.String(), redirectCodes[to.redirect.RedirectResponseCode]
}

// upstreamError answers a request that no backend answered.
func (s *Server) upstreamError(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Via", via)
	switch {
	case errors.Is(err, errNoHealthy):
		http.Error(w, "no healthy upstream", http.StatusBadGateway)
	case errors.Is(err, context.DeadlineExceeded):
		http.Error(w, "upstream request timeout", http.StatusGatewayTimeout)
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has gone
	default:
		http.Error(w, "upstream connect error or disconnect/reset before headers", http.StatusBadGateway)
	}
}
