package plan

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Assume gives facts for the clusters of which there are none: that they are Ready and run
// what the plan says. By these, nothing of a change is taken for what is there already.
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

// workload says that all replicas of a workload are ready.
func workload(o *federation.Object) federation.Workload {
	replicas, _, _ := unstructured.NestedInt64(o.Unstructured().Object, "spec", "replicas") // as written by the schedule
	return federation.Workload{Object: o.Ref, Replicas: replicas, Ready: replicas, Current: replicas}
}

// nodePorts gives the node ports that a Service states.
func nodePorts(o *federation.Object) []federation.NodePort {
	ports, _, _ := unstructured.NestedSlice(o.Unstructured().Object, "spec", "ports") // the API server judges what is no list
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
