// Package bounds is what stands between a member cluster and everything that reads
// its answers.
//
// A Guard is the transport of all clients of one cluster. It passes on what an API
// server answers, and breaks off what none does: a body, an event or headers without
// end, what is not JSON, or a redirect, which would be sent our credentials. That is a
// failure.Misbehaviour, with the figure. Bodies are counted behind decompression and
// while they are read, so that no more than a bound is ever held. List reads a page
// object by object, so that a page is never held at all. Of answers that report a
// failure the Guard takes the connection's secrets, and all but the words that a reader
// has time for.
package bounds

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/failure"
)

// The bounds of one answer. An API server stores no object of more than about 1.5
// MiB, the limit of etcd for a request; as JSON, with its managed fields, an object is
// smaller than twice that. Lists come in pages of 500 objects.
const (
	// ListBytes bounds a page of a list.
	ListBytes = 64 << 20
	// ListValues bounds the values in it, of whatever kind: as Go values they take a
	// hundred bytes each, however few they take as JSON.
	ListValues = 1_000_000
	// ObjectBytes bounds every other answer, and one event of a watch.
	ObjectBytes = 4 << 20
	// ObjectValues bounds the values in it.
	ObjectValues = 250_000
	// RefusalBytes bounds what is read of an answer that reports a failure.
	RefusalBytes = 1 << 20
	// HeaderBytes bounds the headers of an answer.
	HeaderBytes = 256 << 10
	// StreamBytes bounds what a server may send of an answer that nobody reads yet.
	// Go's own would be 4 MiB for each request that is under way.
	StreamBytes = 256 << 10
	// WatchBytes bounds the largest events of all watches of a cluster that are open,
	// added up. Each watch has buffers until its end that are a multiple of its largest
	// event. Of a cluster that is honest they are ConfigMaps and Secrets, of 1 MiB, and
	// definitions.
	WatchBytes = 24 << 20
	// Objects bounds how many objects one watch or list has.
	Objects = 100_000
	// Pages bounds the pages of one list.
	Pages = 1000
	// Groups bounds the API groups of a cluster.
	Groups = 1000
)

// Guard bounds the answers of one cluster. It is safe for concurrent use.
type Guard struct {
	secrets    *secret.Set
	misbehaved func(*failure.Misbehaviour)
	large      chan struct{} // held by the one large body that is being read
	longest    atomic.Int64  // event of each watch, added up
	pace       pace          // of reading, all bodies together
}

// New returns the guard of the cluster that cfg leads to. Misbehaved is told of each
// answer that exceeds a bound, unless whoever asked is told; see failure.Catching. It
// must not block; nil is allowed.
func New(cfg *rest.Config, misbehaved func(*failure.Misbehaviour)) *Guard {
	if misbehaved == nil {
		misbehaved = func(*failure.Misbehaviour) {}
	}
	return &Guard{
		secrets:    secret.New(secretsOf(cfg)...),
		misbehaved: misbehaved,
		large:      make(chan struct{}, 1), // one holder
	}
}

// Secrets are those of the connection, by what the requests bear as well.
func (g *Guard) Secrets() *secret.Set { return g.secrets }

// Attach returns a copy of cfg whose clients are guarded. The guard is next to the
// network: it sees the credentials that anything else adds to a request.
func (g *Guard) Attach(cfg *rest.Config) *rest.Config {
	guarded := rest.CopyConfig(cfg)
	guarded.WrapTransport = transport.Wrappers(func(next http.RoundTripper) http.RoundTripper {
		boundTransport(next)
		return &guarding{guard: g, next: next}
	}, cfg.WrapTransport)
	return guarded
}

// boundTransport bounds what a transport reads before anybody asks for it. Go's own
// would take headers of 10 MiB. It is called before the transport is used.
func boundTransport(rt http.RoundTripper) {
	for rt != http.DefaultTransport { // which is not ours
		if t, ok := rt.(*http.Transport); ok {
			t.MaxResponseHeaderBytes = HeaderBytes
			t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: StreamBytes}
			return
		}
		wrapper, ok := rt.(utilnet.RoundTripperWrapper)
		if !ok {
			return
		}
		rt = wrapper.WrappedRoundTripper()
	}
}

// secretsOf are the secrets of a configuration. What a plugin gives is learnt from
// the requests.
func secretsOf(cfg *rest.Config) []string {
	secrets := []string{cfg.BearerToken, cfg.Password}
	if server, err := url.Parse(cfg.Host); err == nil {
		secrets = append(secrets, secret.OfURL(server)...)
		if cfg.Proxy == nil {
			secrets = append(secrets, secret.OfProxy(&http.Request{URL: server})...)
		} else if proxy, err := cfg.Proxy(&http.Request{URL: server}); err == nil {
			secrets = append(secrets, secret.OfURL(proxy)...)
		}
	}
	// A line of a key is as secret as the key.
	for line := range strings.Lines(string(cfg.KeyData)) {
		if !strings.HasPrefix(line, "-----") {
			secrets = append(secrets, strings.TrimSpace(line))
		}
	}
	return secrets
}
