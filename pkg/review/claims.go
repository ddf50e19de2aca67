package review

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
)

// Claims are what a change needs in the clusters and other changes may need as well.
type Claims struct {
	Ports     []Port
	Amounts   map[Amount]int64
	Workloads []federation.ObjectRef // whose division of replicas changes
}

// Port is a node port that a Service gets.
type Port struct {
	Protocol string
	Port     int32
	Service  federation.ObjectRef
}

// Amount is a resource that a quota may limit in a namespace of a cluster, as quotas name
// it: "pods".
type Amount struct{ Cluster, Namespace, Resource string }

// claimsOf returns the claims of a plan.
func claimsOf(p *plan.Plan) Claims {
	c := Claims{Amounts: map[Amount]int64{}}
	for _, port := range p.Ports {
		if port.After != 0 && port.After != port.Before {
			c.Ports = append(c.Ports, Port{Protocol: port.Protocol, Port: port.After, Service: port.Service})
		}
	}
	for _, o := range p.Objects {
		by := map[plan.Action]int64{plan.Create: 1, plan.Delete: -1}[o.Action]
		for _, cluster := range o.Clusters {
			for _, resource := range counted[o.Object.GroupKind().String()] {
				c.add(Amount{cluster, o.Object.Namespace, resource}, by)
			}
		}
	}
	for _, r := range p.Replicas {
		c.Workloads = append(c.Workloads, r.Object)
		for _, share := range r.Shares {
			c.add(Amount{share.Cluster, r.Object.Namespace, "pods"}, share.After-share.Before)
		}
	}
	return c
}

func (c Claims) add(a Amount, by int64) {
	if by == 0 {
		return
	}
	if c.Amounts[a] += by; c.Amounts[a] == 0 {
		delete(c.Amounts, a)
	}
}

// counted are the names by which quotas count objects of a kind.
var counted = map[string][]string{
	"Service":                             {"services", "count/services"},
	"ConfigMap":                           {"configmaps", "count/configmaps"},
	"Secret":                              {"secrets", "count/secrets"},
	"PersistentVolumeClaim":               {"persistentvolumeclaims", "count/persistentvolumeclaims"},
	"ReplicaSet.apps":                     {"count/replicasets.apps"},
	"Deployment.apps":                     {"count/deployments.apps"},
	"StatefulSet.apps":                    {"count/statefulsets.apps"},
	"DaemonSet.apps":                      {"count/daemonsets.apps"},
	"Job.batch":                           {"count/jobs.batch"},
	"CronJob.batch":                       {"count/cronjobs.batch"},
	"Ingress.networking.k8s.io":           {"count/ingresses.networking.k8s.io"},
	"HorizontalPodAutoscaler.autoscaling": {"count/horizontalpodautoscalers.autoscaling"},
}

// left returns how much of an amount is unused, and reports whether a quota limits it.
func left(f federation.Facts, a Amount) (int64, bool) {
	least, limited := int64(0), false
	for _, q := range f.Clusters[a.Cluster].Quotas {
		hard, ok := q.Hard[a.Resource]
		if q.Namespace != a.Namespace || q.Scoped || !ok {
			continue
		}
		if free := max(0, hard-q.Used[a.Resource]); !limited || free < least {
			least, limited = free, true
		}
	}
	return least, limited
}

// digests computes digests of the facts that matter to claims. It caches the encoding of what
// they have in common.
type digests struct {
	facts    federation.Facts
	clusters []string                         // their names, sorted
	standing []byte                           // of the clusters, encoded; nil until needed
	holders  map[federation.NodePort][]string // by protocol and port: who has it, and where
}

func digest(f federation.Facts, c Claims) string {
	d := digests{facts: f}
	return d.of(c)
}

// standing is the state of a cluster that matters to every plan.
type standing struct {
	Name, UID      string
	State          federation.ClusterState
	Synced, Outage bool
	Ports          bool
}

func (d *digests) of(c Claims) string {
	if d.standing == nil {
		d.index()
	}
	var all []any
	for _, w := range c.Workloads {
		for _, name := range d.clusters {
			if have, ok := d.facts.Clusters[name].Workload(w); ok {
				all = append(all, name, w, have.Replicas, have.Limited, have.Capacity, have.Unschedulable)
			}
		}
	}
	for _, p := range c.Ports {
		all = append(all, p, d.holders[federation.NodePort{Protocol: p.Protocol, Port: p.Port}])
	}
	for _, a := range slices.SortedFunc(maps.Keys(c.Amounts), Amount.compare) {
		if free, limited := left(d.facts, a); limited {
			all = append(all, a, free)
		}
	}
	text, _ := json.Marshal(all) // of plain values
	sum := sha256.Sum256(slices.Concat(d.standing, text))
	return hex.EncodeToString(sum[:16])
}

func (d *digests) index() {
	d.clusters, d.holders = slices.Sorted(maps.Keys(d.facts.Clusters)), map[federation.NodePort][]string{}
	var all []standing
	for _, name := range d.clusters {
		f := d.facts.Clusters[name]
		all = append(all, standing{Name: name, UID: f.UID, State: f.State, Synced: f.Synced, Outage: f.Outage, Ports: f.PortsKnown})
		for _, p := range f.NodePorts {
			at := federation.NodePort{Protocol: p.Protocol, Port: p.Port}
			d.holders[at] = append(d.holders[at], name+" "+p.Holder().String())
		}
	}
	d.standing, _ = json.Marshal(all) // of plain values
}

func (a Amount) compare(o Amount) int {
	return cmp.Or(cmp.Compare(a.Cluster, o.Cluster), cmp.Compare(a.Namespace, o.Namespace), cmp.Compare(a.Resource, o.Resource))
}
