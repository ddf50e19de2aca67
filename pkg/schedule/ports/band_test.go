package ports

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestTheBandIsThatOfTheAPIServer(t *testing.T) {
	cases := []struct{ ports, band int32 }{
		{1, 0}, {16, 0}, {17, 16}, {512, 16}, {544, 17}, {2768, 86}, {4096, 128}, {65535, 128},
	}
	for _, c := range cases {
		if got := newBand(federation.PortRange{First: 1, Last: c.ports}); got.size != c.band {
			t.Errorf("the band of %d ports has %d, want %d", c.ports, got.size, c.band)
		}
	}
}

// These numbers are for ever: with others, a repository that is set up anew would
// not get the ports again that firewalls and load balancers know.
func TestCandidatesAreForEver(t *testing.T) {
	cases := []struct {
		name              string
		port              int32
		protocol          string
		hash              uint64
		inBand, above, of int32 // the first candidates: of 30000-32767, and of 16 ports
	}{
		{"web/echo", 80, "TCP", 0x34d9377ac35f84ac, 30046, 32602, 30012},
		{"web/echo", 80, "UDP", 0x2c2cd67abe757c58, 30020, 32274, 30008},
		{"default/nginx", 80, "TCP", 0xd053b02e5b82647e, 30084, 31568, 30014},
		{"shop/web", 443, "TCP", 0x82e653665b2f906e, 30036, 30996, 30014},
	}
	for _, c := range cases {
		namespace, name, _ := strings.Cut(c.name, "/")
		hash := portHash(federation.ObjectRef{Kind: "Service", Namespace: namespace, Name: name}, c.port, c.protocol)
		if hash != c.hash {
			t.Errorf("portHash(%s/%d/%s) = %#x, want %#x", c.name, c.port, c.protocol, hash, c.hash)
		}
		all := slices.Collect(newBand(federation.PortRange{First: 30000, Last: 32767}).candidates(hash, newSet(math.MaxUint16+1)))
		if all[0] != c.inBand || all[86] != c.above {
			t.Errorf("%s begins at %d and above the band at %d, want %d and %d", c.name, all[0], all[86], c.inBand, c.above)
		}
		if next := 30000 + (c.inBand+1-30000)%86; all[1] != next {
			t.Errorf("%s goes on with %d, want %d", c.name, all[1], next)
		}
		if slices.Sort(all); len(slices.Compact(all)) != 2768 {
			t.Errorf("%s has %d candidates, want each of 2768 ports once", c.name, len(all))
		}
		small := slices.Collect(newBand(federation.PortRange{First: 30000, Last: 30015}).candidates(hash, newSet(math.MaxUint16+1)))
		if small[0] != c.of {
			t.Errorf("%s begins at %d in a range of 16, want %d", c.name, small[0], c.of)
		}
	}
}

// hundredServices are Services of one port in two clusters that use none.
func hundredServices() Input {
	in := Input{
		Range:    federation.PortRange{First: 30000, Last: 32767},
		Clusters: []Cluster{{Name: "a", Known: true, Fresh: true}, {Name: "b", Known: true, Fresh: true}},
	}
	for i := range 100 {
		in.Services = append(in.Services, shopService(fmt.Sprintf("s%03d", i)))
	}
	return in
}

func shopService(name string) Service {
	return Service{
		App: "shop", File: "apps/shop/services.yaml",
		Ref:      federation.ObjectRef{Kind: "Service", Namespace: "shop", Name: name},
		Variants: []Variant{{Clusters: []int{0, 1}, Ports: []Port{{Protocol: "TCP", Port: 80}}}},
	}
}

func TestAPortAboveTheBandIsWarnedOfWhileTheBandIsFull(t *testing.T) {
	in := hundredServices()
	chosen := Decide(in)
	for c := range in.Clusters {
		for _, d := range chosen.Decisions {
			in.Clusters[c].Used = append(in.Clusters[c].Used, federation.NodePort{
				Protocol: "TCP", Port: d.NodePort, ServicePort: 80, Namespace: d.Service.Namespace, Service: d.Service.Name,
			})
		}
		// One that no choice led to.
		in.Clusters[c].Used = append(in.Clusters[c].Used, federation.NodePort{Protocol: "TCP", Port: 32767, ServicePort: 80, Namespace: "shop", Service: "t"})
		slices.SortFunc(in.Clusters[c].Used, federation.NodePort.Compare)
	}
	in.Services = append(in.Services, shopService("t"))
	live := Decide(in)
	if !reflect.DeepEqual(live.Findings, chosen.Findings) {
		t.Errorf("findings once all are live = %v, want the same as when they were chosen: %v", live.Findings, chosen.Findings)
	}

	in.Services = in.Services[1:]
	for c := range in.Clusters {
		in.Clusters[c].Used = slices.DeleteFunc(in.Clusters[c].Used, func(u federation.NodePort) bool { return u.Service == "s000" })
	}
	if got := Decide(in).Findings; len(got) > 0 {
		t.Errorf("findings with room in the band = %v, want none", got)
	}
}

func TestHundredServicesAllGetAPortTheLastAboveTheBand(t *testing.T) {
	in := hundredServices()
	r := Decide(in)
	seen := map[int32]bool{}
	for i, d := range r.Decisions {
		basis, inBand := federation.PortChosen, i < 86
		if !inBand {
			basis = federation.PortOverflow
		}
		if d.Basis != basis || seen[d.NodePort] || (d.NodePort <= 30085) != inBand {
			t.Errorf("%s got %d (%s), want a new port, %s", d.Service, d.NodePort, d.Basis, basis)
		}
		seen[d.NodePort] = true
	}
	if len(r.Findings) != 14 || r.Findings[0].Severity != federation.SeverityWarning || r.Findings[0].Object.Name != "s086" {
		t.Errorf("findings = %v, want a warning for each of the last 14", r.Findings)
	}
	if len(r.Withheld) > 0 {
		t.Errorf("withheld = %v, want none", r.Withheld)
	}
	if got := r.Of(in.Services[42].Ref); len(got) != 1 || got[0].Service.Name != "s042" {
		t.Errorf("of(s042) = %v, want its one decision", got)
	}
}
