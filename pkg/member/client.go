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

// Client reaches one cluster. All of its parts share one HTTP client, and with it
// the connections.
type Client struct {
	Dynamic dynamic.Interface
	Kinds   *Kinds
	// Secrets are those of the connection, which the cluster may send back.
	Secrets *secret.Set

	connections *bounds.Connections
}

// ClientOptions is how a cluster is asked. The zero value is usable.
type ClientOptions struct {
	Version string        // of fedsync, for the User-Agent
	Timeout time.Duration // of one request that looks up kinds; 10 s when zero
	Log     *zap.Logger   // gets what the API server warns of, at debug level; none when nil
	// Guard bounds the answers; one of its own when nil.
	Guard *bounds.Guard
	// Misbehaved is told of kinds without end. Of other answers the guard tells. It must
	// not block; nil is allowed.
	Misbehaved func(*fault.Misbehaviour)
}

// NewClient returns a client of the cluster that cfg leads to. It sends nothing yet.
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
	cfg.QPS = -1 // the applier limits what is under way, and watches must not wait
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
	// The guard answers first. This holds whatever is wrapped around it later.
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

// Disconnect cuts every connection. Requests and watches that use one fail, and
// the next request opens another: it is for a cluster that has gone away.
func (c *Client) Disconnect() { c.connections.Close() }

// Close ends the use of the client.
func (c *Client) Close() {
	c.Kinds.Close()
	c.connections.Close()
}

// plainWatches asks for watches that are not compressed. A compressed one keeps a
// window of 32 KiB and more for as long as it lasts, on both sides, and there are a
// dozen for each cluster that carry next to nothing.
type plainWatches struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p plainWatches) RoundTrip(req *http.Request) (*http.Response, error) {
	if watch := req.URL.Query().Get("watch"); watch == "true" || watch == "1" {
		req = req.Clone(req.Context())
		req.Header.Set("Accept-Encoding", "identity")
	}
	return p.next.RoundTrip(req)
}

// WrappedRoundTripper lets client-go find the transport.
func (p plainWatches) WrappedRoundTripper() http.RoundTripper { return p.next }

// warnings logs what an API server remarks on a request, a deprecated field say.
type warnings struct{ log *zap.Logger }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if code == 299 && text != "" { // the code that Kubernetes uses, of RFC 7234
		w.log.Debug("cluster warns", zap.String("warning", text))
	}
}
