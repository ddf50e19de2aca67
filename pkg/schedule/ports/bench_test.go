package ports

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// BenchmarkPorts decides the node ports of 100 Services in 1,000 clusters that use
// 200 ports each. No two clusters share a string, as facts come from watches.
func BenchmarkPorts(b *testing.B) {
	cases := []struct {
		name   string
		change func(cluster int, s int, c *Cluster) int32 // the port that runs; 0 for none
		basis  federation.PortBasis
	}{
		{"inherited", func(_, s int, _ *Cluster) int32 { return int32(30000 + s) }, federation.PortInherited},
		{"chosen", func(_, _ int, _ *Cluster) int32 { return 0 }, federation.PortChosen},
		{"waiting", func(cluster, _ int, c *Cluster) int32 { c.Fresh = cluster > 0; return 0 }, federation.PortWaiting},
		{"differing", func(cluster, s int, _ *Cluster) int32 { return int32(30200 + (s*7+cluster%20)%1000) }, federation.PortInherited},
	}
	for _, bc := range cases {
		b.Run(bc.name, func(b *testing.B) {
			const clusters, services, used = 1000, 100, 200
			in := Input{Range: federation.PortRange{First: 30000, Last: 32767}}
			everywhere := make([]int, clusters)
			for c := range clusters {
				everywhere[c] = c
				cluster := Cluster{Name: fmt.Sprintf("cluster-%04d", c), Known: true, Fresh: true}
				taken := map[int32]bool{}
				for s := range services {
					if port := bc.change(c, s, &cluster); port != 0 && !taken[port] {
						taken[port] = true
						cluster.Used = append(cluster.Used, benchPort(port, "shop", fmt.Sprintf("service-%03d", s)))
					}
				}
				for i := 0; len(cluster.Used) < used; i++ {
					if port := int32(31300 + (c*13+i*7)%1400); !taken[port] {
						taken[port] = true
						cluster.Used = append(cluster.Used, benchPort(port, "legacy", fmt.Sprintf("foreign-%03d", i)))
					}
				}
				slices.SortFunc(cluster.Used, federation.NodePort.Compare)
				in.Clusters = append(in.Clusters, cluster)
			}
			for s := range services {
				in.Services = append(in.Services, Service{
					App: "shop", File: "apps/shop/services.yaml",
					Ref:      federation.ObjectRef{Kind: "Service", Namespace: "shop", Name: fmt.Sprintf("service-%03d", s)},
					Variants: []Variant{{Clusters: everywhere, Ports: []Port{{Protocol: "TCP", Port: 80}}}},
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				r := Decide(in)
				if len(r.Decisions) != services || r.Decisions[0].Basis != bc.basis {
					b.Fatalf("%d decisions, the first %q: want %d, %q", len(r.Decisions), r.Decisions[0].Basis, services, bc.basis)
				}
			}
		})
	}
}

func benchPort(port int32, namespace, service string) federation.NodePort {
	return federation.NodePort{
		Protocol: strings.Clone("TCP"), Port: port, ServicePort: 80,
		Namespace: strings.Clone(namespace), Service: service,
	}
}
