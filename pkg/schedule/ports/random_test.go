package ports

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
)

// randomPorts makes a world in which everything is scarce, so that most of the
// rules meet: few ports, holders that are strangers, ours or about to leave,
// clusters in every state, overlays, pins that collide.
func randomPorts(r *rand.Rand) Input {
	in := Input{Range: federation.PortRange{First: 30000, Last: 30000 + 9 + r.Int32N(30)}}
	span := in.Range.Last - in.Range.First + 1
	for i := range 1 + r.IntN(6) {
		c := Cluster{Name: fmt.Sprintf("c%d", i), Known: true, Fresh: true}
		switch r.IntN(12) {
		case 0:
			c.Known, c.Fresh = false, false
		case 1:
			c.Fresh = false
		case 2:
			c.Lost = true
		}
		c.Leaving = func(ref federation.ObjectRef) bool { return ref.Namespace == "leaving" }
		in.Clusters = append(in.Clusters, c)
	}
	for i := range 1 + r.IntN(8) {
		s := Service{
			App: "app", File: fmt.Sprintf("s%d.yaml", i),
			Ref: federation.ObjectRef{Kind: "Service", Namespace: "web", Name: fmt.Sprintf("s%d", i)},
		}
		variants := make([]Variant, 1+r.IntN(5)/4)
		for c := range in.Clusters {
			if r.IntN(8) > 0 {
				v := &variants[r.IntN(len(variants))]
				v.Clusters = append(v.Clusters, c)
			}
		}
		for v := range variants {
			variants[v].File = fmt.Sprintf("s%d-%d.yaml", i, v)
			for _, port := range []Port{{Protocol: "TCP", Port: 80}, {Protocol: "UDP", Port: 80}, {Protocol: "TCP", Port: 443}}[:1+r.IntN(3)] {
				if r.IntN(3) == 0 {
					port.NodePort = in.Range.First + r.Int32N(span+1) // the last one is out of range
				}
				variants[v].Ports = append(variants[v].Ports, port)
			}
		}
		s.Variants = variants
		in.Services = append(in.Services, s)
	}
	uniform := r.IntN(2) == 0
	for c := range in.Clusters {
		taken := map[int32]portName{}
		use := func(namespace, name, protocol string, port, number int32) {
			holder, held := taken[number]
			if held && holder != (portName{namespace, name}) {
				return
			}
			for _, u := range in.Clusters[c].Used {
				if u.Port == number && u.Protocol == protocol {
					return
				}
			}
			taken[number] = portName{namespace, name}
			in.Clusters[c].Used = append(in.Clusters[c].Used, federation.NodePort{
				Protocol: protocol, Port: number, Namespace: namespace, Service: name, ServicePort: port,
			})
		}
		for i := range in.Services {
			ref := in.Services[i].Ref
			for j, port := range []int32{80, 443} {
				number := in.Range.First + r.Int32N(span)
				if uniform && r.IntN(4) > 0 {
					number = in.Range.First + int32(2*i+j)%span
				}
				if r.IntN(3) == 0 {
					use(ref.Namespace, ref.Name, "TCP", port, number)
				}
			}
		}
		for range r.IntN(4) {
			use("legacy", "x", "TCP", 80, in.Range.First+r.Int32N(span))
			use("leaving", "y", "TCP", 80, in.Range.First+r.Int32N(span))
		}
		slices.SortFunc(in.Clusters[c].Used, federation.NodePort.Compare)
	}
	return in
}

// portsApplied is the world after what was decided has been written wherever it
// can be.
func portsApplied(in Input, r Result) Input {
	out := in
	out.Clusters = slices.Clone(in.Clusters)
	withheld := map[[2]int]bool{}
	for _, w := range r.Withheld {
		withheld[[2]int{w.Cluster, w.Service}] = true
	}
	for c := range out.Clusters {
		if cluster := &out.Clusters[c]; !cluster.Fresh || cluster.Lost {
			continue
		}
		used := slices.DeleteFunc(slices.Clone(in.Clusters[c].Used), func(u federation.NodePort) bool { return u.Namespace == "leaving" })
		for s := range in.Services {
			ports, placed := portsIn(in.Services[s], c)
			if !placed || withheld[[2]int{c, s}] {
				continue
			}
			ref := in.Services[s].Ref
			var had []federation.NodePort
			used = slices.DeleteFunc(used, func(u federation.NodePort) bool {
				ours := u.Holder() == ref
				if ours {
					had = append(had, u)
				}
				return ours
			})
			for _, d := range r.Of(ref) {
				spec := Port{Protocol: d.Protocol, Port: d.Port}
				if !slices.ContainsFunc(ports, func(p Port) bool { return p.Protocol == spec.Protocol && p.Port == spec.Port }) {
					continue
				}
				number := d.NodePort
				for _, u := range had {
					if number == 0 && u.Protocol == d.Protocol && u.ServicePort == d.Port {
						number = u.Port // what is not written stays
					}
				}
				used = append(used, federation.NodePort{
					Protocol: d.Protocol, Port: number, Namespace: ref.Namespace, Service: ref.Name, ServicePort: d.Port,
				})
			}
		}
		slices.SortFunc(used, federation.NodePort.Compare)
		out.Clusters[c].Used = used
	}
	return out
}

func portsIn(s Service, cluster int) ([]Port, bool) {
	for _, v := range s.Variants {
		if slices.Contains(v.Clusters, cluster) {
			return v.Ports, true
		}
	}
	return nil, false
}

// Whatever the world, what is written is what every API server would take: each
// number once, but for two protocols of one Service, and within the range.
func TestWhatIsWrittenIsAcceptedByEveryCluster(t *testing.T) {
	for seed := range uint64(2_000) {
		in := randomPorts(rand.New(rand.NewPCG(seed, 1)))
		r := Decide(in)
		for c, cluster := range portsApplied(in, r).Clusters {
			if !cluster.Fresh || cluster.Lost {
				continue
			}
			for i, u := range cluster.Used {
				if u.Port == 0 {
					t.Fatalf("seed %d: %s would choose a port of %s by itself", seed, cluster.Name, u.Holder())
				}
				fresh := !slices.Contains(in.Clusters[c].Used, u)
				if fresh && (u.Port < in.Range.First || u.Port > in.Range.Last) {
					t.Fatalf("seed %d: %d of %s is out of range in %s", seed, u.Port, u.Holder(), cluster.Name)
				}
				if i == 0 || cluster.Used[i-1].Port != u.Port {
					continue
				}
				if before := cluster.Used[i-1]; before.Holder() != u.Holder() || before.Protocol == u.Protocol {
					t.Fatalf("seed %d: %d in %s is that of %s and %s\n%s", seed, u.Port, cluster.Name, before.Holder(), u.Holder(), portText(in, r))
				}
			}
		}
	}
}

func TestAChosenPortIsUsedNowhere(t *testing.T) {
	chosen := 0
	for seed := range uint64(2_000) {
		in := randomPorts(rand.New(rand.NewPCG(seed, 2)))
		r := Decide(in)
		for _, d := range r.Decisions {
			if d.Basis != federation.PortChosen && d.Basis != federation.PortOverflow {
				continue
			}
			chosen++
			for _, o := range r.Decisions {
				if o.NodePort == d.NodePort && (o.Service != d.Service || o.Port != d.Port || o.Protocol != d.Protocol) {
					t.Fatalf("seed %d: %d was chosen for %s and is that of %s\n%s", seed, d.NodePort, d.Service, o.Service, portText(in, r))
				}
			}
			s := slices.IndexFunc(in.Services, func(s Service) bool { return s.Ref == d.Service })
			for c := range in.Clusters {
				cluster := &in.Clusters[c]
				ports, placed := portsIn(in.Services[s], c)
				has := slices.ContainsFunc(ports, func(p Port) bool { return p.Port == d.Port && p.Protocol == d.Protocol })
				if !placed || !has || cluster.Lost {
					continue
				}
				if !cluster.Fresh {
					t.Fatalf("seed %d: %d was chosen for %s although %s is not known", seed, d.NodePort, d.Service, cluster.Name)
				}
				for _, u := range cluster.holders(d.NodePort) {
					if !cluster.leaving(u.Holder()) {
						t.Fatalf("seed %d: %d was chosen for %s and is held by %s in %s", seed, d.NodePort, d.Service, u.Holder(), cluster.Name)
					}
				}
			}
		}
	}
	if chosen < 500 {
		t.Errorf("%d ports were chosen, want enough to say something", chosen)
	}
}

// A decision outlives the facts that it was made on: once written, the same comes
// out again.
func TestASecondRunChangesNothing(t *testing.T) {
	decided := 0
	for seed := range uint64(2_000) {
		in := randomPorts(rand.New(rand.NewPCG(seed, 3)))
		first := Decide(in)
		after := portsApplied(in, first)
		second := Decide(after)
		for i, d := range first.Decisions {
			if d.NodePort == 0 || !written(in, first, d) {
				continue // what was not decided may be by now, what was not written is decided anew
			}
			decided++
			if again := second.Decisions[i].NodePort; again != d.NodePort {
				t.Fatalf("seed %d: %s %d/%s was given %d and then %d\nfirst:\n%s\nsecond:\n%s", seed, d.Service, d.Port, d.Protocol,
					d.NodePort, again, portText(in, first), portText(after, second))
			}
		}
	}
	if decided < 500 {
		t.Errorf("%d ports were decided, want enough to say something", decided)
	}
}

// written says whether a decision reaches a cluster.
func written(in Input, r Result, d federation.PortDecision) bool {
	s := slices.IndexFunc(in.Services, func(s Service) bool { return s.Ref == d.Service })
	for c := range in.Clusters {
		ports, _ := portsIn(in.Services[s], c)
		meant := slices.ContainsFunc(ports, func(p Port) bool { return p.Port == d.Port && p.Protocol == d.Protocol })
		withheld := slices.ContainsFunc(r.Withheld, func(w Withheld) bool { return w.Cluster == c && w.Service == s })
		if meant && !withheld && in.Clusters[c].Fresh && !in.Clusters[c].Lost {
			return true
		}
	}
	return false
}

func TestTheOrderOfClustersAndServicesDoesNotMatter(t *testing.T) {
	for seed := range uint64(1_000) {
		r := rand.New(rand.NewPCG(seed, 4))
		in := randomPorts(r)
		other := Input{Range: in.Range, Clusters: make([]Cluster, len(in.Clusters))}
		to := r.Perm(len(in.Clusters))
		for c := range in.Clusters {
			other.Clusters[to[c]] = in.Clusters[c]
		}
		for _, s := range r.Perm(len(in.Services)) {
			moved := in.Services[s]
			moved.Variants = nil
			for _, v := range r.Perm(len(in.Services[s].Variants)) {
				variant := in.Services[s].Variants[v]
				variant.Clusters = nil
				for _, c := range in.Services[s].Variants[v].Clusters {
					variant.Clusters = append(variant.Clusters, to[c])
				}
				moved.Variants = append(moved.Variants, variant)
			}
			other.Services = append(other.Services, moved)
		}
		a, b := Decide(in), Decide(other)
		if diff := cmp.Diff(a.Decisions, b.Decisions); diff != "" {
			t.Fatalf("seed %d: decisions differ:\n%s", seed, diff)
		}
		if diff := cmp.Diff(a.Findings, b.Findings); diff != "" {
			t.Fatalf("seed %d: findings differ:\n%s", seed, diff)
		}
		if diff := cmp.Diff(withheldIn(in, a), withheldIn(other, b)); diff != "" {
			t.Fatalf("seed %d: other Services are withheld:\n%s", seed, diff)
		}
	}
}

// withheldIn names the clusters in place of their indices.
func withheldIn(in Input, r Result) map[string]federation.Withheld {
	all := map[string]federation.Withheld{}
	for _, w := range r.Withheld {
		all[in.Clusters[w.Cluster].Name+" "+w.Object.String()] = w.Withheld
	}
	return all
}
