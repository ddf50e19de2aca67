package facts

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// The labels and taints of a node.
const (
	labelZone   = "topology.kubernetes.io/zone"
	labelRegion = "topology.kubernetes.io/region"
	// labelExcluded excludes a node from load balancers, whatever its value.
	labelExcluded = "node.kubernetes.io/exclude-from-external-load-balancers"
	// taintDeleted is set by the autoscaler on a node that it is about to remove.
	taintDeleted = "ToBeDeletedByClusterAutoscaler"
)

// node is what is remembered of a node.
type node struct {
	fact   federation.Node
	region string
}

// readNode reads a node. The kubelet's heartbeats do not change the result.
func readNode(u *unstructured.Unstructured) (node, bool) {
	labels := u.GetLabels()
	_, excluded := labels[labelExcluded]
	n := node{
		region: labels[labelRegion],
		fact: federation.Node{
			Name:       u.GetName(),
			ProviderID: untrusted.Line(live.Text(u, "spec", "providerID")),
			Zone:       labels[labelZone],
			Address:    internalIPv4(u),
			Excluded:   excluded || slices.ContainsFunc(live.Objects(u, "spec", "taints"), isDeletion),
		},
	}
	for _, condition := range live.Objects(u, "status", "conditions") {
		if condition["type"] != "Ready" {
			continue
		}
		n.fact.Ready = condition["status"] == "True"
		since, _ := condition["lastTransitionTime"].(string)
		if at, err := time.Parse(time.RFC3339, since); err == nil {
			n.fact.Since = at.UTC()
		}
	}
	return n, true
}

func isDeletion(taint map[string]any) bool { return taint["key"] == taintDeleted }

// internalIPv4 returns the first internal IPv4 address; empty if there is none.
func internalIPv4(u *unstructured.Unstructured) string {
	for _, entry := range live.Objects(u, "status", "addresses") {
		address, _ := entry["address"].(string)
		if entry["type"] != "InternalIP" {
			continue
		}
		if ip, err := netip.ParseAddr(address); err == nil && ip.Is4() {
			return ip.String()
		}
	}
	return ""
}

// nodeFacts returns the facts of all nodes, sorted by name.
func nodeFacts(kept map[types.NamespacedName]node) []federation.Node {
	list := make([]federation.Node, 0, len(kept))
	for _, key := range slices.SortedFunc(maps.Keys(kept), compareNames) {
		list = append(list, kept[key].fact)
	}
	return list
}

// placeFacts returns the distinct zones and regions of all nodes, sorted.
func placeFacts(kept map[types.NamespacedName]node) (zones, regions []string) {
	found := [2]map[string]bool{{}, {}}
	for _, n := range kept {
		found[0][n.fact.Zone], found[1][n.region] = true, true
	}
	for _, set := range found {
		delete(set, "") // of a node without the label
	}
	return slices.Sorted(maps.Keys(found[0])), slices.Sorted(maps.Keys(found[1]))
}
