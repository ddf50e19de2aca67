package keeper

import (
	"context"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// How often a backend service is asked for the health of a group. All groups are asked
// in turn, each every healthInterval or less often if turnBudget does not allow that. A
// group is asked out of turn, soon and then at growing intervals, if it is new, has
// changed or is not well, or if the health of another group of its cluster has just
// changed. While a cluster is drained its service's groups are asked every healthDrain,
// because the others have to serve then.
const (
	healthInterval = 30 * time.Second
	healthSoon     = 2 * time.Second
	healthDrain    = 5 * time.Second
	healthTick     = 100 * time.Millisecond
	healthAtOnce   = 8 // calls under way

	turnBudget = 1.5 // calls per second in turn
	soonBudget = 6   // calls per second out of turn, over time
	soonBurst  = 60  // calls at once, as when a load balancer is new
)

// staleHealth is how long the last answer counts while calls fail.
const staleHealth = 5 * time.Minute

// failures returns for how many pairs the health cannot be read, since when and why.
func (w *healthWatch) failures() (pairs int, since time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.pairs {
		if a.err == nil {
			continue
		}
		pairs++
		if since.IsZero() || a.failing.Before(since) {
			since, err = a.failing, a.err
		}
	}
	return pairs, since, err
}

// pair is a group behind a backend service.
type pair struct{ service, group gcp.ID }

// healthWatch asks for the health of the groups behind the backend services.
type healthWatch struct {
	cloud gcp.Cloud
	ring  func()
	turns *rate.Limiter
	soon  *rate.Limiter

	mu    sync.Mutex
	pairs map[pair]*asked
}

// asked is what is known of a pair, and when it is asked next.
type asked struct {
	cluster  string
	content  string // of the group and the service, when last watched
	health   gcp.GroupHealth
	answered bool
	err      error     // of the last call
	failing  time.Time // since when calls fail
	next     time.Time
	pause    time.Duration // before next; healthInterval if it is asked in turn
	under    bool          // a call is under way
	drains   bool          // a cluster behind the service is being drained
}

func newHealthWatch(cloud gcp.Cloud, ring func()) *healthWatch {
	return &healthWatch{
		cloud: cloud, ring: ring, pairs: map[pair]*asked{},
		turns: rate.NewLimiter(turnBudget, 1), soon: rate.NewLimiter(soonBudget, soonBurst),
	}
}

// watch sets the pairs to ask about to those in the observed state.
func (w *healthWatch) watch(seen gcp.Observed, owner gcp.Owner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	there := map[pair]bool{}
	for id, r := range seen.Resources {
		service, ok := r.Spec.(gcp.Service)
		if !ok || !owner.Owns(r.Mark) {
			continue
		}
		for _, b := range service.Backends {
			p := pair{id, b.Group}
			there[p] = true
			group := seen.Resources[b.Group]
			w.see(p, group.Mark.Cluster, wishOf(group)+service.HealthCheck.Name, len(r.Mark.Draining) > 0, now)
		}
	}
	if !seen.Complete[gcp.KindService] {
		return
	}
	maps.DeleteFunc(w.pairs, func(p pair, _ *asked) bool { return !there[p] })
}

func (w *healthWatch) see(p pair, cluster, content string, drains bool, now time.Time) {
	a := w.pairs[p]
	if a == nil {
		a = &asked{}
		w.pairs[p] = a
	}
	begins := drains && !a.drains
	a.cluster, a.drains = cluster, drains
	if a.content != content || begins {
		a.content, a.next, a.pause = content, now, healthSoon
	}
}

// known returns the last answers, by backend service and group.
func (w *healthWatch) known() map[gcp.ID]map[gcp.ID]gcp.GroupHealth {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[gcp.ID]map[gcp.ID]gcp.GroupHealth{}
	for p, a := range w.pairs {
		if !a.answered || a.err != nil && time.Since(a.failing) > staleHealth {
			continue
		}
		if all[p.service] == nil {
			all[p.service] = map[gcp.ID]gcp.GroupHealth{}
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
	for sleep.For(ctx, healthTick) == nil {
		for {
			p, due := w.due(time.Now())
			if !due {
				break
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
}

// due returns the pair that has waited longest among those that may be asked now.
func (w *healthWatch) due(now time.Time) (pair, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var soon, turn *asked
	var soonPair, turnPair pair
	for p, a := range w.pairs {
		switch {
		case a.under || a.next.After(now):
		case a.pause < healthInterval && (soon == nil || a.next.Before(soon.next)):
			soon, soonPair = a, p
		case a.pause >= healthInterval && (turn == nil || a.next.Before(turn.next)):
			turn, turnPair = a, p
		}
	}
	switch {
	case soon != nil && w.soon.AllowN(now, 1):
		soon.under = true
		return soonPair, true
	case turn != nil && w.turns.AllowN(now, 1):
		turn.under = true
		return turnPair, true
	}
	return pair{}, false
}

func (w *healthWatch) ask(ctx context.Context, p pair) {
	ctx, cancel := context.WithTimeout(ctx, gcp.QuestionTimeout)
	defer cancel()
	health, err := w.cloud.Health(ctx, p.service, p.group)
	if w.answer(p, health, err, time.Now()) {
		w.ring()
	}
}

// answer records the answer about a pair, and reports whether it is news.
func (w *healthWatch) answer(p pair, health gcp.GroupHealth, err error, now time.Time) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.pairs[p]
	if a == nil {
		return false // it is no longer behind the service
	}
	a.under = false
	before, answered := a.health, a.answered
	well := false
	switch {
	case err != nil && a.err == nil:
		a.failing = now
	case err == nil:
		a.failing = time.Time{}
	}
	a.err = err
	if err == nil {
		health.At = now
		a.health, a.answered = health, true
		news = !answered || !sameHealth(before, health)
		well = health.Healthy > 0 && health.Unhealthy+health.Unknown == 0
	}
	switch {
	case well:
		a.pause = healthInterval
	case news:
		a.pause = healthSoon
	default:
		a.pause = min(2*max(a.pause, healthSoon/2), healthInterval)
	}
	if a.drains {
		a.pause = min(a.pause, healthDrain)
	}
	a.next = now.Add(a.pause)
	if news && answered {
		w.hurry(a.cluster, now)
	}
	return news
}

// hurry makes all groups of a cluster due soon: what happened to one of them has
// probably happened to others.
func (w *healthWatch) hurry(cluster string, now time.Time) {
	for _, a := range w.pairs {
		if a.cluster != cluster {
			continue
		}
		a.pause = healthSoon
		soon := a.health.At.Add(healthSoon)
		if soon.Before(now) {
			soon = now
		}
		if a.next.After(soon) {
			a.next = soon
		}
	}
}

func sameHealth(a, b gcp.GroupHealth) bool {
	a.At, b.At = time.Time{}, time.Time{}
	return a == b
}
