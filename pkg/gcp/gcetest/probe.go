package gcetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// probes are the probes of all endpoints. Server.mu protects them.
type probes struct {
	running map[endpoint]*probe
	pools   map[key]*balanced // the pools that are probed
}

// probe is the probe of one endpoint. Server.mu protects it.
type probe struct {
	check  *compute.HealthCheck
	cancel context.CancelFunc
	drain  time.Duration
	known  bool // an answer, or its absence, has been seen
	well   bool // as getHealth shows it
	streak int64
}

// startProbes runs one goroutine for each endpoint that a forwarding rule leads to.
func (s *Server) startProbes() {
	s.probes.running, s.probes.pools = map[endpoint]*probe{}, map[key]*balanced{}
	s.work.Go(func() {
		for {
			change := s.changes()
			s.adjustProbes()
			select {
			case <-change:
			case <-s.stop:
				s.mu.Lock()
				for _, p := range s.probes.running {
					p.cancel()
				}
				s.mu.Unlock()
				return
			}
		}
	})
}

// adjustProbes adjusts the probes to the pools that have changed.
func (s *Server) adjustProbes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	services := s.table().services
	for k, old := range s.probes.pools {
		if services[k] == nil {
			s.adjustPool(old, nil)
			delete(s.probes.pools, k)
		}
	}
	for k, pool := range services {
		if old := s.probes.pools[k]; old != pool {
			s.adjustPool(old, pool)
			s.probes.pools[k] = pool
		}
	}
}

// adjustPool starts probes of new endpoints and ends those of removed ones. A healthy
// endpoint stays healthy when its health check changes. Either pool may be nil.
func (s *Server) adjustPool(old, pool *balanced) {
	stay := map[endpoint]bool{}
	for e := range pool.probed() {
		stay[e] = true
		p := s.probes.running[e]
		if p == nil {
			p = s.startProbe(e, pool.check)
		}
		p.check, p.drain = pool.check, pool.draining()
	}
	for e := range old.probed() {
		if p := s.probes.running[e]; p != nil && !stay[e] {
			p.cancel()
			delete(s.probes.running, e)
			s.cutAfter(e, p.drain)
		}
	}
}

// probed returns the endpoints of a pool; none if it has no health check.
func (b *balanced) probed() iter.Seq[endpoint] {
	return func(yield func(endpoint) bool) {
		if b == nil || b.check == nil {
			return
		}
		for _, g := range b.groups {
			for _, e := range g.endpoints {
				if !yield(e) {
					return
				}
			}
		}
	}
}

func (s *Server) startProbe(e endpoint, check *compute.HealthCheck) *probe {
	ctx, cancel := context.WithCancel(context.Background())
	p := &probe{check: check, cancel: cancel}
	s.probes.running[e] = p
	s.work.Go(func() { s.probe(ctx, e, p) })
	return p
}

// probe probes an endpoint until its context ends, the first time at once.
func (s *Server) probe(ctx context.Context, e endpoint, p *probe) {
	for ctx.Err() == nil {
		s.mu.Lock()
		check := p.check
		s.mu.Unlock()
		interval := time.Duration(check.CheckIntervalSec) * time.Second
		if s.options.ProbeInterval > 0 {
			interval = s.options.ProbeInterval
		}
		next := time.NewTimer(interval)
		timeout, cancel := context.WithTimeout(ctx, time.Duration(check.TimeoutSec)*time.Second)
		err := s.ask(timeout, e, check)
		cancel()
		if ctx.Err() == nil {
			s.mu.Lock()
			p.count(err == nil)
			s.mu.Unlock()
		}
		select {
		case <-next.C:
		case <-ctx.Done():
		}
		next.Stop()
	}
}

// count applies the thresholds. A new endpoint is unhealthy until enough probes in a row
// succeed.
func (p *probe) count(success bool) {
	p.known = true
	if success == p.well {
		p.streak = 0
		return
	}
	p.streak++
	threshold := p.check.HealthyThreshold
	if p.well {
		threshold = p.check.UnhealthyThreshold
	}
	if p.streak >= threshold {
		p.well, p.streak = success, 0
	}
}

// ask probes an endpoint one time.
func (s *Server) ask(ctx context.Context, e endpoint, check *compute.HealthCheck) error {
	if s.options.Dial == nil {
		return errNoNodes
	}
	request := probeOf(check)
	if request.port != 0 {
		e.port = request.port
	}
	if check.Type == "TCP" {
		conn, err := s.reach(ctx, e)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	transport := s.transportTo(e, check.Type)
	transport.DisableKeepAlives = true
	defer transport.CloseIdleConnections()
	scheme := "http"
	if check.Type != "HTTP" {
		scheme = "https"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+e.hostPort()+request.path, nil)
	if err != nil {
		return err
	}
	r.Host = request.host
	r.Header.Set("User-Agent", "GoogleHC/1.0")
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read as far as necessary
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1024))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || !strings.Contains(string(body), request.response) {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

// probeRequest holds what all types of health checks have in common.
type probeRequest struct {
	path, host, response string
	port                 int64 // 0 means the serving port
}

func probeOf(c *compute.HealthCheck) probeRequest {
	switch {
	case c.HttpHealthCheck != nil:
		h := c.HttpHealthCheck
		return probeRequest{h.RequestPath, h.Host, h.Response, h.Port}
	case c.HttpsHealthCheck != nil:
		h := c.HttpsHealthCheck
		return probeRequest{h.RequestPath, h.Host, h.Response, h.Port}
	case c.Http2HealthCheck != nil:
		h := c.Http2HealthCheck
		return probeRequest{h.RequestPath, h.Host, h.Response, h.Port}
	case c.TcpHealthCheck != nil:
		return probeRequest{port: c.TcpHealthCheck.Port}
	default:
		return probeRequest{}
	}
}

var (
	errNoMachine = errors.New("the machine does not exist or has another address")
	errBlocked   = errors.New("the firewall does not admit the probers")
	errNoNodes   = errors.New("nothing answers: Options.Dial is nil")
)

// reach connects to an endpoint as the load balancer does: through the firewall of a
// machine's network. A connection that the firewall drops fails at once instead of by a
// timeout.
func (s *Server) reach(ctx context.Context, e endpoint) (net.Conn, error) {
	if e.machine != (key{}) {
		s.mu.Lock()
		machine := typed[compute.Instance](s, e.machine)
		exists := machine != nil && machine.NetworkInterfaces[0].NetworkIP == e.address && machine.Status == "RUNNING"
		admitted := exists && s.admits(machine, e.port)
		s.mu.Unlock()
		if !exists {
			return nil, errNoMachine
		}
		if !admitted {
			return nil, errBlocked
		}
	}
	if s.options.Dial == nil {
		return nil, errNoNodes
	}
	return s.options.Dial(ctx, e.address, int(e.port))
}

// transportTo returns a transport to one endpoint in a protocol. Like the load balancer,
// it does not verify the endpoint's certificate.
func (s *Server) transportTo(e endpoint, protocol string) *http.Transport {
	t := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return s.reach(ctx, e) },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		Protocols:       new(http.Protocols),
		IdleConnTimeout: 10 * time.Second, MaxIdleConnsPerHost: 100, DisableCompression: true,
	}
	if protocol == "HTTP2" {
		t.Protocols.SetHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
	}
	return t
}

func (p *probe) state() string {
	if p.well {
		return "HEALTHY"
	}
	return "UNHEALTHY"
}

func getHealth(q *request) (any, *refusal) {
	s := q.server
	r, ok := s.visible(q.key)
	if !ok {
		return nil, notFound(q.key)
	}
	ref := q.body.text("group")
	group, refused := s.resolve(q.key, "group", ref, []string{groupsSegment, instanceGroupsSegment})
	if refused != nil {
		return nil, refused
	}
	service := as[compute.BackendService](r.now.doc)
	if !slices.ContainsFunc(service.Backends, func(b *compute.Backend) bool { return b.Group == group.url() }) {
		return nil, badField("group", ref, "The group is not a backend of the backend service.")
	}
	answer := &compute.BackendServiceGroupHealth{Kind: "compute#backendServiceGroupHealth"}
	for _, e := range s.endpointsOf(q.key, group, service.PortName) {
		p := s.probes.running[e]
		if p == nil || !p.known {
			continue
		}
		status := &compute.HealthStatus{IpAddress: e.address, Port: e.port, HealthState: p.state()}
		if e.machine != (key{}) {
			status.Instance = e.machine.url()
		}
		answer.HealthStatus = append(answer.HealthStatus, status)
	}
	return answer, nil
}

// healths returns the health of a member of an endpoint group, by backend service.
func (s *Server) healths(group key, m member) []*compute.HealthStatusForNetworkEndpoint {
	var out []*compute.HealthStatusForNetworkEndpoint
	for e, p := range s.probes.running {
		if e.group != group || e.machine != m.instance || e.address != m.address || e.port != m.port || !p.known {
			continue
		}
		out = append(out, &compute.HealthStatusForNetworkEndpoint{
			HealthState:    p.state(),
			BackendService: &compute.BackendServiceReference{BackendService: e.service.url()},
		})
	}
	slices.SortFunc(out, func(a, b *compute.HealthStatusForNetworkEndpoint) int {
		return strings.Compare(a.BackendService.BackendService, b.BackendService.BackendService)
	})
	return out
}
