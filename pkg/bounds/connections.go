package bounds

import (
	"context"
	"net"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/fedsync/fedsync/pkg/failure"
)

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Connections are the connections that the clients of one cluster hold.
//
// HTTP/2 carries all of a client's requests and watches over one connection. When
// a cluster disappears silently, as in a partition, HTTP/2 takes 45 s to miss its
// pings, and after the partition the kernel waits as long again before it
// retransmits. The prober notices within seconds.
type Connections struct {
	tracker *connrotation.ConnectionTracker
}

// TrackConnections returns a copy of cfg, and the Connections of the clients made
// from it. These clients share no connection with clients of any other
// configuration, and never retry a request; see failure.Once.
func TrackConnections(cfg *rest.Config) (*rest.Config, *Connections) {
	tracked := rest.CopyConfig(cfg)
	dialer := connrotation.NewDialer(OwnDialer(cfg.Dial))
	tracked.Dial = dialer.DialContext
	tracked.Wrap(failure.Once)
	return tracked, &Connections{tracker: dialer.ConnectionTracker}
}

// Close closes every connection: each request in progress fails, and each watch
// restarts over a new connection. It is meant for when a cluster becomes
// Offline.
func (c *Connections) Close() { c.tracker.CloseAll() }

// OwnDialer returns a dialer that no other configuration shares. It uses dial if
// the configuration has one.
func OwnDialer(dial dialFunc) dialFunc {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
}
