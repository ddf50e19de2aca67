package badforge

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// WatchMemory returns a function that stops the measurement and returns the peak growth
// of the process's memory since the call, in bytes.
func WatchMemory(t testing.TB) (more func() int64) {
	sample := func() int64 {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(s)
		return int64(s[0].Value.Uint64() - s[1].Value.Uint64()) //nolint:gosec // no process has more
	}
	runtime.GC()
	usual := sample()
	peak := usual
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, sample())
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(stop)
	return func() int64 {
		stop()
		<-ended
		return peak - usual
	}
}
