// Package gce is a client of Compute Engine: it lists resources, executes the actions of a
// plan, waits for their operations, retries failed calls and respects the quota.
package gce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/auth"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// Options configure a Client. Only Project is required.
type Options struct {
	Project string // id of the load balancer's project, not its number
	// Endpoint is the URL of a stand-in on this machine, which is called without
	// authentication. Empty means Google Cloud, with Application Default Credentials.
	Endpoint   string
	QPS        float64 // calls per second; 10 if not positive
	Burst      int     // calls at once; 20 if not positive
	UserAgent  string
	Log        *zap.Logger  // nil: nothing is logged
	HTTPClient *http.Client // for tests
	Secrets    *secret.Set  // learns the tokens; if nil, the client has its own
}

// The default limits of calls. The quotas of Compute Engine are per project, minute and
// group of methods; these limits are below the smallest.
const (
	defaultQPS   = 10
	defaultBurst = 20
)

// maxPageSize is the API's limit on the size of a page.
const maxPageSize = 500

// How long one call may take.
const (
	mutationTimeout = time.Minute
	waitTimeout     = 150 * time.Second // the API answers after two minutes at most
)

// Client is a client of the API compute/v1. It is safe for concurrent use. Its memory
// only saves calls; results are correct without it.
type Client struct {
	api     *compute.Service
	project string
	limit   *rate.Limiter
	log     *zap.Logger
	pace    pace
	// pageSize is how many items of a list one call reads.
	pageSize int64

	mu       sync.Mutex                // protects what follows
	calls    map[string]int            // by method
	requests map[string]request        // ids of actions whose outcome is not known, by action
	groups   map[gcp.ID]groupRead      // our endpoint groups, and when they are due to be read
	zones    map[string]time.Time      // when machines are due to be read, by "project/zone"
	missing  map[string]time.Time      // when machines were last found missing, by providerID
	samples  map[gcp.Kind]gcp.Resource // one resource of ours of each kind, for Missing
}

var _ gcp.Cloud = (*Client)(nil)

// New returns a client. It makes no call. Without usable credentials it returns an error,
// which holds no secret.
func New(ctx context.Context, o Options) (*Client, error) {
	if o.Project == "" {
		return nil, errors.New("no Google Cloud project is set")
	}
	if strings.Trim(o.Project, "0123456789") == "" {
		// Compute Engine answers with the id: nothing would be recognized as ours.
		return nil, fmt.Errorf("%s is a project number: set the project id", o.Project)
	}
	if o.Endpoint != "" {
		if err := CheckEndpoint(o.Endpoint); err != nil {
			return nil, err
		}
	}
	api, err := newService(ctx, o)
	if err != nil {
		if _, ok := errors.AsType[*auth.Error](err); ok {
			err = errors.New(noToken)
		}
		return nil, &gcp.ConnectError{Err: err}
	}
	api.UserAgent = cmp.Or(o.UserAgent, "fedsync")
	if o.QPS <= 0 {
		o.QPS = defaultQPS
	}
	if o.Burst <= 0 {
		o.Burst = defaultBurst
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Client{
		api: api, project: o.Project, log: o.Log, pace: usualPace, pageSize: maxPageSize,
		limit:    rate.NewLimiter(rate.Limit(o.QPS), o.Burst),
		calls:    map[string]int{},
		requests: map[string]request{},
		groups:   map[gcp.ID]groupRead{},
		zones:    map[string]time.Time{},
		missing:  map[string]time.Time{},
		samples:  map[gcp.Kind]gcp.Resource{},
	}, nil
}

// CheckEndpoint returns an error unless a URL may be used in place of Compute Engine.
// Calls there carry no credentials and are not encrypted, so only this machine is allowed.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("the endpoint of Compute Engine is not a URL such as http://127.0.0.1:8080")
	}
	if u.User != nil {
		return errors.New("the endpoint of Compute Engine contains credentials: remove them, it is used without any")
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("the endpoint of Compute Engine is on %s: without authentication only a loopback address may be used, such as 127.0.0.1", host)
}

// endpointURL completes the URL of a stand-in with the path of the API.
func endpointURL(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err == nil && strings.Trim(u.Path, "/") == "" {
		u.Path = "/compute/v1/"
		return u.String()
	}
	return strings.TrimSuffix(endpoint, "/") + "/"
}

// Calls returns the number of calls since the start, by API method:
// "backendServices.list".
func (c *Client) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

// once makes one call, as soon as the limiter allows it.
func (c *Client) once(ctx context.Context, timeout time.Duration, method string, call func(context.Context) error) error {
	if err := c.limit.Wait(ctx); err != nil {
		// The limiter also gives up if the context would end too early.
		return cmp.Or(ctx.Err(), context.DeadlineExceeded)
	}
	c.mu.Lock()
	c.calls[method]++
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return call(ctx)
}

// ask makes a call that changes nothing, and repeats it if that may help. Its errors are
// *gcp.Error.
func (c *Client) ask(ctx context.Context, id gcp.ID, method string, call func(context.Context) error) error {
	err := c.pace.retry(ctx, c.pace.question, func() error { return c.once(ctx, gcp.QuestionTimeout, method, call) })
	if err == nil {
		return nil
	}
	return readAnswer(err).fail("", id)
}

// absent reports whether an error means that there is no such resource.
func absent(err error) bool {
	e, ok := errors.AsType[*gcp.Error](err)
	return ok && e.Absent
}
