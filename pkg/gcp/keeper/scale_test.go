package keeper

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// addApps adds Services with a ReplicaSet each, and an Ingress for each or, with
// together, one for all.
func (l *lab) addApps(n int, together bool) {
	rules := ""
	for i := range n {
		name := fmt.Sprintf("app%02d", i)
		rename := func(text string) string { return strings.ReplaceAll(text, "nginx", name) }
		l.Objects["Service/"+name] = strings.ReplaceAll(rename(gcptest.ServiceYAML), "30080", fmt.Sprint(30100+i))
		l.Objects["ReplicaSet/"+name] = rename(gcptest.ReplicasYAML)
		if !together {
			l.Objects["Ingress/"+name] = rename(gcptest.IngressYAML)
		}
		rules += fmt.Sprintf(`
  - host: %s.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %s, port: {number: 80}}}}]}`, name, name)
	}
	if together {
		l.Edit("Ingress/nginx", "spec:", "spec:\n  rules:"+rules)
	}
}

// idleReads bounds the calls per minute of a federation of 13 clusters and 20 Services
// while nothing happens; docs/google-cloud.md documents it.
const idleReads = 250

// While nothing happens nothing is written, and Compute Engine is read at a bounded rate.
func TestAnIdleFederationIsQuiet(t *testing.T) {
	clusters, services := 3, 4
	if longForm() {
		clusters, services = 13, 20
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, clusters, quickOperations, func(o *gcetest.Options) { o.ProbeInterval = 30 * time.Second })
		defer l.close()
		l.addApps(services-1, true)
		l.start()
		t.Logf("%d clusters x %d Services: healthy after %s", clusters, services, l.healthy())
		l.settle()
		time.Sleep(15 * time.Minute) // the first reads of all endpoints are due at the same time
		began := time.Now()
		l.server.ResetCalls()
		const minutes = 10
		most := 0
		for range minutes {
			before := l.wire.calls()
			time.Sleep(time.Minute)
			most = max(most, l.wire.calls()-before)
		}
		if changes := l.changes(began); len(changes) > 0 {
			t.Errorf("%d changes while nothing happens: %v", len(changes), changes)
		}
		counts := l.callCounts()
		t.Logf("%d calls a minute on average, at most %d in one: %v in %d minutes", len(l.server.Calls())/minutes, most, counts, minutes)
		if most > idleReads {
			t.Errorf("%d calls in a minute; want at most %d", most, idleReads)
		}
		if reported := l.keeper.State().Calls; reported < most/2 || reported > most*2 {
			t.Errorf("the keeper reports %d calls a minute; there are about %d", reported, most)
		}
	})
}

// Many load balancers over many clusters are built within the default limits: in the long
// form 50 over 13, which fills 1300 groups.
func TestManyIngressesUnderTheDefaultLimits(t *testing.T) {
	ingresses, clusters := 3, 4
	if longForm() {
		ingresses, clusters = 50, 13
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, clusters, func(o *gcetest.Options) { o.ProbeInterval = time.Minute; o.RateLimit = 20 })
		defer l.close()
		l.addApps(ingresses-1, false)
		l.start()
		took := l.healthy()
		settled := l.settle()
		if n := len(l.server.Snapshot().ForwardingRules); n != ingresses {
			t.Errorf("%d forwarding rules; want %d", n, ingresses)
		}
		mutations := 0
		for _, changes := range l.server.History() {
			mutations += len(changes)
		}
		t.Logf("%d Ingresses x %d clusters: healthy after %s, settled %s later; %d mutations, %d calls", ingresses, clusters, took, settled, mutations, l.wire.calls())
	})
}
