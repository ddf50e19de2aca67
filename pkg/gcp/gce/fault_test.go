package gce

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// life is the life of a load balancer: it is created, changed and deleted.
func life(t *testing.T, f frontend) []gcp.Action {
	t.Helper()
	chain, key := gcptest.NewKeyPair(t)
	redirect := gcp.Resource{ID: gcp.ID{Kind: gcp.KindURLMap, Name: "redirect-um"}, Mark: gcptest.Mark, Spec: gcp.URLMap{Default: gcp.Target{HTTPS: true}}}
	renewed := gcp.Resource{ID: gcp.ID{Kind: gcp.KindCertificate, Name: "renewed-cert"}, Mark: gcptest.Mark, Spec: gcp.Certificate{Chain: chain, Key: key}}
	proxy := gcp.Resource{ID: gcp.ID{Kind: gcp.KindHTTPProxy, Name: "redirect-tp"}, Mark: gcptest.Mark, Spec: gcp.Proxy{URLMap: redirect.ID}}
	all := slices.Insert(f.all(), 8, redirect, renewed, proxy)
	var out []gcp.Action
	for _, r := range all {
		out = append(out, gcp.Action{Verb: gcp.Create, ID: r.ID, Want: r})
	}
	change := func(r gcp.Resource, fields ...string) gcp.Action {
		return gcp.Action{Verb: gcp.Update, ID: r.ID, Fields: fields, Want: r}
	}
	out = append(out,
		gcp.Action{Verb: gcp.Attach, ID: f.group.ID, Want: f.group, Endpoints: standEndpoints},
		change(withSpec(f.firewall, func(s *gcp.Firewall) { s.Ports = []int32{30099} }), "allowed"),
		change(withSpec(f.check, func(s *gcp.HealthCheck) { s.Path = "/ready" }), "requestPath"),
		change(withSpec(f.service, func(s *gcp.Service) { s.Backends = nil }), "backends"),
		change(withSpec(f.urlMap, func(s *gcp.URLMap) { s.Hosts = nil }), "hostRules", "pathMatchers"),
		change(withSpec(f.http, func(s *gcp.Proxy) { s.URLMap = redirect.ID }), "urlMap"),
		change(withSpec(f.https, func(s *gcp.Proxy) { s.Certificates, s.URLMap = []gcp.ID{renewed.ID}, redirect.ID }), "sslCertificates", "urlMap"),
		change(withSpec(f.plain, func(s *gcp.Rule) { s.Target = proxy.ID }), "target"),
		gcp.Action{Verb: gcp.Detach, ID: f.group.ID, Want: f.group, Endpoints: standEndpoints},
	)
	slices.SortStableFunc(all, func(a, b gcp.Resource) int { return b.ID.Compare(a.ID) })
	for _, r := range all {
		out = append(out, gcp.Action{Verb: gcp.Delete, ID: r.ID, Want: r})
	}
	return out
}

// insist executes an action like the keeper: it repeats it after an error that requires it.
func insist(t *testing.T, c *Client, a gcp.Action) error {
	t.Helper()
	for attempts := 0; ; {
		err := c.Do(t.Context(), a)
		switch classOf(err) {
		case gcp.ClassOrder: // an operation of an earlier attempt runs
			if err := sleep.For(t.Context(), time.Millisecond); err != nil {
				return err
			}
		case gcp.ClassRetry, gcp.ClassChanged:
			if attempts++; attempts > 8 {
				return err
			}
		case gcp.ClassConflict, gcp.ClassForbidden, gcp.ClassQuota, gcp.ClassInvalid, "":
			return err
		}
	}
}

func TestEveryCallMayFailOnceInEveryWay(t *testing.T) {
	quick := gcetest.Options{OperationTime: func(string) time.Duration { return time.Millisecond }}
	server, c := newStandIn(t, quick)
	f := newFrontend(t)
	for _, a := range life(t, f) {
		mustDo(t, c, a)
	}
	healthy := server.History()
	methods := map[string]bool{}
	for _, call := range server.Calls() {
		methods[call.Method] = true
	}
	ways := map[string]gcetest.Action{
		"rate limit":       gcetest.Answer{Status: 403, Reason: "rateLimitExceeded"},
		"too many":         gcetest.Answer{Status: 429, Reason: "rateLimitExceeded"},
		"unavailable":      gcetest.Answer{Status: 503, Reason: "backendError"},
		"server error":     gcetest.Answer{Status: 500, Reason: "internalError"},
		"condition":        gcetest.Answer{Status: 412, Reason: "conditionNotMet"},
		"in use":           gcetest.Answer{Status: 400, Reason: "resourceInUseByAnotherResource"},
		"not ready":        gcetest.Answer{Status: 400, Reason: "resourceNotReady"},
		"lost answer":      gcetest.LoseAnswer{},
		"lost request":     gcetest.DropRequest{},
		"slow operation":   gcetest.SlowOperation(20 * time.Millisecond),
		"failed operation": gcetest.FailOperation{Code: "INTERNAL_ERROR", Message: "try again"},
	}
	for what, way := range ways {
		t.Run(what, func(t *testing.T) {
			server, c := newStandIn(t, quick)
			faults := map[string]*gcetest.FaultHandle{} // by method
			for method := range methods {
				fault := gcetest.Fault{Method: strings.ReplaceAll(method, ".", `\.`), Times: 1, Action: way}
				faults[method] = server.Fault(fault)
			}
			for _, a := range life(t, f) {
				if err := insist(t, c, a); err != nil {
					t.Fatal(err)
				}
			}
			for method, fault := range faults {
				// The client does not wait for an operation that is done when it is answered.
				if fault.Hits() != 1 && !strings.HasSuffix(method, "Operations.wait") {
					t.Errorf("the fault of %s hit %d times", method, fault.Hits())
				}
			}
			if got, want := mutations(server.History()), mutations(healthy); got != want {
				t.Errorf("history\n%swant\n%s", got, want)
			}
			if left := mustObserve(t, c, gcp.Scope{}).Resources; len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	t.Logf("%d methods in %d ways", len(methods), len(ways))
}

func TestAFailedListLeavesItsKindUnknown(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	f.build(t, c)
	want := mustObserve(t, c, gcp.Scope{})
	for kind, method := range map[gcp.Kind]string{
		gcp.KindAddress: `globalAddresses\.list`, gcp.KindFirewall: `firewalls\.list`, gcp.KindHealthCheck: `healthChecks\.list`,
		gcp.KindGroup: `networkEndpointGroups\.aggregatedList`, gcp.KindService: `backendServices\.list`, gcp.KindURLMap: `urlMaps\.list`,
		gcp.KindCertificate: `sslCertificates\.list`, gcp.KindHTTPProxy: `targetHttpProxies\.list`,
		gcp.KindHTTPSProxy: `targetHttpsProxies\.list`, gcp.KindRule: `globalForwardingRules\.list`,
	} {
		// A short failure has no effect.
		for _, way := range []gcetest.Action{gcetest.Answer{Status: 503}, gcetest.LoseAnswer{}, gcetest.Answer{Status: 403, Reason: "rateLimitExceeded"}} {
			server.Fault(gcetest.Fault{Method: method, Times: 1, Action: way})
			if seen := mustObserve(t, c, gcp.Scope{}); len(seen.Resources) != len(want.Resources) {
				t.Errorf("%s: %d resources, want %d", kind, len(seen.Resources), len(want.Resources))
			}
		}
		// A long failure: all other kinds are known.
		fault := server.Fault(gcetest.Fault{Method: method, Action: gcetest.Answer{Status: 403, Reason: "forbidden"}})
		seen := c.Observe(t.Context(), gcp.Scope{Owner: standOwner, Earlier: want})
		for _, other := range gcp.Kinds {
			if seen.Complete[other] != (other != kind) {
				t.Errorf("without %s, %s: complete %v", plural(kind), plural(other), seen.Complete[other])
			}
		}
		for id := range want.Resources {
			if _, found := seen.Resources[id]; found != (id.Kind != kind) {
				t.Errorf("without %s, %s: seen %v", plural(kind), id, found)
			}
		}
		fault.Remove()
	}
}

// mutations returns the changes of each resource, in order.
func mutations(history map[string][]gcetest.Change) string {
	var lines []string
	for path, changes := range history {
		line := path + ":"
		for _, change := range changes {
			line += fmt.Sprintf(" %s%v", change.Method, change.Fields)
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestErrorsNameTheRemedy(t *testing.T) {
	const denied = "Required 'compute.backendServices.create' permission for 'projects/shop-prod/global/backendServices/web-be'"
	tests := map[string]struct {
		fault gcetest.Action
		class gcp.Class
		want  []string
	}{
		"forbidden": {
			gcetest.Answer{Status: 403, Reason: "forbidden", Message: denied},
			gcp.ClassForbidden,
			[]string{"create backend service web-be", "compute.backendServices.create", "roles/compute.loadBalancerAdmin"},
		},
		"unauthorized": {gcetest.Answer{Status: 401, Reason: "authError", Message: "Invalid Credentials"}, gcp.ClassForbidden, []string{"credentials"}},
		"quota": {
			gcetest.Answer{Status: 403, Reason: "quotaExceeded", Message: "Quota 'BACKEND_SERVICES' exceeded.  Limit: 75.0 globally."},
			gcp.ClassQuota,
			[]string{"BACKEND_SERVICES", "75.0"},
		},
		"quota of an operation": {
			gcetest.FailOperation{Code: "QUOTA_EXCEEDED", Message: "Quota 'BACKEND_SERVICES' exceeded.  Limit: 75.0 globally."},
			gcp.ClassQuota,
			[]string{"BACKEND_SERVICES", "75.0"},
		},
		"invalid":   {gcetest.Answer{Status: 400, Reason: "invalid", Message: "Invalid value\nfor x"}, gcp.ClassInvalid, []string{"Invalid value for x (invalid)"}},
		"in use":    {gcetest.Answer{Status: 400, Reason: "resourceInUseByAnotherResource"}, gcp.ClassOrder, nil},
		"not ready": {gcetest.FailOperation{Code: "RESOURCE_NOT_READY", Message: "x"}, gcp.ClassOrder, nil},
		"condition": {gcetest.Answer{Status: 412, Reason: "conditionNotMet"}, gcp.ClassChanged, nil},
		"no answer": {gcetest.DropRequest{}, gcp.ClassRetry, []string{"the connection was lost before the answer came"}},
		"server":    {gcetest.Answer{Status: 503, Reason: "backendError", Message: "later"}, gcp.ClassRetry, []string{"later"}},
		"a failed operation": {
			gcetest.FailOperation{Code: "INTERNAL_ERROR", Message: "x"}, gcp.ClassRetry, []string{"INTERNAL_ERROR"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server, c := newStandIn(t, gcetest.Options{})
			c.pace.total = 20 * time.Millisecond
			f := newFrontend(t)
			for _, r := range []gcp.Resource{f.check, f.group} {
				mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: r.ID, Want: r})
			}
			server.Fault(gcetest.Fault{Method: `backendServices\.insert`, Action: tt.fault})
			err := c.Do(t.Context(), gcp.Action{Verb: gcp.Create, ID: f.service.ID, Want: f.service})
			var e *gcp.Error
			if !errors.As(err, &e) || e.Class != tt.class {
				t.Fatalf("got %v (%s), want %s", err, classOf(err), tt.class)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestWhatIsNotOursIsNeverTouched(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	theirs := f
	theirs.check.Mark = gcp.Mark{Federation: "other", Source: "x"}
	mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: f.check.ID, Want: theirs.check})
	before := mutations(server.History())
	want := withSpec(f.check, func(s *gcp.HealthCheck) { s.Path = "/mine" })
	for _, verb := range []gcp.Verb{gcp.Create, gcp.Update, gcp.Delete} {
		err := c.Do(t.Context(), gcp.Action{Verb: verb, ID: want.ID, Want: want})
		if classOf(err) != gcp.ClassConflict || !strings.Contains(err.Error(), `federation "other"`) {
			t.Errorf("%s: %v (%s)", verb, err, classOf(err))
		}
	}
	if after := mutations(server.History()); after != before {
		t.Errorf("changed: %s", after)
	}
}

func TestOpenFirewallRulesAreNotSent(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	for what, edit := range map[string]func(*gcp.Firewall){
		"target tags": func(s *gcp.Firewall) { s.Tags = nil }, "ports": func(s *gcp.Firewall) { s.Ports = nil }, "source ranges": func(s *gcp.Firewall) { s.Ranges = nil },
	} {
		for _, verb := range []gcp.Verb{gcp.Create, gcp.Update} {
			err := c.Do(t.Context(), gcp.Action{Verb: verb, ID: f.firewall.ID, Want: withSpec(f.firewall, edit)})
			if classOf(err) != gcp.ClassInvalid || !strings.Contains(err.Error(), what) {
				t.Errorf("%s without %s: %v", verb, what, err)
			}
		}
	}
	if calls := server.Calls(); len(calls) > 0 {
		t.Errorf("calls: %v", calls)
	}
}

func TestAnActionKeepsItsRequestIDUntilItsOutcomeIsKnown(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	c.pace.total = 20 * time.Millisecond
	f := newFrontend(t)
	fault := server.Fault(gcetest.Fault{Method: `healthChecks\.insert`, Action: gcetest.LoseAnswer{}})
	create := gcp.Action{Verb: gcp.Create, ID: f.check.ID, Want: f.check}
	if err := c.Do(t.Context(), create); classOf(err) != gcp.ClassRetry {
		t.Fatalf("got %v", err)
	}
	fault.Remove()
	mustDo(t, c, create)
	remove := gcp.Action{Verb: gcp.Delete, ID: f.check.ID, Want: f.check}
	mustDo(t, c, remove)
	mustDo(t, c, create)
	mustDo(t, c, remove)
	ids := map[string][]string{}
	for _, call := range server.Calls() {
		if call.RequestID != "" && !slices.Contains(ids[call.Method], call.RequestID) {
			ids[call.Method] = append(ids[call.Method], call.RequestID)
		}
	}
	if len(ids["healthChecks.insert"]) != 2 || len(ids["healthChecks.delete"]) != 2 {
		t.Errorf("request ids %v, want one for each time", ids)
	}
	if got := mutations(server.History()); strings.Count(got, "insert") != 2 {
		t.Errorf("history %s", got)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	p := usualPace
	for attempts := 1; attempts < 20; attempts++ {
		if d := p.delay(attempts, 0); d < p.first/2 || d > p.last+p.first {
			t.Errorf("delay after %d attempts = %v", attempts, d)
		}
		if d := p.delay(attempts, 90*time.Second); d != 90*time.Second {
			t.Errorf("delay with Retry-After = %v", d)
		}
	}
	if got := retryAfter(http.Header{"Retry-After": {"7"}}); got != 7*time.Second {
		t.Errorf("Retry-After 7 = %v", got)
	}
	if got := retryAfter(http.Header{"Retry-After": {"soon"}}); got != 0 {
		t.Errorf("Retry-After soon = %v", got)
	}
}

func TestTwoInstancesMakeEverythingOnce(t *testing.T) {
	server, first := newStandIn(t, gcetest.Options{})
	second := newClient(t, server)
	f := newFrontend(t)
	var work sync.WaitGroup
	for _, c := range []*Client{first, second} {
		work.Go(func() {
			for _, r := range f.all() {
				for classOf(c.Do(t.Context(), gcp.Action{Verb: gcp.Create, ID: r.ID, Want: r})) == gcp.ClassOrder {
					runtime.Gosched() // the other one's operation runs
				}
			}
		})
	}
	work.Wait()
	for path, changes := range server.History() {
		if len(changes) != 1 {
			t.Errorf("%s was written %d times", path, len(changes))
		}
	}
	if seen := mustObserve(t, first, gcp.Scope{}); len(seen.Resources) != len(f.all()) {
		t.Errorf("there are %d resources, want %d", len(seen.Resources), len(f.all()))
	}
}

// classOf returns the class of an error; empty if it is not a *gcp.Error.
func classOf(err error) gcp.Class {
	if e, ok := errors.AsType[*gcp.Error](err); ok {
		return e.Class
	}
	return ""
}
