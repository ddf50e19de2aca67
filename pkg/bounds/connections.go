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

// Connections are those that the clients of one cluster hold.
//
// HTTP/2 carries all of a client's requests and watches over one connection. When
// a cluster goes away without a word, as in a partition, nothing tells so for the
// 45 s that HTTP/2 takes to miss its pings, and after the partition the kernel
// waits as long again before it sends anew. The prober knows within seconds.
type Connections struct {
	tracker *connrotation.ConnectionTracker
}

// TrackConnections copies cfg into one whose clients' connections can be closed,
// and gives what closes them. Clients made of the copy share no connection with
// those of any other configuration, and send each request once; see failure.Once.
func TrackConnections(cfg *rest.Config) (*rest.Config, *Connections) {
	tracked := rest.CopyConfig(cfg)
	dialer := connrotation.NewDialer(OwnDialer(cfg.Dial))
	tracked.Dial = dialer.DialContext
	tracked.Wrap(failure.Once)
	return tracked, &Connections{tracker: dialer.ConnectionTracker}
}

// Close cuts every connection, and with them what runs over them: each request
// fails and each watch begins anew, over a new connection. It is meant for the
// moment in which a cluster turns Offline.
func (c *Connections) Close() { c.tracker.CloseAll() }

// OwnDialer gives a dialer that no other configuration has, by way of dial where
// the configuration brought one.
func OwnDialer(dial dialFunc) dialFunc {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
}
