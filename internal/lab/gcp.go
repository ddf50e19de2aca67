package lab

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// WithGCP adds a stand-in for Compute Engine. The nodes are its machines, except for
// those of the last clusters, whose number is outside. The nodes answer at the node
// ports of Services. See [Sandbox.GCP].
func WithGCP(outside int) Option { return Option{"--gcp", "--outside", strconv.Itoa(outside)} }

// WithOperationTime sets how long the slowest operations of Compute Engine take. All
// other operations take a fraction of that.
func WithOperationTime(slowest time.Duration) Option {
	return Option{"--operation-time", slowest.String()}
}

// WithoutGLBC leaves the stand-in for Google's ingress controller out of the clusters,
// for a test that plays its part.
func WithoutGLBC() Option { return Option{"--no-glbc"} }

// GCP is a stand-in for Compute Engine. The methods with a testing.TB fail the test
// when the sandbox does not do what they ask, so they must be called from the goroutine
// that runs the test.
type GCP struct {
	Endpoint string // URL of compute/v1
	Proxy    string // URL of the HTTP proxy to the addresses of load balancers
	Project  string
	Network  string   // its name
	Outside  []string // clusters whose machines are not in Compute Engine
	// OperationTimes is how long operations take, by collection, such as
	// "backendServices".
	OperationTimes map[string]time.Duration

	sandbox *Sandbox
	client  *http.Client
}

// GCPDescription is what a sandbox prints about its stand-in.
type GCPDescription struct {
	Endpoint       string            `json:"endpoint"`
	Proxy          string            `json:"proxy"`
	Project        string            `json:"project"`
	Network        string            `json:"network"`
	Outside        []string          `json:"outside"`
	OperationTimes map[string]string `json:"operationTimes"`
}

// GCP returns the sandbox's stand-in for Compute Engine.
func (s *Sandbox) GCP(tb testing.TB) *GCP {
	tb.Helper()
	d := s.description.GCP
	if d == nil {
		tb.Fatalf("the sandbox in %s has no Compute Engine: use one from lab.Own with lab.WithGCP", s.description.Dir)
	}
	g := &GCP{
		Endpoint: d.Endpoint, Proxy: d.Proxy, Project: d.Project, Network: d.Network,
		Outside: d.Outside, OperationTimes: map[string]time.Duration{}, sandbox: s,
	}
	for collection, text := range d.OperationTimes {
		took, err := time.ParseDuration(text)
		if err != nil {
			tb.Fatalf("read the time of operations on %s: %v", collection, err)
		}
		g.OperationTimes[collection] = took
	}
	proxy, err := url.Parse(d.Proxy)
	if err != nil {
		tb.Fatalf("read the URL of the proxy: %v", err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), MaxIdleConnsPerHost: 100}
	tb.Cleanup(transport.CloseIdleConnections)
	g.client = &http.Client{
		Transport: transport,
		Timeout:   30 * time.Second,
		// A redirect is an answer of the load balancer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return g
}

// Client returns a client whose requests to the addresses of load balancers reach the
// load balancers. It follows no redirects, and is safe for concurrent use.
func (g *GCP) Client() *http.Client { return g.client }

// Get sends a GET request to a load balancer; the host of url is its address. The body
// is closed at the test's end.
func (g *GCP) Get(tb testing.TB, url string) (*http.Response, error) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	response, err := g.client.Do(request)
	if err == nil {
		tb.Cleanup(func() { _ = response.Body.Close() })
	}
	return response, err
}

// Calls returns the log of calls, oldest first.
func (g *GCP) Calls(tb testing.TB) []gcetest.Call {
	tb.Helper()
	var calls []gcetest.Call
	g.control(tb, http.MethodGet, "/calls", nil, &calls)
	return calls
}

// ResetCalls empties the log of calls.
func (g *GCP) ResetCalls(tb testing.TB) {
	tb.Helper()
	g.control(tb, http.MethodDelete, "/calls", nil, nil)
}

// History returns every change of each resource, by its path.
func (g *GCP) History(tb testing.TB) map[string][]gcetest.Change {
	tb.Helper()
	var history map[string][]gcetest.Change
	g.control(tb, http.MethodGet, "/history", nil, &history)
	return history
}

// Snapshot returns all resources that exist now.
func (g *GCP) Snapshot(tb testing.TB) gcetest.Snapshot {
	tb.Helper()
	var all gcetest.Snapshot
	g.control(tb, http.MethodGet, "/snapshot", nil, &all)
	return all
}

// Fault is a fault in force.
type Fault struct {
	gcp *GCP
	id  int
}

// Fault puts a fault in force until it is removed.
func (g *GCP) Fault(tb testing.TB, f gcetest.Fault) *Fault {
	tb.Helper()
	var added struct {
		ID int `json:"id"`
	}
	g.control(tb, http.MethodPost, "/faults", wire(tb, f), &added)
	return &Fault{gcp: g, id: added.ID}
}

// Remove removes the fault.
func (f *Fault) Remove(tb testing.TB) {
	tb.Helper()
	f.gcp.control(tb, http.MethodDelete, fmt.Sprintf("/faults/%d", f.id), nil, nil)
}

func (g *GCP) control(tb testing.TB, method, path string, in, out any) {
	tb.Helper()
	if err := g.sandbox.control(tb.Context(), method, "/gcp"+path, in, out); err != nil {
		tb.Fatalf("%s %s of Compute Engine: %v", method, path, err)
	}
}

// wireFault is a fault in the form that the sandbox parses.
type wireFault struct {
	Method     string `json:"method,omitempty"`
	Collection string `json:"collection,omitempty"`
	Name       string `json:"name,omitempty"`
	Nth        int    `json:"nth,omitempty"`
	Times      int    `json:"times,omitempty"`
	Action     string `json:"action"`
	Status     int    `json:"status,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Message    string `json:"message,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"`
	Time       string `json:"time,omitempty"`
	Code       string `json:"code,omitempty"`
}

func wire(tb testing.TB, f gcetest.Fault) wireFault {
	tb.Helper()
	w := wireFault{Method: f.Method, Collection: f.Collection, Name: f.Name, Nth: f.Nth, Times: f.Times}
	switch a := f.Action.(type) {
	case gcetest.Answer:
		w.Action, w.Status, w.Reason, w.Message = "answer", a.Status, a.Reason, a.Message
		w.RetryAfter = a.RetryAfter.String()
	case gcetest.LoseAnswer:
		w.Action = "loseAnswer"
	case gcetest.DropRequest:
		w.Action = "dropRequest"
	case gcetest.SlowOperation:
		w.Action, w.Time = "slowOperation", time.Duration(a).String()
	case gcetest.FailOperation:
		w.Action, w.Code, w.Message = "failOperation", a.Code, a.Message
	case gcetest.Hang:
		w.Action = "hang"
	default:
		tb.Fatalf("a fault of type %T cannot be put in force over the sandbox's socket", f.Action)
	}
	return w
}

// KillNodes kills the nodes of a cluster: they refuse connections, and open connections
// break. The API server does not notice.
func (s *Sandbox) KillNodes(tb testing.TB, cluster string) {
	tb.Helper()
	s.act(tb, "kill-nodes", cluster)
}

// ReviveNodes starts killed nodes again.
func (s *Sandbox) ReviveNodes(tb testing.TB, cluster string) {
	tb.Helper()
	s.act(tb, "revive-nodes", cluster)
}
