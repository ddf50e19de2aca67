package review

import (
	"fmt"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
)

// BenchmarkTurn is what the reviewer computes at each turn, with 200 pull requests that
// were planned and 13 clusters.
func BenchmarkTurn(b *testing.B) {
	s := stateOf()
	for c := range 13 {
		f := federation.ClusterFacts{State: federation.ClusterReady, Synced: true, PortsKnown: true}
		for port := range 200 {
			f.NodePorts = append(f.NodePorts, federation.NodePort{Protocol: "TCP", Port: int32(30000 + port), Namespace: "x", Service: "y"})
		}
		s.Facts.Clusters[fmt.Sprintf("c%d", c)] = f
	}
	for n := int64(200); n > 0; n-- {
		s.Open = append(s.Open, pull(n))
		s.plan(n, int32(30500+n), plan.Changes)
	}
	for b.Loop() {
		s.Next()
		for _, comment := range s.Tell().Comments {
			comment.Digest()
		}
	}
}
