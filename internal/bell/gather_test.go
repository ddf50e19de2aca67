package bell

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGatherRingsOnceForManyCalls(t *testing.T) {
	const quiet, most = 50 * time.Millisecond, 500 * time.Millisecond
	for _, c := range []struct {
		name  string
		calls int
		every time.Duration
		rings int
		first time.Duration // when it rings for the first time
	}{
		{"one", 1, 0, 1, quiet},
		{"a burst", 1000, 0, 1, quiet},
		{"a burst of 400 ms", 1000, 400 * time.Microsecond, 1, 999*400*time.Microsecond + quiet},
		{"a stream of two seconds", 200, 10 * time.Millisecond, 4, most},
		{"two that are apart", 2, time.Second, 2, quiet},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var rings []time.Duration // protected by mu
				start, last := time.Now(), time.Time{}
				call := Gather(func() {
					mu.Lock()
					defer mu.Unlock()
					rings = append(rings, time.Since(start))
				}, quiet, most)
				for i := range c.calls {
					if i > 0 && c.every > 0 {
						<-time.After(c.every)
					}
					call()
					last = time.Now()
				}
				<-time.After(time.Minute)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if len(rings) != c.rings || rings[0] != c.first {
					t.Errorf("%d calls rang at %v, want %d times, first after %s", c.calls, rings, c.rings, c.first)
				}
				if end := rings[len(rings)-1]; end < last.Sub(start) {
					t.Errorf("the last ring, at %s, was before the last call, at %s", end, last.Sub(start))
				}
			})
		})
	}
}
