package facts

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

// lookupTimeout is how long a lookup may take.
const lookupTimeout = 10 * time.Second

// Lookup reads the metadata of one ReplicaSet.
type Lookup func(ctx context.Context, namespace, name string) (metav1.Object, error)

// ReplicaSets returns a Lookup in a cluster.
func ReplicaSets(client dynamic.Interface) Lookup {
	return func(ctx context.Context, namespace, name string) (metav1.Object, error) {
		u, err := client.Resource(replicaSetsResource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return u, nil
	}
}

// Run finds the Deployments that pods belong to, until ctx and every request have ended.
// It requests a few ReplicaSets at a time, each only once. A failed request is repeated
// as long as pods wait for it, with pauses that grow from a second to a minute. If
// ReplicaSets may not be read, Run requests only one of them, with pauses that grow from
// a minute to ten.
func (c *Collector) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		due, next := c.due(time.Now())
		for _, set := range due {
			running.Go(func() { c.lookUp(ctx, set) })
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-c.asked:
		case <-timer:
		}
	}
}

// due returns the ReplicaSets to request now, and when there may be more.
func (c *Collector) due(now time.Time) ([]replicaSet, time.Time) {
	c.mu.Lock()
	asking := c.work.owners.open()
	due, next := c.work.owners.due(now, c.work.waits), c.work.owners.next(now)
	changed := asking != c.work.owners.open()
	c.mu.Unlock()
	if changed {
		c.options.Changed()
	}
	return due, next
}

func (c *Collector) lookUp(ctx context.Context, set replicaSet) {
	timed, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := c.options.ReplicaSet(timed, set.namespace, set.name)
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	asking := c.work.owners.open()
	changed := c.work.answer(time.Now(), set, found, err)
	c.workStale = c.workStale || changed
	changed = changed || asking != c.work.owners.open()
	c.mu.Unlock()
	c.wake()
	if changed {
		c.options.Changed()
	}
}

// wake makes Run check for questions.
func (c *Collector) wake() {
	select {
	case c.asked <- struct{}{}:
	default: // a token is there already
	}
}
