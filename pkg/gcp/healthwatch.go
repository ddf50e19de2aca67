package gcp

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often a backend service is asked for the health of a group. Where something
// changed, or is not well, it is asked soon; the calls of all together are kept
// below healthBudget a second, and are spread over the interval.
const (
	healthInterval = 30 * time.Second
	healthSoon     = 2 * time.Second
	healthGap      = 50 * time.Millisecond
	healthBudget   = 4  // calls a second, over time
	healthBurst    = 60 // calls at once, as when a load balancer is new
	healthAtOnce   = 8  // calls under way
)

// pair is a group behind a backend service.
type pair struct{ service, group ID }

// healthWatch asks for the health of what stands behind the backend services.
type healthWatch struct {
	cloud Cloud
	ring  func()

	mu    sync.Mutex
	pairs map[pair]*asked
}

type asked struct {
	health   GroupHealth
	content  string // of the group and the service, when it was last watched
	next     time.Time
	under    bool // a call is under way
	answered bool
}

func newHealthWatch(cloud Cloud, ring func()) *healthWatch {
	return &healthWatch{cloud: cloud, ring: ring, pairs: map[pair]*asked{}}
}

// watch takes what there is now.
func (w *healthWatch) watch(seen Observed, owner Owner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	there := map[pair]bool{}
	for id, r := range seen.Resources {
		service, ok := r.Spec.(Service)
		if !ok || !owner.owns(r.Mark) {
			continue
		}
		for _, b := range service.Backends {
			p := pair{id, b.Group}
			there[p] = true
			w.see(p, wishOf(seen.Resources[b.Group])+wishOf(Resource{Spec: Service{HealthCheck: service.HealthCheck}}), now)
		}
	}
	if !seen.Complete[KindService] {
		return
	}
	maps.DeleteFunc(w.pairs, func(p pair, _ *asked) bool { return !there[p] })
}

func (w *healthWatch) see(p pair, content string, now time.Time) {
	a := w.pairs[p]
	if a == nil {
		a = &asked{}
		w.pairs[p] = a
	}
	if a.content != content {
		a.content, a.next = content, now
	}
}

// known returns what was answered, by backend service and group.
func (w *healthWatch) known() map[ID]map[ID]GroupHealth {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[ID]map[ID]GroupHealth{}
	for p, a := range w.pairs {
		if !a.answered {
			continue
		}
		if all[p.service] == nil {
			all[p.service] = map[ID]GroupHealth{}
		}
		all[p.service][p.group] = a.health
	}
	return all
}

// run asks until ctx ends.
func (w *healthWatch) run(ctx context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	room := make(chan struct{}, healthAtOnce)
	budget := rate.NewLimiter(healthBudget, healthBurst)
	for sleep(ctx, healthGap) == nil {
		p, due := w.due(time.Now())
		if !due {
			continue
		}
		if budget.Wait(ctx) != nil {
			return
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		calls.Go(func() {
			defer func() { <-room }()
			w.ask(ctx, p)
		})
	}
}

// due returns the pair that has waited longest.
func (w *healthWatch) due(now time.Time) (pair, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first pair
	var found *asked
	for _, p := range slices.SortedFunc(maps.Keys(w.pairs), comparePairs) {
		a := w.pairs[p]
		if !a.under && !a.next.After(now) && (found == nil || a.next.Before(found.next)) {
			first, found = p, a
		}
	}
	if found == nil {
		return pair{}, false
	}
	found.under = true
	return first, true
}

func comparePairs(a, b pair) int {
	if c := a.service.Compare(b.service); c != 0 {
		return c
	}
	return a.group.Compare(b.group)
}

func (w *healthWatch) ask(ctx context.Context, p pair) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	health, err := w.cloud.Health(ctx, p.service, p.group)
	now := time.Now()
	w.mu.Lock()
	a := w.pairs[p]
	news := false
	if a != nil {
		a.under = false
		a.next = now.Add(healthSoon)
		if err == nil {
			health.At = now
			news = !a.answered || !sameHealth(a.health, health)
			a.health, a.answered = health, true
			if health.Healthy > 0 && health.Unhealthy+health.Unknown == 0 && !news {
				a.next = now.Add(healthInterval)
			}
		}
	}
	w.mu.Unlock()
	if news {
		w.ring()
	}
}

func sameHealth(a, b GroupHealth) bool {
	a.At, b.At = time.Time{}, time.Time{}
	return a == b
}
