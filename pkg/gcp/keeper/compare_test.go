package keeper

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// A proposal contains only what the change would do, not what differs without it. Equal
// wanted states are no change.
func TestAProposalExcludesDifferencesThatExistWithoutIt(t *testing.T) {
	lines := func(p Proposed) string {
		var all []string
		for _, c := range p.Changes {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Verb, c.ID.Kind, c.Detail)))
		}
		return strings.Join(slices.Compact(all), "\n")
	}
	for _, c := range []struct {
		name      string
		change    func(*gcptest.Scene)
		want      []string // lines that must be present
		addresses string
		none      bool
	}{
		{name: "nothing", change: func(*gcptest.Scene) {}, none: true},
		{name: "a path of the probe", change: func(s *gcptest.Scene) {
			s.Edit("ReplicaSet/nginx", "/healthz", "/ready")
		}, want: []string{"update health check requestPath"}},
		{name: "an Ingress that goes", change: func(s *gcptest.Scene) { delete(s.Objects, "Ingress/nginx") }, want: []string{
			"delete forwarding rule no Ingress needs it", "delete backend service no Ingress needs it",
			"delete health check no Ingress needs it",
		}, addresses: "networking.k8s.io/Ingress/default/nginx 203.0.113.0 → "},
		{name: "another address", change: func(s *gcptest.Scene) {
			s.Annotate(balancer.AnnotationAddress, "web-ip")
			s.Cloud.Resources[gcp.ID{Kind: gcp.KindAddress, Name: "web-ip"}] = gcp.Resource{ID: gcp.ID{Kind: gcp.KindAddress, Name: "web-ip"}, Spec: gcp.Address{IP: "203.0.113.99"}}
		}, want: []string{"update forwarding rule IPAddress"}, addresses: "networking.k8s.io/Ingress/default/nginx 203.0.113.0 → 203.0.113.99"},
		{name: "a cluster that leaves", change: func(s *gcptest.Scene) { s.Federation.Clusters = s.Federation.Clusters[:1] }, want: []string{"update backend service backends: sets"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			s.Settle(t)
			base := s.Input()
			federation := *s.Federation
			s.Federation = &federation
			c.change(s)
			head, seen := s.Input(), s.Observe()
			head.Facts = base.Facts
			p := Propose(base, head, seen)
			got := lines(p)
			for _, want := range c.want {
				if !strings.Contains("\n"+got, "\n"+want) {
					t.Errorf("no line %q in:\n%s", want, got)
				}
			}
			if c.none && got != "" {
				t.Errorf("changes:\n%s\nwant none", got)
			}
			var addresses []string
			for _, a := range p.Addresses {
				addresses = append(addresses, fmt.Sprintf("%s %s → %s", a.Ingress, a.Before, a.After))
			}
			if got := strings.Join(addresses, "\n"); got != c.addresses {
				t.Errorf("addresses %q, want %q", got, c.addresses)
			}
			if p.Besides != 0 {
				t.Errorf("%d actions without the change, want none", p.Besides)
			}
			// A removal by hand is not part of the change.
			for id := range seen.Resources {
				if id.Kind == gcp.KindFirewall {
					delete(seen.Resources, id)
				}
			}
			again := Propose(base, head, seen)
			if c.none && (lines(again) != "" || again.Besides == 0) {
				t.Errorf("with a firewall rule missing: %d actions without the change, changes:\n%s\nwant it only without the change", again.Besides, lines(again))
			}
		})
	}
}

// A new Ingress gets a complete load balancer.
func TestAProposalOfANewIngressListsAllItsResources(t *testing.T) {
	s := gcptest.NewScene(2)
	head := s.Input()
	ingress := s.Objects["Ingress/nginx"]
	delete(s.Objects, "Ingress/nginx")
	base, seen := s.Input(), s.Observe()
	s.Objects["Ingress/nginx"] = ingress
	made := map[gcp.Kind]int{}
	for _, c := range Propose(base, head, seen).Changes {
		if c.Verb != gcp.Create {
			t.Errorf("%s %s, want it created", c.Verb, c.ID)
		}
		made[c.ID.Kind]++
	}
	for _, kind := range []gcp.Kind{gcp.KindAddress, gcp.KindFirewall, gcp.KindHealthCheck, gcp.KindGroup, gcp.KindService, gcp.KindURLMap, gcp.KindHTTPProxy, gcp.KindRule} {
		if made[kind] == 0 {
			t.Errorf("no %s is made: %v", kind, made)
		}
	}
}

// A keeper proposes from what it last read, and nothing before its first read.
func TestAKeeperProposesFromItsLastRead(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	k := New(Options{Log: zap.NewNop()})
	base := s.Input()
	s.Edit("ReplicaSet/nginx", "/healthz", "/ready")
	head := s.Input()
	if _, known := k.Propose(base, head); known {
		t.Error("it is known before the first read")
	}
	k.state.Looked, k.shown = s.Now, decision{in: &base, seen: s.Observe()}
	base.Left, head.Left = nil, nil // the keeper uses its own
	p, known := k.Propose(base, head)
	if !known || len(p.Changes) != 1 || p.Changes[0].ID.Kind != gcp.KindHealthCheck {
		t.Errorf("known %t, changes %v; want the health check's", known, p.Changes)
	}
}
