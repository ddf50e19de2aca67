// Package bounds protects everything that reads a member cluster's answers.
//
// A Guard is the transport of all clients of one cluster. It passes on normal answers,
// and refuses what no API server sends: an endless body, event or header, content that
// is not JSON, or a redirect, which would receive our credentials. The error is a
// failure.Misbehaviour that names the limit. Bodies are counted after decompression and
// while they are read, so that no more than a limit is ever held. List reads a page
// object by object, so that a page is never held as a whole. From answers that report a
// failure, the Guard removes the connection's secrets and all but the beginning of the
// text.
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

// The limits on one answer. An API server stores no object of more than about 1.5 MiB,
// etcd's limit for a request; as JSON, with its managed fields, an object is smaller
// than twice that. Lists are read in pages of 500 objects.
const (
	// ListBytes bounds a page of a list.
	ListBytes = 64 << 20
	// ListValues bounds the values of any kind in a page. A Go value takes a hundred
	// bytes, even if it is short as JSON.
	ListValues = 1_000_000
	// ObjectBytes bounds every other answer, and one event of a watch.
	ObjectBytes = 4 << 20
	// ObjectValues bounds the values in such an answer or event.
	ObjectValues = 250_000
	// RefusalBytes bounds how much of an answer that reports a failure is read.
	RefusalBytes = 1 << 20
	// HeaderBytes bounds the headers of an answer.
	HeaderBytes = 256 << 10
	// StreamBytes bounds how much of an unread answer a server may send. Go's
	// default is 4 MiB for each request in progress.
	StreamBytes = 256 << 10
	// WatchBytes bounds the sum of the largest events of a cluster's open watches.
	// Until it ends, each watch holds buffers of a multiple of its largest event. In a
	// normal cluster these are ConfigMaps and Secrets of up to 1 MiB, and
	// CustomResourceDefinitions.
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
	large      chan struct{} // holds a token while a large body is read
	longest    atomic.Int64  // sum of the longest events of all watches
	pace       pace          // of reading all bodies
}

// New returns the guard for the cluster of cfg. It calls misbehaved for each answer
// that exceeds a limit, unless the caller of the request catches it; see
// failure.Catching. misbehaved must not block, and may be nil.
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

// Secrets returns the connection's secrets, including those learned from
// requests.
func (g *Guard) Secrets() *secret.Set { return g.secrets }

// Attach returns a copy of cfg whose clients are guarded. The guard is the
// transport closest to the network, so it reads credentials that others add to a
// request.
func (g *Guard) Attach(cfg *rest.Config) *rest.Config {
	guarded := rest.CopyConfig(cfg)
	guarded.WrapTransport = transport.Wrappers(func(next http.RoundTripper) http.RoundTripper {
		boundTransport(next)
		return &guardTransport{guard: g, next: next}
	}, cfg.WrapTransport)
	return guarded
}

// boundTransport bounds what a transport reads by itself. Go's default allows
// headers of 10 MiB. It must be called before the transport is used.
func boundTransport(rt http.RoundTripper) {
	for rt != http.DefaultTransport { // which must not be changed
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

// secretsOf returns the secrets of a configuration. A plugin's credentials are
// learned from requests.
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
