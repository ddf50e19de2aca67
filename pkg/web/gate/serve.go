package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// The limits on what one client may take. A page is built in milliseconds, so
// they only ever stop clients that are broken or mean no good.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // a webhook's body, at most 1 MiB
	writeTimeout      = 30 * time.Second
	idleTimeout       = 75 * time.Second // longer than the page's refresh, so that it keeps its connection
	maxHeaderBytes    = 32 << 10
	drainTimeout      = 10 * time.Second
)

// Options are what Serve works with besides a listener and a handler.
type Options struct {
	Limits Limits
	Counts Counts      // nil for nobody
	Log    *zap.Logger // what the server has to say about connections; nil for nobody
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Counts == nil {
		o.Counts = uncounted{}
	}
	return o
}

// Serve answers requests on the listener until the context ends. Then it takes
// no more of them, gives those under way ten seconds, and returns nil when all
// were answered. It closes the listener.
func Serve(ctx context.Context, l net.Listener, h http.Handler, o Options) error {
	o = o.withDefaults()
	g := newGate(l, o.Limits, o.Counts)
	srv := &http.Server{
		ConnState:         g.follow,
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          zap.NewStdLog(o.Log),
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	drained := make(chan error)
	go func() {
		<-ctx.Done()
		drained <- drain(ctx, srv)
	}()

	err := srv.Serve(g)
	cancel() // the listener may have failed by itself: the drain must end in any case
	drainErr := <-drained
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return drainErr
}

// drain lets the requests under way end, and ends those that do not.
func drain(ctx context.Context, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return fmt.Errorf("drain requests: %w", errors.Join(err, srv.Close()))
	}
	return nil
}
