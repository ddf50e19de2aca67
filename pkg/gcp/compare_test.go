package gcp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// What a change would do is told apart from what differs without it, and equal wants are
// no change.
func TestAProposalIsToldApartFromWhatDiffersBesides(t *testing.T) {
	lines := func(p Proposed) string {
		var all []string
		for _, c := range p.Changes {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Verb, c.ID.Kind, c.Detail)))
		}
		return strings.Join(slices.Compact(all), "\n")
	}
	for _, c := range []struct {
		name      string
		change    func(*scene)
		want      []string // lines that are there
		addresses string
		none      bool
	}{
		{name: "nothing", change: func(*scene) {}, none: true},
		{name: "a path of the probe", change: func(s *scene) {
			s.edit("ReplicaSet/nginx", "/healthz", "/ready")
		}, want: []string{"update health check requestPath"}},
		{name: "an Ingress that goes", change: func(s *scene) { delete(s.objects, "Ingress/nginx") }, want: []string{
			"delete forwarding rule no Ingress needs it any more", "delete backend service no Ingress needs it any more",
			"delete health check no Ingress needs it any more",
		}, addresses: "networking.k8s.io/Ingress/default/nginx 203.0.113.0 → "},
		{name: "another address", change: func(s *scene) {
			s.annotate(annotationAddress, "web-ip")
			s.cloud.resources[ID{Kind: KindAddress, Name: "web-ip"}] = Resource{ID: ID{Kind: KindAddress, Name: "web-ip"}, Spec: Address{IP: "203.0.113.99"}}
		}, want: []string{"update forwarding rule IPAddress"}, addresses: "networking.k8s.io/Ingress/default/nginx 203.0.113.0 → 203.0.113.99"},
		{name: "a cluster that leaves", change: func(s *scene) { s.federation.Clusters = s.federation.Clusters[:1] }, want: []string{"update backend service backends: sets"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(2)
			s.settle(t)
			base := s.input()
			federation := *s.federation
			s.federation = &federation
			c.change(s)
			head, seen := s.input(), s.look()
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
				t.Errorf("%d actions besides, want none", p.Besides)
			}
			// What was removed by hand is no part of what the change does.
			for id := range seen.Resources {
				if id.Kind == KindFirewall {
					delete(seen.Resources, id)
				}
			}
			again := Propose(base, head, seen)
			if c.none && (lines(again) != "" || again.Besides == 0) {
				t.Errorf("with a firewall rule missing: %d besides, changes:\n%s\nwant it besides alone", again.Besides, lines(again))
			}
		})
	}
}

// An Ingress that is new is made whole.
func TestAProposalOfANewIngressNamesAllThatIsMade(t *testing.T) {
	s := newScene(2)
	head := s.input()
	ingress := s.objects["Ingress/nginx"]
	delete(s.objects, "Ingress/nginx")
	base, seen := s.input(), s.look()
	s.objects["Ingress/nginx"] = ingress
	made := map[Kind]int{}
	for _, c := range Propose(base, head, seen).Changes {
		if c.Verb != Create {
			t.Errorf("%s %s, want it created", c.Verb, c.ID)
		}
		made[c.ID.Kind]++
	}
	for _, kind := range []Kind{KindAddress, KindFirewall, KindHealthCheck, KindGroup, KindService, KindURLMap, KindHTTPProxy, KindRule} {
		if made[kind] == 0 {
			t.Errorf("no %s is made: %v", kind, made)
		}
	}
}

// A keeper says by what it saw what a change would do, and nothing before it has looked.
func TestAKeeperProposesByWhatItSaw(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	k := NewKeeper(KeeperOptions{Log: zap.NewNop()})
	base := s.input()
	s.edit("ReplicaSet/nginx", "/healthz", "/ready")
	head := s.input()
	if _, known := k.Propose(base, head); known {
		t.Error("it is known before the first look")
	}
	k.state.Looked, k.shown = s.now, sight{in: &base, seen: s.look()}
	base.Left, head.Left = nil, nil // the keeper's own is taken
	p, known := k.Propose(base, head)
	if !known || len(p.Changes) != 1 || p.Changes[0].ID.Kind != KindHealthCheck {
		t.Errorf("known %t, changes %v; want the health check's", known, p.Changes)
	}
}
