package keeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// paperCloud returns what a test sets, and records its calls.
type paperCloud struct {
	mu     sync.Mutex
	health map[pair]gcp.GroupHealth
	asked  map[pair][]time.Time
	took   time.Duration // duration of each call
	do     func(a gcp.Action) error
	begun  []gcp.ID
	most   int // actions at the same time
	now    int
}

func newPaperCloud() *paperCloud {
	return &paperCloud{health: map[pair]gcp.GroupHealth{}, asked: map[pair][]time.Time{}}
}

func (c *paperCloud) Observe(context.Context, gcp.Scope) gcp.Observed {
	return gcp.Observed{At: time.Now()}
}

func (c *paperCloud) Do(_ context.Context, a gcp.Action) error {
	c.mu.Lock()
	c.begun = append(c.begun, a.ID)
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	return c.do(a)
}

func (c *paperCloud) Health(_ context.Context, service, group gcp.ID) (gcp.GroupHealth, error) {
	time.Sleep(c.took)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := pair{service, group}
	c.asked[p] = append(c.asked[p], time.Now())
	return c.health[p], nil
}

func (c *paperCloud) questions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, times := range c.asked {
		n += len(times)
	}
	return n
}

func (c *paperCloud) set(p pair, health gcp.GroupHealth) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.health[p] = health
}

// behind returns an observed state of backend services with one group of each cluster.
func behind(services, clusters int) (gcp.Observed, []pair) {
	seen := gcp.Observed{Resources: map[gcp.ID]gcp.Resource{}, Complete: allKinds()}
	mark := gcp.Mark{Federation: "web", Source: "s"}
	var pairs []pair
	for i := range services {
		id := gcp.ID{Kind: gcp.KindService, Name: fmt.Sprint("s", i)}
		spec := gcp.Service{}
		for c := range clusters {
			group := gcp.ID{Kind: gcp.KindGroup, Zone: "z", Name: fmt.Sprint("g", i, "-", c)}
			m := mark
			m.Cluster = fmt.Sprint("c", c)
			seen.Resources[group] = gcp.Resource{ID: group, Mark: m, Spec: gcp.Group{}}
			spec.Backends = append(spec.Backends, gcp.Backend{Group: group})
			pairs = append(pairs, pair{id, group})
		}
		seen.Resources[id] = gcp.Resource{ID: id, Mark: mark, Spec: spec}
	}
	return seen, pairs
}

var paperOwner = gcp.Owner{Federation: "web", Source: "s"}

// watching runs a health watch over healthy groups, until the test ends.
func watching(t *testing.T, services, clusters int) (*healthWatch, *paperCloud, []pair, *atomic.Int64) {
	t.Helper()
	cloud, rings := newPaperCloud(), new(atomic.Int64)
	w := newHealthWatch(cloud, func() { rings.Add(1) })
	seen, pairs := behind(services, clusters)
	for _, p := range pairs {
		cloud.set(p, gcp.GroupHealth{Healthy: 3})
	}
	w.watch(seen, paperOwner)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w, cloud, pairs, rings
}

func TestHealthIsAskedForInTurnWithinABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, cloud, pairs, _ := watching(t, 20, 26)
		time.Sleep(2 * time.Minute)
		if n := len(w.known()); n != 20 {
			t.Errorf("after two minutes the health of %d backend services is known; want 20", n)
		}
		before := cloud.questions()
		time.Sleep(10 * time.Minute)
		n := cloud.questions() - before
		if most := int(turnBudget*600) + 2; n > most || n < most*9/10 {
			t.Errorf("%d questions in ten minutes; want about %d", n, most)
		}
		asked := 0
		for _, p := range pairs {
			if times := cloud.asked[p]; time.Since(times[len(times)-1]) < 7*time.Minute {
				asked++
			}
		}
		if asked != len(pairs) {
			t.Errorf("only %d of %d groups were asked about in seven minutes", asked, len(pairs))
		}
	})
}

// When a group of a cluster fails, all groups of that cluster are asked about soon.
func TestTheDeathOfAClusterIsSeenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, cloud, pairs, rings := watching(t, 20, 13)
		time.Sleep(3 * time.Minute)
		before := rings.Load()
		for i, p := range pairs {
			if i%13 == 4 {
				cloud.set(p, gcp.GroupHealth{Unhealthy: 3})
			}
		}
		began := time.Now()
		sick := func() (n int) {
			for _, groups := range w.known() {
				for _, health := range groups {
					if health.Unhealthy > 0 {
						n++
					}
				}
			}
			return n
		}
		for sick() < 20 && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the failure of 20 groups of one cluster was seen after %s", took)
		}
		if rings.Load() == before {
			t.Error("the change was not notified")
		}
		// Groups that stay unhealthy are asked about at growing intervals.
		time.Sleep(5 * time.Minute)
		questions := cloud.questions()
		time.Sleep(10 * time.Minute)
		if n := cloud.questions() - questions; n > int(turnBudget*600)+2 {
			t.Errorf("%d questions in ten minutes while one cluster is dead", n)
		}
	})
}

func TestGroupsThatLeaveAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _, _ := watching(t, 2, 2)
		time.Sleep(10 * time.Second)
		fewer, _ := behind(1, 2)
		fewer.Complete = map[gcp.Kind]bool{}
		w.watch(fewer, paperOwner)
		if len(w.known()) != 2 {
			t.Error("a list that failed in part made the watch forget a backend service")
		}
		fewer.Complete = allKinds()
		w.watch(fewer, paperOwner)
		if len(w.known()) != 1 {
			t.Errorf("the health of %d backend services is known; want that of the one that is left", len(w.known()))
		}
	})
}

// quietKeeper returns a keeper whose actions the test sets.
func quietKeeper(cloud gcp.Cloud) *Keeper {
	return New(Options{Cloud: cloud, MayWrite: func() bool { return true }, Log: zap.NewNop()})
}

// execute takes a plan and waits until all its actions have ended.
func (k *Keeper) execute(ctx context.Context, p gcp.Planned) {
	k.work.take(p, k.tries.due(p, time.Now()), k.work.busy())
	k.begin(ctx)
	for len(k.work.running) > 0 {
		k.finished(ctx, <-k.work.outcomes)
	}
}

func serviceAction(name string, after ...int) gcp.Action {
	id := gcp.ID{Kind: gcp.KindService, Name: name}
	return gcp.Action{Verb: gcp.Create, ID: id, Want: gcp.Resource{ID: id, Spec: gcp.Service{}}, After: after}
}

func TestActionsWaitForThoseBeforeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newPaperCloud()
		done := map[gcp.ID]bool{}
		var mu sync.Mutex
		p := planOf(serviceAction("a"), serviceAction("b", 0), serviceAction("c", 0, 1), serviceAction("bad"), serviceAction("never", 3))
		cloud.do = func(a gcp.Action) error {
			mu.Lock()
			defer mu.Unlock()
			for i, other := range p.Actions {
				if other.ID == a.ID {
					for _, before := range p.Actions[i].After {
						if !done[p.Actions[before].ID] {
							t.Errorf("%s began before %s was done", a.ID, p.Actions[before].ID)
						}
					}
				}
			}
			if a.ID.Name == "bad" {
				return &gcp.Error{Class: gcp.ClassRetry, Err: errors.New("503")}
			}
			done[a.ID] = true
			return nil
		}
		k := quietKeeper(cloud)
		k.execute(t.Context(), p)
		if len(done) != 3 || len(cloud.begun) != 4 {
			t.Errorf("done %v, begun %v", done, cloud.begun)
		}
		if len(k.tries.failures()) != 1 {
			t.Errorf("failures %v", k.tries.failures())
		}
	})
}

func TestConcurrentActionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newPaperCloud()
		cloud.do = func(gcp.Action) error { time.Sleep(time.Second); return nil }
		var actions []gcp.Action
		for i := range 100 {
			actions = append(actions, serviceAction(fmt.Sprint("s", i)))
		}
		quietKeeper(cloud).execute(t.Context(), planOf(actions...))
		if cloud.most != concurrentActions || len(cloud.begun) != 100 {
			t.Errorf("%d of 100 actions began, at most %d at once", len(cloud.begun), cloud.most)
		}
	})
}

// An instance that may not write begins nothing.
func TestNothingBeginsWithoutTheRightToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newPaperCloud()
		var may atomic.Bool
		may.Store(true)
		k := New(Options{Cloud: cloud, MayWrite: may.Load, Log: zap.NewNop()})
		cloud.do = func(gcp.Action) error { may.Store(false); return nil }
		k.execute(t.Context(), planOf(serviceAction("a"), serviceAction("b", 0)))
		if len(cloud.begun) != 1 {
			t.Errorf("begun %v; want the first alone", cloud.begun)
		}
	})
}

// A plan from a read during a call does not touch the call's resource, or what needs it.
func TestAPlanAvoidsResourcesOfRunningCalls(t *testing.T) {
	group := gcp.ID{Kind: gcp.KindGroup, Zone: "z", Name: "g"}
	service := gcp.ID{Kind: gcp.KindService, Name: "s"}
	referring := gcp.Resource{ID: service, Spec: gcp.Service{Backends: []gcp.Backend{{Group: group}}}}
	onGroup := func(v gcp.Verb) gcp.Action {
		return gcp.Action{Verb: v, ID: group, Want: gcp.Resource{ID: group, Spec: gcp.Group{}}}
	}
	onService := gcp.Action{Verb: gcp.Update, ID: service, Want: referring}
	elsewhere := serviceAction("other")
	tests := map[string]struct {
		runs, planned gcp.Action
		want          bool // it may begin
	}{
		"the same resource":             {onGroup(gcp.Attach), onGroup(gcp.Detach), false},
		"what needs it":                 {onGroup(gcp.Create), onService, false},
		"what it needs is taken away":   {onService, onGroup(gcp.Delete), false},
		"endpoints leave what it needs": {onService, onGroup(gcp.Detach), false},
		"endpoints join what it needs":  {onService, onGroup(gcp.Attach), true},
		"something else":                {onService, elsewhere, true},
	}
	for name, test := range tests {
		w := newWork()
		follows := serviceAction("follows", 0)
		busy := map[gcp.ID]call{test.runs.ID: {action: test.runs}}
		w.take(planOf(test.planned, follows), map[int]bool{0: true, 1: true}, busy)
		if w.due[0] != test.want || w.due[1] != test.want {
			t.Errorf("%s: may begin %v, and what follows %v; want %v", name, w.due[0], w.due[1], test.want)
		}
	}
}

// The private key of a certificate is in no deed, error or wish.
func TestDeedsHoldNoKeys(t *testing.T) {
	id := gcp.ID{Kind: gcp.KindCertificate, Name: "c"}
	a := gcp.Action{Verb: gcp.Create, ID: id, Want: gcp.Resource{ID: id, Spec: gcp.Certificate{Chain: "chain", Key: "very secret"}}}
	var d deeds
	for range keptDeeds + 5 {
		d.add(Deed{Action: a})
	}
	if len(d.newest()) != keptDeeds {
		t.Errorf("%d deeds are kept; want %d", len(d.newest()), keptDeeds)
	}
	if c, _ := d.newest()[0].Action.Want.Spec.(gcp.Certificate); c.Key != "" {
		t.Error("a deed holds the key")
	}
	if c, _ := a.Want.Spec.(gcp.Certificate); c.Key == "" {
		t.Error("the action has lost its key")
	}
}

// A group that was asked about just before its cluster died is asked again as soon as
// another group of the cluster shows the death.
func TestNewsOfAGroupHurriesThoseThatWereJustAskedAbout(t *testing.T) {
	now := time.Unix(1000, 0)
	w := newHealthWatch(nil, nil)
	for name, at := range map[string]time.Duration{"just": -time.Second, "long ago": -time.Minute} {
		p := pair{group: gcp.ID{Name: name}}
		w.pairs[p] = &asked{cluster: "a", answered: true, health: gcp.GroupHealth{At: now.Add(at)}, next: now.Add(5 * time.Minute), pause: healthInterval}
	}
	w.hurry("a", now)
	for p, a := range w.pairs {
		if due := a.health.At.Add(healthSoon); a.next.After(due) && a.next.After(now) {
			t.Errorf("%s is asked about again in %s, want at most %s after its last answer", p.group.Name, a.next.Sub(now), healthSoon)
		}
	}
}
