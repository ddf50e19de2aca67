package plan

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Assume adds facts for clusters without any: that they are Ready and run what the plan
// has. With these facts, nothing in a change counts as already live.
func Assume(known federation.Facts, p federation.Plan) federation.Facts {
	facts := known
	facts.Clusters = maps.Clone(known.Clusters)
	if facts.Clusters == nil {
		facts.Clusters = map[string]federation.ClusterFacts{}
	}
	for _, c := range p.Clusters {
		if _, ok := facts.Clusters[c.Cluster]; !ok {
			facts.Clusters[c.Cluster] = assumed(c)
		}
	}
	return facts
}

func assumed(c federation.ClusterPlan) federation.ClusterFacts {
	f := federation.ClusterFacts{
		State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true,
		Inventory: map[string][]federation.ObjectRef{},
	}
	for _, app := range c.Apps {
		for _, o := range app.Objects {
			f.Inventory[app.App] = append(f.Inventory[app.App], o.Ref)
			switch o.Ref.Kind {
			case "Service":
				f.NodePorts = append(f.NodePorts, nodePorts(o)...)
			case "Deployment", "ReplicaSet":
				f.Workloads = append(f.Workloads, workload(o))
			}
		}
		slices.SortFunc(f.Inventory[app.App], federation.ObjectRef.Compare)
	}
	slices.SortFunc(f.NodePorts, federation.NodePort.Compare)
	slices.SortFunc(f.Workloads, func(x, y federation.Workload) int { return x.Object.Compare(y.Object) })
	return f
}

// workload returns the facts of a workload whose replicas are all ready.
func workload(o *federation.Object) federation.Workload {
	replicas, _, _ := unstructured.NestedInt64(o.Unstructured().Object, "spec", "replicas") // the schedule wrote it
	return federation.Workload{Object: o.Ref, Replicas: replicas, Ready: replicas, Current: replicas}
}

// nodePorts returns the node ports that a Service states.
func nodePorts(o *federation.Object) []federation.NodePort {
	ports, _, _ := unstructured.NestedSlice(o.Unstructured().Object, "spec", "ports") // the API server refuses what is not a list
	var all []federation.NodePort
	for _, item := range ports {
		port, _ := item.(map[string]any)
		number, _ := port["nodePort"].(int64)
		if number == 0 {
			continue
		}
		own, _ := port["port"].(int64)
		protocol, _ := port["protocol"].(string)
		all = append(all, federation.NodePort{
			Protocol: cmp.Or(protocol, "TCP"), Port: int32(number), ServicePort: int32(own), //nolint:gosec // render checked them
			Namespace: o.Ref.Namespace, Service: o.Ref.Name,
		})
	}
	return all
}
