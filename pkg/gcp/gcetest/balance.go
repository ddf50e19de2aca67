package gcetest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// balance is the state of the balancing. Server.mu protects it.
type balance struct {
	credit     map[[2]key]float64          // of a group in a backend service
	turn       map[[2]key]int              // the index of its next endpoint
	transports map[endpoint]*pooled        // with their idle connections
	under      map[endpoint]map[*flow]bool // requests under way
}

type pooled struct {
	protocol  string
	transport *http.Transport
}

// flow is a request under way.
type flow struct{ cancel context.CancelFunc }

var errNoHealthy = errors.New("no healthy upstream")

// pick returns the next endpoint of a backend service. Groups with a healthy endpoint are
// chosen by their share of the capacity, and the endpoints of a group in turn. A group
// without capacity gets nothing. The caller holds s.mu.
func (s *Server) pick(service key, tried []endpoint) (endpoint, *balanced, error) {
	b := s.table().services[service]
	if b == nil {
		return endpoint{}, nil, errNoHealthy
	}
	var best *poolGroup
	var bestHealthy []endpoint
	total := 0.0
	credit := s.traffic.balance.credit
	for i := range b.groups {
		g := &b.groups[i]
		healthy := s.healthy(g, tried)
		weight := g.capacity * g.rate
		if g.each {
			weight *= float64(len(healthy))
		}
		if len(healthy) == 0 || weight <= 0 {
			continue
		}
		at := [2]key{service, g.key}
		credit[at] += weight
		total += weight
		if best == nil || credit[at] > credit[[2]key{service, best.key}] {
			best, bestHealthy = g, healthy
		}
	}
	if best == nil {
		return endpoint{}, b, errNoHealthy
	}
	at := [2]key{service, best.key}
	credit[at] -= total
	s.traffic.balance.turn[at]++
	return bestHealthy[s.traffic.balance.turn[at]%len(bestHealthy)], b, nil
}

func (s *Server) healthy(g *poolGroup, tried []endpoint) []endpoint {
	var out []endpoint
	for _, e := range g.endpoints {
		if p := s.probes.running[e]; p != nil && p.well && !slices.Contains(tried, e) {
			out = append(out, e)
		}
	}
	return out
}

// start picks an endpoint and registers the request there, so that it can be canceled.
// The transport has connections only to this endpoint.
func (s *Server) start(service key, tried []endpoint, f *flow) (endpoint, *http.Transport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, b, err := s.pick(service, tried)
	if err != nil {
		return e, nil, err
	}
	if s.traffic.balance.under[e] == nil {
		s.traffic.balance.under[e] = map[*flow]bool{}
	}
	s.traffic.balance.under[e][f] = true
	p := s.traffic.balance.transports[e]
	if p == nil || p.protocol != b.service.Protocol {
		p = &pooled{b.service.Protocol, s.transportTo(e, b.service.Protocol)}
		s.traffic.balance.transports[e] = p
	}
	return e, p.transport, nil
}

func (s *Server) end(e endpoint, f *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.traffic.balance.under[e], f)
	if len(s.traffic.balance.under[e]) == 0 {
		delete(s.traffic.balance.under, e)
	}
}

// cutAfter cancels the requests of a removed endpoint after the time to drain. The caller
// holds s.mu.
func (s *Server) cutAfter(e endpoint, drain time.Duration) {
	if p := s.traffic.balance.transports[e]; p != nil {
		delete(s.traffic.balance.transports, e)
		p.transport.CloseIdleConnections()
	}
	flows := make([]*flow, 0, len(s.traffic.balance.under[e]))
	for f := range s.traffic.balance.under[e] {
		flows = append(flows, f)
	}
	if len(flows) == 0 {
		return
	}
	time.AfterFunc(drain, func() {
		for _, f := range flows {
			f.cancel()
		}
	})
}

// upstream sends requests to an endpoint of the backend service in their context.
type upstream struct{ server *Server }

// RoundTrip retries a GET without an answer one time at another endpoint, as the load
// balancer does.
func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	service, _ := r.Context().Value(serviceKey{}).(key)
	var tried []endpoint
	for {
		ctx, cancel := context.WithCancel(r.Context())
		f := &flow{cancel: cancel}
		e, transport, err := u.server.start(service, tried, f)
		if err != nil {
			cancel()
			return nil, err
		}
		out := r.Clone(ctx)
		out.URL.Host = e.hostPort()
		out.URL.Scheme = "http"
		if transport.Protocols.HTTP2() || u.server.secure(service) {
			out.URL.Scheme = "https"
		}
		answer, err := transport.RoundTrip(out)
		if err == nil {
			answer.Body = &trackedBody{ReadCloser: answer.Body, end: func() { u.server.end(e, f); cancel() }}
			return answer, nil
		}
		u.server.end(e, f)
		cancel()
		tried = append(tried, e)
		again := len(tried) == 1 && r.Method == http.MethodGet && r.Body == nil && r.Context().Err() == nil
		if !again {
			return nil, err
		}
	}
}

type serviceKey struct{}

func (s *Server) secure(service key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.table().services[service]
	return b != nil && b.service.Protocol == "HTTPS"
}

// trackedBody ends the flow when the body is closed. The body is writable if the
// connection was switched to another protocol.
type trackedBody struct {
	io.ReadCloser
	end func()
}

func (b *trackedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// Write sends to the backend after an upgrade.
func (b *trackedBody) Write(p []byte) (int, error) {
	w, ok := b.ReadCloser.(io.Writer)
	if !ok {
		return 0, errors.New("the answer's body is not writable")
	}
	return w.Write(p)
}
