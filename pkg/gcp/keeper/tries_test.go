package keeper

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp"
)

func firewallAction(verb gcp.Verb, ports ...int32) gcp.Action {
	id := gcp.ID{Kind: gcp.KindFirewall, Name: "fedsync-web-1"}
	return gcp.Action{Verb: verb, ID: id, Want: gcp.Resource{
		ID: id, Mark: gcp.Mark{Federation: "web", Source: "s"},
		Spec: gcp.Firewall{Network: "n", Ports: ports, Tags: []string{"t"}},
	}}
}

func planOf(actions ...gcp.Action) gcp.Planned { return gcp.Planned{Actions: actions} }

func wantedOf(actions ...gcp.Action) gcp.Wanted {
	w := gcp.Wanted{Resources: map[gcp.ID]gcp.Resource{}}
	for _, a := range actions {
		w.Resources[a.ID] = a.Want
	}
	return w
}

// A failed action is tried again after a growing pause, and at once when the wish has
// changed.
func TestAFailedActionPausesUntilTheWishChanges(t *testing.T) {
	tr, now := newTries(), time.Unix(1000, 0)
	a := firewallAction(gcp.Create, 30061)
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		want *= time.Second
		tr.tried(a, &gcp.Error{Class: gcp.ClassRetry, Err: errors.New("503")}, tr.isRepair(a), now)
		if len(tr.due(planOf(a), now.Add(want-time.Millisecond))) != 0 {
			t.Fatalf("failure %d: due before %s", i+1, want)
		}
		now = now.Add(want)
		if len(tr.due(planOf(a), now)) != 1 {
			t.Fatalf("failure %d: not due after %s", i+1, want)
		}
	}
	tr.tried(a, &gcp.Error{Class: gcp.ClassForbidden, Err: errors.New("403")}, tr.isRepair(a), now)
	if len(tr.due(planOf(a), now.Add(time.Minute))) != 0 {
		t.Error("what is forbidden is tried again after a minute")
	}
	if other := firewallAction(gcp.Create, 30061, 30062); len(tr.due(planOf(other), now)) != 1 {
		t.Error("another wish waits for the pause of the one before")
	}
	tr.update(gcp.Planned{}, wantedOf(a), now)
	if len(tr.failures()) != 0 {
		t.Error("what is planned no more counts as failing")
	}
}

// Actions that depend on a paused action do not begin.
func TestActionsThatDependOnAPausedOneWaitToo(t *testing.T) {
	tr, now := newTries(), time.Unix(1000, 0)
	a := firewallAction(gcp.Create, 30061)
	tr.tried(a, errors.New("503"), tr.isRepair(a), now)
	b := gcp.Action{Verb: gcp.Create, ID: gcp.ID{Kind: gcp.KindService, Name: "s"}, After: []int{0}}
	c := gcp.Action{Verb: gcp.Create, ID: gcp.ID{Kind: gcp.KindURLMap, Name: "u"}, After: []int{1}}
	d := gcp.Action{Verb: gcp.Create, ID: gcp.ID{Kind: gcp.KindHealthCheck, Name: "h"}}
	if due := tr.due(planOf(a, b, c, d), now); len(due) != 1 || !due[3] {
		t.Errorf("due %v; want the last alone", due)
	}
}

// Three repairs in ten minutes end a fight with another client. A push is no fight, nor
// are repairs that are far apart.
func TestAFightEndsAfterThreeRepairs(t *testing.T) {
	now := time.Unix(100_000, 0)
	play := func(tr *tries, gap time.Duration, times int, action func(i int) gcp.Action) (repaired int) {
		for i := range times {
			a := action(i)
			tr.update(gcp.Planned{}, wantedOf(a), now) // it is as wanted
			now = now.Add(gap)
			p := planOf(a)
			tr.update(p, wantedOf(a), now)
			if len(tr.due(p, now)) == 1 {
				tr.tried(a, nil, tr.isRepair(a), now)
				repaired++
			}
		}
		return repaired
	}
	same := func(int) gcp.Action { return firewallAction(gcp.Update, 30061) }

	tr := newTries()
	if n := play(&tr, 10*time.Second, 20, same); n != fightRepairs {
		t.Errorf("put back %d times; want %d", n, fightRepairs)
	}
	if len(tr.fights(now)) != 1 {
		t.Error("the fight is not reported")
	}
	if len(tr.due(planOf(firewallAction(gcp.Update, 30061, 30062)), now)) != 1 {
		t.Error("another wish waits for the end of the fight")
	}
	now = now.Add(fightPause)
	if len(tr.due(planOf(same(0)), now)) != 1 || len(tr.fights(now)) != 0 {
		t.Error("the fight never ends")
	}

	tr = newTries()
	if n := play(&tr, 6*time.Minute, 10, same); n != 10 {
		t.Errorf("changes that are six minutes apart were put back %d times of 10", n)
	}
	tr = newTries()
	pushed := func(i int) gcp.Action { return firewallAction(gcp.Update, int32(30000+i)) }
	if n := play(&tr, time.Second, 10, pushed); n != 10 {
		t.Errorf("%d of 10 pushes took effect", n)
	}
}

func TestAPauseThatComputeEngineAsksForIsKept(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		0: firstPause, 40 * time.Second: 40 * time.Second, time.Hour: longPause,
	} {
		tr, now := newTries(), time.Unix(1000, 0)
		a := firewallAction(gcp.Create, 30061)
		tr.tried(a, fmt.Errorf("create: %w", &gcp.Error{Class: gcp.ClassRetry, After: after, Err: errors.New("429")}), false, now)
		if len(tr.due(planOf(a), now.Add(want-time.Millisecond))) != 0 || len(tr.due(planOf(a), now.Add(want))) != 1 {
			t.Errorf("with a Retry-After of %s, the action is not due after %s", after, want)
		}
	}
}
