package member

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/bounds"
	fault "github.com/fedsync/fedsync/pkg/failure"
)

// Client is the connection to one cluster. All of its parts share one HTTP client, and
// with it the TCP connections.
type Client struct {
	Dynamic dynamic.Interface
	Kinds   *Kinds
	// Secrets are those of the connection, which the cluster may send back.
	Secrets *secret.Set

	connections *bounds.Connections
}

// ClientOptions configure a Client. The zero value is usable.
type ClientOptions struct {
	Version string        // of fedsync, for the User-Agent
	Timeout time.Duration // of one request for kinds; 10 s when zero
	Log     *zap.Logger   // gets the API server's warnings at debug level; none when nil
	// Guard bounds the answers. Nil gives the client its own.
	Guard *bounds.Guard
	// Misbehaved is called for too many API groups. The guard reports other answers. It
	// must not block. Nil means never.
	Misbehaved func(*fault.Misbehaviour)
}

// NewClient returns a client for cfg's cluster. It sends nothing yet.
func NewClient(cfg *rest.Config, o ClientOptions) (*Client, error) {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Guard == nil {
		o.Guard = bounds.New(cfg, o.Misbehaved)
	}
	cfg, connections := bounds.TrackConnections(o.Guard.Attach(cfg))
	cfg.QPS = -1 // the applier bounds the requests under way, and watches must not wait
	cfg.Timeout = 0
	if o.Version != "" {
		cfg.UserAgent = "fedsync/" + o.Version
	}
	cfg.WarningHandlerWithContext = warnings{o.Log}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return plainWatches{next} })
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	// The guard refuses redirects first. This also holds if another transport is
	// wrapped around it.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	objects, err := dynamic.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, err
	}
	kinds, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, client)
	if err != nil {
		return nil, err
	}
	c := &Client{Dynamic: objects, Kinds: NewKinds(kinds, o.Timeout), Secrets: o.Guard.Secrets(), connections: connections}
	c.Kinds.misbehaved = o.Misbehaved
	return c, nil
}

// Disconnect closes every connection. Requests and watches that use one fail, and the
// next request opens another. It is for a cluster that has gone away.
func (c *Client) Disconnect() { c.connections.Close() }

// Close ends the use of the client.
func (c *Client) Close() {
	c.Kinds.Close()
	c.connections.Close()
}

// plainWatches requests watches without compression. A compressed watch holds a window
// of 32 KiB or more on both sides for as long as it lasts, and each cluster has a dozen
// watches that carry almost nothing.
type plainWatches struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p plainWatches) RoundTrip(req *http.Request) (*http.Response, error) {
	if watch := req.URL.Query().Get("watch"); watch == "true" || watch == "1" {
		req = req.Clone(req.Context())
		req.Header.Set("Accept-Encoding", "identity")
	}
	return p.next.RoundTrip(req)
}

// WrappedRoundTripper makes the transport visible to client-go.
func (p plainWatches) WrappedRoundTripper() http.RoundTripper { return p.next }

// warnings logs an API server's warnings, such as one about a deprecated field.
type warnings struct{ log *zap.Logger }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if code == 299 && text != "" { // the code that Kubernetes uses, from RFC 7234
		w.log.Debug("cluster warns", zap.String("warning", text))
	}
}
