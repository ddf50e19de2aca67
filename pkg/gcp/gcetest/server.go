package gcetest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// Options configure the stand-in. With the zero value it is strict and has no projects.
type Options struct {
	// Projects are the projects that exist. All others answer 404.
	Projects []string
	// OperationTime returns how long an operation of a method takes, such as
	// "backendServices.insert"; nil means a few milliseconds.
	OperationTime func(method string) time.Duration
	// Dial connects to a node at its node port, for probes and for traffic. With nil
	// nothing answers.
	Dial func(ctx context.Context, address string, port int) (net.Conn, error)
	// ProbeInterval replaces the interval of every health check; 0 leaves it.
	ProbeInterval time.Duration
	// RateLimit is how many calls per second and project are answered before 403
	// rateLimitExceeded; 0 means no limit.
	RateLimit int
	// Quotas are how many resources of a collection a project may have, by the part of
	// the methods' names before the dot, such as "backendServices".
	Quotas map[string]int
	// Denied are the permissions that testIamPermissions does not grant.
	Denied []string
	// Log receives a line for every call; nil means none.
	Log io.Writer
}

// Server is the stand-in. It is safe for concurrent use.
type Server struct {
	options     Options
	collections map[string]*collection // by segment of the path
	handler     http.Handler
	stop        chan struct{} // closed by Close
	work        sync.WaitGroup

	mu             sync.Mutex // protects all below
	closed         bool
	projects       map[string]bool
	resources      map[key]*resource
	operations     map[key]*operation
	operationOrder []*operation
	requests       map[requestKey]*operation
	ids            uint64
	generation     uint64        // counts the changes of resources
	change         chan struct{} // closed and replaced at each change
	faults         []*FaultHandle
	calls          []Call
	history        map[string][]Change
	limits         map[string]*bucket
	nextAddress    int
	listener       net.Listener
	web            *http.Server

	ruleCache ruleCache
	tables    *table
	pairs     map[*compute.SslCertificate]*tls.Certificate

	probes  probes
	traffic traffic
}

// New returns a stand-in whose state is in memory. The caller must call Close.
func New(o Options) *Server {
	s := &Server{
		options: o, stop: make(chan struct{}),
		projects: map[string]bool{}, resources: map[key]*resource{},
		operations: map[key]*operation{}, requests: map[requestKey]*operation{},
		change: make(chan struct{}), history: map[string][]Change{}, limits: map[string]*bucket{},
	}
	s.pairs = map[*compute.SslCertificate]*tls.Certificate{}
	s.traffic.names = map[string]string{}
	s.traffic.balance = balance{
		credit: map[[2]key]float64{}, turn: map[[2]key]int{},
		transports: map[endpoint]*pooled{}, under: map[endpoint]map[*flow]bool{},
	}
	s.collections = collections()
	for _, project := range o.Projects {
		s.projects[project] = true
	}
	s.handler = s.routes()
	s.startProbes()
	return s
}

// Handler returns the handler of the calls, below /compute/v1/.
func (s *Server) Handler() http.Handler { return s.handler }

// Start listens on a free port of 127.0.0.1.
func (s *Server) Start() error {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for compute/v1: %w", err)
	}
	return s.Serve(listener)
}

// Serve answers calls on a listener in the background, until Close.
func (s *Server) Serve(listener net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.listener != nil {
		_ = listener.Close()
		return fmt.Errorf("serve compute/v1: already serving, or closed")
	}
	s.listener = listener
	s.web = &http.Server{Handler: s.handler, ReadHeaderTimeout: time.Minute}
	web := s.web
	s.work.Go(func() { _ = web.Serve(listener) })
	return nil
}

// URL returns the endpoint for a client: "http://127.0.0.1:PORT/compute/v1/". It is empty
// before Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String() + "/compute/v1/"
}

// Close ends the listeners, the probes and the calls under way, and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.stop)
	for _, op := range s.operations {
		op.timer.Stop()
	}
	web := s.web
	s.mu.Unlock()
	if web != nil {
		_ = web.Close()
	}
	s.closeTraffic()
	s.work.Wait()
}

func (s *Server) clock() time.Time { return time.Now() }

// touched notifies the waiters that something changed. The caller holds s.mu.
func (s *Server) touched() {
	close(s.change)
	s.change = make(chan struct{})
}

// changes returns a channel that is closed at the next change.
func (s *Server) changes() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change
}
