package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/fedsync/fedsync/internal/sleep"
)

// The kinds of the guide's objects, and their resources.
var (
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	replicaSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	ingresses   = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
)

const namespace = metav1.NamespaceDefault

// kinds are the watched kinds. Every app here has one object of each.
func kinds() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{services, replicaSets, ingresses}
}

// sighting is an object as a watch outside fedsync saw it.
type sighting struct {
	cluster string
	kind    schema.GroupVersionResource
	object  *unstructured.Unstructured // must not be changed
	deleted bool
	at      time.Time // when the watch had decoded it
}

// sightings watches the guide's kinds in all clusters and notifies expectations.
type sightings struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // protects expected and the expectations in it
	expected map[*expectation]bool
}

// expectation is a set of things that should be seen.
type expectation struct {
	of      func(sighting) string // returns the key of a sighting; "" for none
	missing map[string]bool
	seen    map[string]time.Time // when each was seen first
	done    chan struct{}        // closed when nothing is missing

	all *sightings
}

// watchClusters starts the watches.
func watchClusters(clusters []*member) *sightings {
	ctx, stop := context.WithCancel(context.Background())
	s := &sightings{stop: stop, expected: map[*expectation]bool{}}
	for _, m := range clusters {
		for _, kind := range kinds() {
			s.running.Go(func() { s.watch(ctx, m, kind) })
		}
	}
	return s
}

func (s *sightings) close() {
	s.stop()
	s.running.Wait()
}

// expect starts an expectation of keys. Only what is seen from now on counts. The
// expectation ends with wait or drop.
func (s *sightings) expect(keys []string, of func(sighting) string) *expectation {
	e := &expectation{of: of, missing: map[string]bool{}, seen: map[string]time.Time{}, done: make(chan struct{}), all: s}
	for _, key := range keys {
		e.missing[key] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected[e] = true
	return e
}

// follow calls see for everything that is seen from now on, with the mutex held.
func (s *sightings) follow(see func(sighting)) (stop func()) {
	return s.expect([]string{"the end"}, func(x sighting) string {
		see(x)
		return ""
	}).drop
}

// wait waits until all keys were seen, and returns when each was seen first.
func (e *expectation) wait(ctx context.Context, limit time.Duration) (map[string]time.Time, error) {
	defer e.drop()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-e.done:
		return e.seen, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		e.all.mu.Lock()
		defer e.all.mu.Unlock()
		return nil, fmt.Errorf("not seen within %s: %s", limit, strings.Join(slices.Sorted(maps.Keys(e.missing)), ", "))
	}
}

// drop ends the expectation.
func (e *expectation) drop() {
	e.all.mu.Lock()
	defer e.all.mu.Unlock()
	delete(e.all.expected, e)
}

// see notifies the expectations of a sighting.
func (s *sightings) see(x sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range s.expected {
		key := e.of(x)
		if key == "" || !e.missing[key] {
			continue
		}
		delete(e.missing, key)
		e.seen[key] = x.at
		if len(e.missing) == 0 {
			close(e.done)
		}
	}
}

// watch lists and watches one kind in one cluster until ctx ends. It lists again after
// the cluster was stopped.
func (s *sightings) watch(ctx context.Context, m *member, kind schema.GroupVersionResource) {
	client := m.client.Resource(kind).Namespace(namespace)
	see := func(object *unstructured.Unstructured, deleted bool) {
		s.see(sighting{cluster: m.name, kind: kind, object: object, deleted: deleted, at: time.Now()})
	}
	for ctx.Err() == nil {
		listing, cancel := context.WithTimeout(ctx, 5*time.Second)
		list, err := client.List(listing, metav1.ListOptions{})
		cancel()
		if err != nil {
			_ = sleep.For(ctx, 100*time.Millisecond) // the loop checks ctx
			continue
		}
		for i := range list.Items {
			see(&list.Items[i], false)
		}
		events, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
		if err != nil {
			continue
		}
		for event := range events.ResultChan() {
			object, ok := event.Object.(*unstructured.Unstructured)
			if !ok || event.Type == watch.Error {
				break
			}
			see(object, event.Type == watch.Deleted)
		}
		events.Stop()
	}
}

// key returns a name for an app's object of a kind in a cluster.
func key(cluster string, kind schema.GroupVersionResource) string {
	return cluster + " " + kind.Resource
}

// keys returns the keys of an app's objects in some clusters.
func keys(clusters []string) []string {
	var all []string
	for _, c := range clusters {
		for _, kind := range kinds() {
			all = append(all, key(c, kind))
		}
	}
	return all
}
