package daemon

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// clients send many requests a second to an address, without waiting for earlier ones, and
// record which cluster answered and what failed.
type clients struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu       sync.Mutex
	all      int
	answered map[string]int       // by cluster
	last     map[string]time.Time // when each answered last
	failures []string             // since the last call of take
	failed   int
}

const loadInterval = 5 * time.Millisecond // 200 a second

// load starts clients that request the page of an address.
func (w *cloudWorld) load(address string) *clients {
	return w.loadBy(w.cloud.Client(), "http://"+address+"/", loadInterval)
}

// loadBy starts clients that request a page with an HTTP client, one time per interval.
func (w *cloudWorld) loadBy(client *http.Client, url string, interval time.Duration) *clients {
	ctx, cancel := context.WithCancel(w.t.Context())
	c := &clients{t: w.t, cancel: cancel, answered: map[string]int{}, last: map[string]time.Time{}}
	c.ended.Go(func() {
		clock := time.NewTicker(interval)
		defer clock.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-clock.C:
				c.ended.Go(func() { c.ask(ctx, client, url) })
			}
		}
	})
	return c
}

func (c *clients) ask(ctx context.Context, client *http.Client, url string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	response, err := client.Do(request)
	cluster, failure := "", ""
	if err != nil {
		failure = err.Error()
	} else {
		body, bodyErr := io.ReadAll(response.Body)
		_ = response.Body.Close()
		cluster = response.Header.Get("X-Cluster")
		switch {
		case bodyErr != nil:
			failure = bodyErr.Error()
		case response.StatusCode != http.StatusOK:
			failure = fmt.Sprintf("%s: %s %s", response.Status, cluster, strings.TrimSpace(string(body)))
		}
	}
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all++
	if failure != "" {
		c.failed++
		c.failures = append(c.failures, failure)
		return
	}
	c.answered[cluster]++
	c.last[cluster] = time.Now()
}

func (c *clients) stop() {
	c.cancel()
	c.ended.Wait()
}

// take returns the failures since its last call.
func (c *clients) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	failures := c.failures
	c.failures = nil
	return failures
}

// unharmed checks that no request failed since the last call of take.
func (c *clients) unharmed(t *testing.T) {
	t.Helper()
	<-time.After(time.Second) // requests under way must be counted
	if failures := c.take(); len(failures) > 0 {
		t.Errorf("%d requests failed: %s", len(failures), failures[0])
	}
}

// heard waits until the cluster answers.
func (c *clients) heard(t *testing.T, cluster string) {
	t.Helper()
	began := time.Now()
	eventually(t, cluster+" answers", func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.last[cluster].After(began) {
			return ""
		}
		return "it does not"
	})
}

// silent waits until the cluster has not answered for two seconds.
func (c *clients) silent(t *testing.T, cluster string) {
	t.Helper()
	eventually(t, cluster+" gets no requests", func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if time.Since(c.last[cluster]) > 2*time.Second {
			return ""
		}
		return "it answered " + time.Since(c.last[cluster]).String() + " ago"
	})
}

// failuresOnly waits until the load balancer has noticed that the cluster is dead, and
// counts the requests that were lost with it. It fails the test if a request failed in another way.
func (c *clients) failuresOnly(t *testing.T, cluster string) {
	t.Helper()
	c.silent(t, cluster)
	failures := c.take()
	t.Logf("%d requests failed until the load balancer knew that %s is dead", len(failures), cluster)
	for _, f := range failures {
		if !strings.Contains(f, "502") && !strings.Contains(f, "EOF") && !strings.Contains(f, "reset") {
			t.Errorf("failed: %s", f)
		}
	}
}

func (c *clients) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d failed; answered by", c.all, c.failed)
	for _, cluster := range slices.Sorted(maps.Keys(c.answered)) {
		fmt.Fprintf(&b, " %s %d", cluster, c.answered[cluster])
	}
	return b.String()
}
