package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

// A mark that was written while the clock was ahead delays neither a drain nor rates.
func TestMarksWithFutureTimesDelayNothing(t *testing.T) {
	s := gcptest.NewScene(3)
	s.Annotate("fedsync.dev/max-rate-per-replica", "100")
	s.Settle(t)
	s.Pass(5 * time.Hour) // the clock is ahead
	s.Cluster("c2").Drain = true
	s.Change("c1", func(f *federation.ClusterFacts) {
		f.Workloads = []federation.Workload{f.Workloads[0]}
		f.Workloads[0].Ready = 30
	})
	s.Settle(t)
	s.Pass(-5 * time.Hour)
	before := gcptest.RateOf(t, s.Build())
	s.Settle(t)
	s.Pass((balancer.DrainSeconds + balancer.DrainMargin) * time.Second)
	s.Settle(t)
	if got := s.State("c2"); got.State != federation.TrafficDrained {
		t.Errorf("c2 after the clock was set back: %+v", got)
	}
	s.Pass(2 * balancer.RatePace)
	if after := gcptest.RateOf(t, s.Settle(t)); after <= before {
		t.Errorf("the rate of c1 stays at %v", after)
	}
}

// A cluster whose Nodes are nearly all gone keeps the endpoints of its machines for a
// while: it was rebuilt, and they may serve.
func TestNodesThatAreNearlyAllGoneLeaveFewAtATime(t *testing.T) {
	s := gcptest.NewScene(2)
	for i := 3; i < 20; i++ {
		s.AddNode("c1", "r-c1-a", i)
	}
	s.Settle(t)
	s.Pass(2 * balancer.LeavePace)
	s.Change("c1", func(f *federation.ClusterFacts) { f.Nodes = f.Nodes[:1] })
	want := s.Settle(t)
	if got := gcptest.EndpointsOf(want, "c1"); len(got) < 17 {
		t.Errorf("%d of 20 endpoints are left at once", len(got))
	}
	if !strings.Contains(gcptest.Findings(want), "has no Nodes for") {
		t.Errorf("findings: %s", gcptest.Findings(want))
	}
	for range 40 {
		s.Pass(balancer.LeavePace)
		want = s.Settle(t)
	}
	if got := gcptest.EndpointsOf(want, "c1"); len(got) != 1 {
		t.Errorf("%d endpoints in the end", len(got))
	}
}

// A resource is ours only if it has our mark and a name that fedsync generates.
func TestACopyOfOursIsLeftAlone(t *testing.T) {
	s := gcptest.NewScene(1)
	want := s.Settle(t)
	owner := want.Owner
	for id := range want.Resources {
		if !owner.Generates(id) {
			t.Errorf("%s is not taken for ours", id)
		}
		copied := id
		copied.Name += "-1"
		if id.Kind != gcp.KindAddress && owner.Generates(copied) || id.Kind != gcp.KindAddress && (gcp.Owner{Federation: "web", Source: "other"}).Generates(id) && id.Kind != gcp.KindFirewall {
			t.Errorf("%s is taken for ours", copied)
		}
	}
	long := gcp.Owner{Federation: strings.Repeat("a-long-name-", 20), Source: "x"}
	if id := (gcp.ID{Kind: gcp.KindFirewall, Name: gcp.FirewallName(long, "n", 3)}); !long.Generates(id) {
		t.Errorf("%s is not taken for ours", id)
	}
	seen := s.Observe()
	id, service := gcptest.ServiceOf(t, want)
	fake := gcp.Resource{ID: gcp.ID{Kind: gcp.KindService, Name: "my-" + id.Name}, Mark: want.Resources[id].Mark, Spec: gcp.Service{HealthCheck: service.HealthCheck}}
	seen.Resources[fake.ID] = fake
	if copies := disown(&seen, owner); len(copies) != 1 || copies[0] != fake.ID {
		t.Errorf("copies: %v", copies)
	}
	if p := planner.Plan(balancer.Build(s.Input(), seen), seen); len(p.Actions) > 0 {
		t.Errorf("actions: %v", p.Actions)
	}
}

func TestMarksWithControlCharactersAreNotOurs(t *testing.T) {
	if m := gcp.ReadMark("{\"fedsync\":\"web\",\"source\":\"x\",\"cluster\":\"\\u001b[2J\"}"); m.Federation != "" {
		t.Errorf("mark: %+v", m)
	}
}

// No verb of fmt and no encoder shows a key, and reports do not hold it.
func TestNothingShowsAKey(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----"
	a := gcp.Action{Verb: gcp.Create, Want: gcp.Resource{Spec: gcp.Certificate{Key: key}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U", "%e", "%y"} {
		for _, v := range []any{gcp.Secret(key), a, &a, []gcp.Action{a}, gcp.KeyPair{Key: key}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "PRIVATE") || strings.Contains(text, fmt.Sprintf("%x", "PRIVATE")) {
				t.Errorf("%s: %s", verb, text)
			}
		}
	}
	if data, err := json.Marshal(a); err != nil || strings.Contains(string(data), "PRIVATE") {
		t.Errorf("JSON: %s, %v", data, err)
	}
	if c, _ := withoutKeys([]gcp.Action{a})[0].Want.Spec.(gcp.Certificate); c.Key != "" {
		t.Error("what is reported holds the key")
	}
	if c, _ := a.Want.Spec.(gcp.Certificate); c.Key != key {
		t.Error("the action has lost its key")
	}
}

// A read that fails repeatedly is a warning at first, and an error when it has failed for
// long since the first time.
func TestWhatCannotBeReadIsTimed(t *testing.T) {
	s, now := unreadable{}, time.Unix(1000, 0)
	look := func(whats ...string) []gcp.ReadError {
		var errs []gcp.ReadError
		for _, what := range whats {
			errs = append(errs, gcp.ReadError{What: what, Err: errors.New("503")})
		}
		s.note(errs, now)
		return errs
	}
	look("groups")
	now = now.Add(time.Minute)
	if errs := look("groups", "rules"); errs[0].Since != time.Unix(1000, 0) || errs[1].Since != now {
		t.Errorf("since: %v", errs)
	}
	look()
	if errs := look("groups"); errs[0].Since != now {
		t.Errorf("since after it was read: %v", errs)
	}
}

// Health that cannot be read is reported, and the last answer does not count forever.
func TestHealthThatCannotBeReadGoesStale(t *testing.T) {
	w := newHealthWatch(nil, func() {})
	p, now := pair{gcp.ID{Name: "s"}, gcp.ID{Name: "g"}}, time.Now()
	w.pairs[p] = &asked{}
	w.answer(p, gcp.GroupHealth{Healthy: 1}, nil, now.Add(-time.Hour))
	w.answer(p, gcp.GroupHealth{}, errors.New("403"), now.Add(-staleHealth/2))
	if n, _, err := w.failures(); n != 1 || err == nil || len(w.known()) != 1 {
		t.Errorf("%d failures, %v; known %v", n, err, w.known())
	}
	w.pairs[p].failing = now.Add(-2 * staleHealth)
	if len(w.known()) != 0 {
		t.Errorf("known: %v", w.known())
	}
	w.answer(p, gcp.GroupHealth{Healthy: 1}, nil, now)
	if n, _, _ := w.failures(); n != 0 || len(w.known()) != 1 {
		t.Errorf("%d failures; known %v", n, w.known())
	}
}

func TestPlanningUsesAShareOfAProcessor(t *testing.T) {
	began := time.Unix(1000, 0)
	if rest := restAfter(began, began.Add(50*time.Millisecond)).Sub(began); 50*time.Millisecond*10 > rest {
		t.Errorf("50 ms of every %s", rest)
	}
}

// The load balancers of a federation that was moved are distinguished from foreign ones.
func TestResourcesOfAFormerSourceAreReported(t *testing.T) {
	s := gcptest.NewScene(1)
	s.Annotate("kubernetes.io/ingress.global-static-ip-name", "web-ip")
	s.Settle(t)
	for id, r := range s.Cloud.Resources {
		r.Mark.Source = "former"
		s.Cloud.Resources[id] = r
	}
	look := s.Observe()
	want := balancer.Build(s.Input(), look)
	if text := gcptest.Findings(want); !strings.Contains(text, `which is managed by fedsync for federation "web" and source "former"`) {
		t.Errorf("findings: %s", text)
	}
	if found := siblings(decision{want: want, seen: look}); len(found) != 1 || found[0].Severity != federation.SeverityNote {
		t.Errorf("siblings: %v", found)
	}
}

// An action that succeeds before a read that shows its effect is no repair.
func TestTheEndOfACreationIsNoRepair(t *testing.T) {
	tr, now := newTries(), time.Unix(1000, 0)
	a := firewallAction(gcp.Create, 30061)
	repair := tr.isRepair(a)
	tr.update(gcp.Planned{}, wantedOf(a), now)
	tr.tried(a, nil, repair, now)
	if len(tr.repairs) != 0 {
		t.Errorf("repairs: %v", tr.repairs)
	}
}

// An instance that loses the claim while a call is under way cancels the call: another
// instance may have begun.
func TestALostClaimCancelsCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, quickOperations)
		defer l.close()
		l.server.Fault(gcetest.Fault{
			Method: `firewalls\.insert`, Times: 20, Action: gcetest.Answer{Status: 503, Reason: "backendError", Message: "try again"},
		})
		l.start()
		for len(l.callsOf("firewalls.insert")) < 2 {
			time.Sleep(100 * time.Millisecond)
		}
		l.may.Store(false)
		time.Sleep(time.Second)
		before := len(l.callsOf("firewalls.insert"))
		time.Sleep(3 * time.Minute)
		if after := len(l.callsOf("firewalls.insert")); after != before {
			t.Errorf("%d calls after the claim was lost", after-before)
		}
		l.may.Store(true)
		l.settle()
		if n := len(l.server.Snapshot().Firewalls); n != 1 {
			t.Errorf("%d firewall rules in the end", n)
		}
	})
}

// callsOf returns the calls of one method.
func (l *lab) callsOf(method string) []gcetest.Call {
	return slices.DeleteFunc(l.server.Calls(), func(c gcetest.Call) bool { return c.Method != method })
}

// vault is a KeyReader of which some members do not answer.
type vault struct {
	chain, key []byte
	silent     map[string]bool
	asked      []string
}

func (v *vault) TLSSecret(ctx context.Context, c federation.Cluster, _, _ string) (chain, key []byte, err error) {
	v.asked = append(v.asked, c.Name)
	if v.silent[c.Name] {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return v.chain, v.key, nil
}

// A member that does not return a Secret delays neither the read nor the certificate:
// another member has it too.
func TestACertificateComesFromTheMemberThatAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gcptest.NewScene(2)
		s.Edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: one}, {secretName: two}, {secretName: three}]")
		v := &vault{chain: []byte("chain"), key: []byte("key"), silent: map[string]bool{"c1": true}}
		for _, c := range []string{"c1", "c2"} {
			s.Change(c, func(f *federation.ClusterFacts) {
				for _, name := range []string{"one", "two", "three"} {
					f.Certificates = append(f.Certificates, federation.Certificate{Namespace: "default", Name: name, Exists: true, Digest: certDigest(v.chain)})
				}
			})
		}
		k, in := newKeys(v), s.Input()
		for range 6 {
			began := time.Now()
			k.read(t.Context(), &in)
			if took := time.Since(began); took > keysTimeout {
				t.Fatalf("a turn waited %s", took)
			}
		}
		for name, pair := range k.known() {
			if pair.Digest == "" || pair.Error != "" {
				t.Errorf("%s: %+v; asked %v", name, pair, v.asked)
			}
		}
		if len(k.known()) != 3 {
			t.Errorf("known: %v", k.known())
		}
	})
}

// A failure that continues is logged only the first time.
func TestARepeatedFailureIsNotLoggedAgain(t *testing.T) {
	tr, now := newTries(), time.Unix(1000, 0)
	a := firewallAction(gcp.Create, 30061)
	refused := &gcp.Error{Class: gcp.ClassForbidden, Err: errors.New("403")}
	if tr.fails(a, refused) {
		t.Error("the first failure is not logged")
	}
	tr.tried(a, refused, false, now)
	if !tr.fails(a, refused) || tr.fails(a, &gcp.Error{Class: gcp.ClassQuota, Err: errors.New("403")}) || tr.fails(firewallAction(gcp.Create, 1), refused) {
		t.Error("want no log only for the same reason and the same wish")
	}
}
