package keeper

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/internal/raced"
	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

var (
	keeperSeed  = flag.Uint64("keeperseed", 1, "seed of the first history of keepers, and of the sample of failures")
	keeperRuns  = flag.Int("keepers", raced.Share(6), "how many histories of keepers are played; 1000 with FEDSYNC_TEST_LONG=1")
	keeperFails = flag.Int("failures", raced.Share(30), "how many failures of single calls are tried; all with FEDSYNC_TEST_LONG=1")
)

func longForm() bool { return os.Getenv("FEDSYNC_TEST_LONG") != "" }

// change is an event in a federation whose load balancer is settled.
type change struct {
	name   string
	before bool // there is a load balancer before it
	make   func(l *lab)
	ends   bool // the load balancer goes
}

var changesOfLab = []change{
	{name: "creation", make: func(*lab) {}},
	{name: "update", before: true, make: func(l *lab) {
		l.Edit("Service/nginx", "nodePort: 30080", "nodePort: 30090")
		l.Edit("Ingress/nginx", "spec:", `spec:
  rules:
  - host: shop.example
    http: {paths: [{path: /cart, pathType: Prefix, backend: {service: {name: nginx, port: {number: 80}}}}]}`)
		l.AddNode("c2", "r-c2-b", 7)
	}},
	{name: "drain", before: true, make: func(l *lab) { l.Cluster("c2").Drain = true }},
	{name: "deletion", before: true, ends: true, make: func(l *lab) { delete(l.Objects, "Ingress/nginx") }},
}

// way is how a call fails.
type way struct {
	name   string
	action gcetest.Action
	crash  bool // and the keeper is killed then
	hang   bool
	only   func(method string) bool // nil for every call
}

func mutates(method string) bool {
	_, verb, _ := strings.Cut(method, ".")
	switch verb {
	case "get", "list", "aggregatedList", "getHealth", "listNetworkEndpoints", "wait":
		return false
	}
	return true
}

var waysToFail = []way{
	{name: "rate limit", action: gcetest.Answer{Status: 403, Reason: "rateLimitExceeded"}},
	{name: "too many", action: gcetest.Answer{Status: 429, Reason: "rateLimitExceeded", RetryAfter: 5 * time.Second}},
	{name: "unavailable", action: gcetest.Answer{Status: 503, Reason: "backendError"}},
	{name: "condition", action: gcetest.Answer{Status: 412, Reason: "conditionNotMet"}, only: mutates},
	{name: "exists", action: gcetest.Answer{Status: 409, Reason: "alreadyExists"}, only: mutates},
	{name: "in use", action: gcetest.Answer{Status: 400, Reason: "resourceInUseByAnotherResource"}, only: mutates},
	{name: "not ready", action: gcetest.Answer{Status: 400, Reason: "resourceNotReady"}, only: mutates},
	{name: "slow operation", action: gcetest.SlowOperation(3 * time.Minute), only: mutates},
	{name: "failed operation", action: gcetest.FailOperation{Code: "INTERNAL_ERROR", Message: "try again"}, only: mutates},
	{name: "operation not ready", action: gcetest.FailOperation{Code: "RESOURCE_NOT_READY", Message: "not ready"}, only: mutates},
	{name: "lost answer", action: gcetest.LoseAnswer{}},
	{name: "lost request", action: gcetest.DropRequest{}},
	{name: "hang", action: gcetest.Hang{}, hang: true},
	{name: "crash before", action: gcetest.DropRequest{}, crash: true},
	{name: "crash after", action: gcetest.LoseAnswer{}, crash: true},
}

// failedCall is one call of a change that fails in one way.
type failedCall struct {
	change change
	way    way
	method string
	name   string // of the resource
	nth    int    // of the calls of this method and name
}

func (f failedCall) String() string {
	return fmt.Sprintf("%s/%s of %s %s %d", f.change.name, f.way.name, f.method, f.name, f.nth)
}

// clean is the course of a change without failures.
type clean struct {
	end     string
	changes []string
	calls   []gcetest.Call
	took    time.Duration
}

const matrixClusters = 2

// playClean makes a change without failures.
func playClean(t *testing.T, c change) (out clean) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, matrixClusters)
		defer l.close()
		began := l.begin(c)
		out.took = l.settle()
		out.end, out.changes, out.calls = l.end(), l.changes(began), l.server.Calls()
	})
	return out
}

// begin brings the lab to the start of the change, and makes the change.
func (l *lab) begin(c change) time.Time {
	if c.before {
		l.start()
		l.healthy()
		l.settle()
		l.server.ResetCalls()
	}
	began := time.Now()
	c.make(l)
	if c.before {
		l.want()
	} else {
		l.start()
	}
	return began
}

// failuresOf returns all calls of a clean run, each failing in every way. A call that is
// repeated on a timer fails only the first time.
func failuresOf(c change, run clean) []failedCall {
	type named struct{ method, name string }
	seen := map[named]int{}
	var all []failedCall
	for _, call := range run.calls {
		at := named{call.Method, call.Name}
		if strings.HasSuffix(call.Method, "Operations.wait") {
			at.name = "" // the name of an operation differs from run to run
		}
		seen[at]++
		if seen[at] > 1 && at.name != "" && !mutates(call.Method) || seen[at] > 3 && !mutates(call.Method) {
			continue
		}
		for _, w := range waysToFail {
			if w.only == nil || w.only(call.Method) {
				all = append(all, failedCall{c, w, at.method, at.name, seen[at]})
			}
		}
	}
	return all
}

// TestEveryCallOfTheKeeperMayFailOnce creates a load balancer, changes it, drains a cluster
// and removes it, while one call fails in one way, for all calls and ways. The end must be
// the same as without a failure, with nothing done twice and nothing left over.
func TestEveryCallOfTheKeeperMayFailOnce(t *testing.T) {
	var all []failedCall
	cleans := map[string]clean{}
	for _, c := range changesOfLab {
		run := playClean(t, c)
		t.Logf("%s: %d calls, %d changes in %s", c.name, len(run.calls), len(run.changes), run.took)
		cleans[c.name] = run
		all = append(all, failuresOf(c, run)...)
	}
	total := len(all)
	if !longForm() {
		rng := rand.New(rand.NewPCG(*keeperSeed, 1)) //nolint:gosec // a sample that can be repeated
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:min(len(all), *keeperFails)]
	}
	t.Logf("%d of %d failures", len(all), total)
	t.Run("failures", func(t *testing.T) {
		for _, f := range all {
			t.Run(f.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { playFailure(t, f, cleans[f.change.name]) })
			})
		}
	})
}

func playFailure(t *testing.T, f failedCall, want clean) {
	l := newLab(t, matrixClusters)
	defer l.close()
	c := f.change
	var hit func() bool
	c.make = func(l *lab) {
		f.change.make(l)
		hit = l.arm(f)
	}
	began := l.begin(c)
	took := l.settle()
	if !hit() {
		t.Errorf("the call did not fail: it was never made")
	}
	if got := l.end(); got != want.end {
		t.Errorf("another end: %s", firstDifference(got, want.end))
	}
	got := l.changes(began)
	for _, change := range got {
		if strings.HasSuffix(methodOf(change), ".insert") && count(got, change) > 1 {
			t.Errorf("made twice: %s", change)
		}
		if !c.ends && gone(change) && !slices.Contains(want.changes, change) {
			t.Errorf("deleted: %s", change)
		}
	}
	// How often a backend service and the firewall rule are patched depends on what is
	// read in between, and on how many minutes pass.
	if extra := firm(got) - firm(want.changes); extra > 0 || len(got) > len(want.changes)+8 {
		t.Errorf("%d changes more than needed:\ngot  %s\nwant %s", len(got)-len(want.changes), strings.Join(got, "\n     "), strings.Join(want.changes, "\n     "))
	}
	if took > want.took+10*time.Minute {
		t.Errorf("took %s; without the failure %s", took, want.took)
	}
	if t.Failed() {
		for _, call := range l.server.Calls() {
			if !call.Time.Before(began) && (mutates(call.Method) || call.Status != 200) {
				t.Logf("%s %s %s %d %s (%s)", call.Time.Format("15:04:05.000"), call.Method, call.Name, call.Status, call.Reason, call.Duration)
			}
		}
		t.Log(l.status())
	}
}

// firm counts the changes that are not patches. Endpoints that are attached twice, as
// after a crash, are counted one time: the second call has no effect.
func firm(changes []string) int {
	n := 0
	for i, change := range changes {
		again := i > 0 && changes[i-1] == change && strings.HasSuffix(methodOf(change), ".attachNetworkEndpoints")
		if !strings.HasSuffix(methodOf(change), ".patch") && !again {
			n++
		}
	}
	return n
}

func methodOf(change string) string { method, _, _ := strings.Cut(change, " "); return method }

func count(all []string, one string) int {
	n := 0
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// gone reports whether a change deletes a resource that carries traffic.
func gone(change string) bool {
	switch methodOf(change) {
	case "globalForwardingRules.delete", "targetHttpProxies.delete", "targetHttpsProxies.delete", "urlMaps.delete", "backendServices.delete":
		return true
	}
	return false
}

// arm makes a call fail. The returned function reports whether it did.
func (l *lab) arm(f failedCall) (hit func() bool) {
	h := l.server.Fault(gcetest.Fault{
		Method: regexp.QuoteMeta(f.method), Name: f.name, Nth: f.nth, Times: 1, Action: f.way.action,
	})
	if f.way.crash {
		l.broken = func() {
			l.broken = nil
			l.crash()
		}
		if l.wire != nil {
			l.wire.broken = l.broken
		}
	}
	if f.way.hang {
		go func() {
			for l.ctx.Err() == nil && h.Hits() == 0 {
				_ = sleep.For(l.ctx, time.Second)
			}
			_ = sleep.For(l.ctx, time.Minute)
			h.Remove()
		}()
	}
	return func() bool { return h.Hits() > 0 }
}
