package keeper

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/internal/raced"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// names returns the names of the resources that the lab's keeper creates.
func (l *lab) names(t *testing.T) map[gcp.Kind][]gcp.ID {
	t.Helper()
	names := map[gcp.Kind][]gcp.ID{}
	in := *l.input()
	want := balancer.Build(in, gcp.Observed{Complete: allKinds(), Machines: l.Machines})
	for id := range want.Resources {
		names[id.Kind] = append(names[id.Kind], id)
	}
	for _, ids := range names {
		slices.SortFunc(ids, gcp.ID.Compare)
	}
	return names
}

func allKinds() map[gcp.Kind]bool {
	complete := map[gcp.Kind]bool{}
	for _, kind := range gcp.Kinds {
		complete[kind] = true
	}
	return complete
}

// squatters create a resource of another owner under a wanted name.
var squatters = map[string]func(h handwork, names map[gcp.Kind][]gcp.ID){
	"firewall rule": func(h handwork, names map[gcp.Kind][]gcp.ID) {
		h.done(h.api.Firewalls.Insert(labProject, &compute.Firewall{
			Name: names[gcp.KindFirewall][0].Name, Network: theirs + "networks/default", SourceRanges: []string{"10.0.0.0/8"},
			Allowed: tcp("22"), Description: "bastion", TargetTags: []string{"ssh"},
		}).Do())
	},
	"URL map": func(h handwork, names map[gcp.Kind][]gcp.ID) {
		service, _, _ := h.other()
		h.done(h.api.UrlMaps.Insert(labProject, &compute.UrlMap{Name: names[gcp.KindURLMap][0].Name, DefaultService: service}).Do())
	},
	"endpoint group": func(h handwork, names map[gcp.Kind][]gcp.ID) {
		id := names[gcp.KindGroup][0]
		h.done(h.api.NetworkEndpointGroups.Insert(labProject, id.Zone, &compute.NetworkEndpointGroup{
			Name: id.Name, NetworkEndpointType: gcp.GroupOfAddresses, Network: theirs + "networks/default",
		}).Do())
	},
	"backend service": func(h handwork, names map[gcp.Kind][]gcp.ID) {
		h.other()
		h.done(h.api.BackendServices.Insert(labProject, &compute.BackendService{
			Name: names[gcp.KindService][0].Name, LoadBalancingScheme: "EXTERNAL_MANAGED", TimeoutSec: 3,
			HealthChecks: []string{theirs + "healthChecks/their-check"},
		}).Do())
	},
	"health check": func(h handwork, names map[gcp.Kind][]gcp.ID) {
		h.done(h.api.HealthChecks.Insert(labProject, &compute.HealthCheck{
			Name: names[gcp.KindHealthCheck][0].Name, Type: "TCP", TcpHealthCheck: &compute.TCPHealthCheck{Port: 1},
		}).Do())
	},
	"HTTP proxy": func(h handwork, names map[gcp.Kind][]gcp.ID) {
		_, urlMap, _ := h.other()
		h.done(h.api.TargetHttpProxies.Insert(labProject, &compute.TargetHttpProxy{Name: names[gcp.KindHTTPProxy][0].Name, UrlMap: urlMap}).Do())
	},
	"forwarding rule": func(h handwork, names map[gcp.Kind][]gcp.ID) {
		_, _, proxy := h.other()
		h.done(h.api.GlobalForwardingRules.Insert(labProject, &compute.ForwardingRule{
			Name: names[gcp.KindRule][0].Name, Target: proxy, PortRange: "80", LoadBalancingScheme: "EXTERNAL_MANAGED",
		}).Do())
	},
	"address": func(h handwork, names map[gcp.Kind][]gcp.ID) {
		h.done(h.api.GlobalAddresses.Insert(labProject, &compute.Address{Name: names[gcp.KindAddress][0].Name, Description: "of the mail server"}).Do())
	},
}

// A foreign resource under a wanted name is never touched, and a finding reports it.
func TestForeignResourcesUnderOurNamesAreNotTouched(t *testing.T) {
	for what, squat := range squatters {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, 2, quickOperations)
				defer l.close()
				squat(handwork{l, l.hand}, l.names(t))
				squatted := l.server.History()
				l.start()
				time.Sleep(2 * time.Minute)
				for path, changes := range l.server.History() {
					if n := len(squatted[path]); n > 0 && len(changes) > n {
						t.Errorf("%s was touched: %v", path, changes[n:])
					}
				}
				reported := slices.ContainsFunc(l.keeper.State().Findings, func(f federation.Finding) bool {
					return f.Severity == federation.SeverityError && strings.Contains(f.Message.String(), what)
				})
				if !reported {
					t.Errorf("no finding on the %s:\n%s", what, l.status())
				}
				if n := len(l.server.Calls()); n > 600 {
					t.Errorf("%d calls in two minutes: what cannot be had is asked for without a pause", n)
				}
			})
		})
	}
}

// Two federations in one project maintain a load balancer each, and neither affects the
// other's.
func TestTwoFederationsInOneProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, quickOperations)
		defer l.close()
		l.start()
		l.healthy()
		l.settle()
		first := l.server.History()
		other := &lab{Scene: gcptest.NewScene(2), t: t, server: l.server, nodes: l.nodes, log: l.log, quiet: l.quiet, ctx: l.ctx, cancel: func() {}, stop: func() {}}
		other.may.Store(true)
		other.Federation.Name = "intranet"
		other.start()
		other.healthy()
		other.settle()
		for path, changes := range l.server.History() {
			if n := len(first[path]); n > 0 && len(changes) > n {
				t.Errorf("%s of the other federation was touched: %v", path, changes[n:])
			}
		}
		if n := len(l.server.Snapshot().ForwardingRules); n != 2 {
			t.Errorf("%d forwarding rules; want one for each federation", n)
		}
		delete(other.Objects, "Ingress/nginx")
		other.want()
		other.settle()
		other.stop()
		if n := len(l.server.Snapshot().ForwardingRules); n != 1 {
			t.Errorf("%d forwarding rules once the other federation has none", n)
		}
		l.settle()
		if n := l.serving(); n != 2 {
			t.Errorf("%d clusters serve after the other federation has gone", n)
		}
	})
}

// The right to write moves from one instance to another and back, even in the middle of
// the work. The result is the same, and nothing is created twice.
func TestTheRightToWriteGoesFromOneInstanceToAnother(t *testing.T) {
	turns := []time.Duration{3 * time.Second, 500 * time.Millisecond, 6 * time.Second, 11 * time.Second, 17 * time.Second, time.Minute}
	for _, after := range turns[:raced.Share(len(turns))] {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, 2)
			defer l.close()
			other := &lab{Scene: l.Scene, t: t, server: l.server, nodes: l.nodes, log: l.log, quiet: l.quiet, ctx: l.ctx, cancel: func() {}, stop: func() {}}
			l.start()
			other.start()
			defer func() { other.stop() }()
			for range 3 {
				time.Sleep(after)
				l.may.Store(false)
				other.may.Store(true)
				time.Sleep(after)
				other.may.Store(false)
				l.may.Store(true)
			}
			l.may.Store(false)
			other.may.Store(true)
			other.healthy()
			other.settle()
			for path, changes := range l.server.History() {
				inserts := 0
				for _, c := range changes {
					if strings.HasSuffix(c.Method, ".insert") {
						inserts++
					}
				}
				if inserts != 1 {
					t.Errorf("turns of %s: %s was made %d times", after, path, inserts)
				}
			}
			// The instance that may not write knows as much as the other.
			time.Sleep(20 * time.Second)
			if n := l.serving(); n != 2 {
				t.Errorf("turns of %s: the instance that may not write sees %d clusters serve\n%s", after, n, l.status())
			}
		})
	}
}
