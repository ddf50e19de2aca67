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

// The limits on what one client may take. A page is built in milliseconds, so they only
// stop clients that are broken or malicious.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // a webhook's body, at most 1 MiB
	writeTimeout      = 30 * time.Second
	idleTimeout       = 75 * time.Second // longer than the page's refresh, so that the browser reuses its connection
	maxHeaderBytes    = 32 << 10
	drainTimeout      = 10 * time.Second
)

// Options are optional parameters of Serve.
type Options struct {
	Limits Limits
	Counts Counts      // nil for no counts
	Log    *zap.Logger // for the server's errors on connections; nil for no log
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

// Serve answers requests on the listener until the context ends. Then it accepts no more
// requests, gives those under way ten seconds, and returns nil if all were answered. It
// closes the listener.
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
	cancel() // if the listener failed, drain must still run and end
	drainErr := <-drained
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return drainErr
}

// drain waits for the requests under way to end, and aborts those that do not.
func drain(ctx context.Context, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return fmt.Errorf("drain requests: %w", errors.Join(err, srv.Close()))
	}
	return nil
}
