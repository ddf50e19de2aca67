package diagnose

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// need is how much of a quota's resource the objects of the plan still need, and which.
type need struct {
	amount int64
	// total is everything that managed workloads need, including what exists; for pods
	// only.
	total int64
	of    []string
}

// quotas reports where the plan needs more than a ResourceQuota leaves. Apply reports what
// the API server already refused, but not by how much, and nothing about pods.
func (x *diagnosis) quotas() {
	for _, m := range x.seen() {
		if len(m.facts.Quotas) == 0 {
			continue
		}
		exists := m.existing()
		for _, q := range m.facts.Quotas {
			x.quota(m, q, m.needs(x, q.Namespace, exists))
		}
	}
}

func (x *diagnosis) quota(m *member, q federation.Quota, needs map[string]*need) {
	var over []string
	for _, resource := range slices.Sorted(maps.Keys(q.Hard)) {
		n, hard, used := needs[resource], q.Hard[resource], q.Used[resource]
		counts := !q.Scoped || resource != "pods" && resource != "count/pods"
		switch {
		case n == nil || !counts:
		case n.total > hard:
			over = append(over, fmt.Sprintf("%s: %d planned of %d at most, %d used, by %s", resource, n.total, hard, used, untrusted.Some(n.of, 3)))
		case n.amount > 0 && used+n.amount > hard:
			over = append(over, fmt.Sprintf("%s: %d used and %d more needed of %d, by %s", resource, used, n.amount, hard, untrusted.Some(n.of, 3)))
		}
	}
	if len(over) == 0 {
		return
	}
	x.await(federation.Finding{
		ID: federation.FindingQuota, Severity: federation.SeverityError, Cluster: m.name,
		Object:  federation.ObjectRef{Kind: "ResourceQuota", Namespace: q.Namespace, Name: q.Name},
		Message: untrusted.List("has too little room: ", over, "; "),
		Remedy:  untrusted.New("raise it, or request less: " + m.kubectl("-n %s edit resourcequota %s", q.Namespace, q.Name)),
	}, m.fresh)
}

// needs returns what the missing objects and missing pods of a namespace need.
func (m *member) needs(x *diagnosis, namespace string, exists map[federation.ObjectRef]bool) map[string]*need {
	needs := map[string]*need{}
	add := func(resource string, amount, total int64, by federation.ObjectRef) {
		if amount <= 0 && total <= 0 {
			return
		}
		n := needs[resource]
		if n == nil {
			n = &need{}
			needs[resource] = n
		}
		n.amount += max(amount, 0)
		n.total += total
		n.of = append(n.of, by.String())
	}
	for _, p := range m.planned {
		if p.Ref.Namespace != namespace {
			continue
		}
		if p.pods != nil && divisible(p.Ref) {
			more, total := m.podsOf(x, p)
			add("pods", more, total, p.Ref)
			add("count/pods", more, total, p.Ref)
		}
		if exists[p.Ref] {
			continue
		}
		counted := countedAs(p.Ref)
		add("count/"+counted, 1, 0, p.Ref)
		if p.Ref.Group == "" {
			add(counted, 1, 0, p.Ref) // quotas also support short names for core kinds: "services"
		}
		if p.service != nil {
			add("services.nodeports", p.service.nodePorts, 0, p.Ref)
			if p.service.kind == "LoadBalancer" {
				add("services.loadbalancers", 1, 0, p.Ref)
			}
		}
	}
	return needs
}

// countedAs returns a kind as quotas name it: "ingresses.networking.k8s.io". The plural
// is guessed; a wrong guess names a resource that no quota has.
func countedAs(o federation.ObjectRef) string {
	plural, _ := meta.UnsafeGuessKindToResource(o.GroupKind().WithVersion(""))
	return plural.GroupResource().String()
}

// podsOf returns how many pods the plan wants, and how many of them are missing.
func (m *member) podsOf(x *diagnosis, w *planned) (more, total int64) {
	runs, _ := m.facts.Workload(w.Ref)
	total = m.replicas(w)
	for _, s := range x.replicas[w.Ref].Shares {
		if s.Cluster == m.name {
			total = s.Replicas - s.Overflow // the overflow is optional
		}
	}
	return total - min(runs.Replicas, m.made(w, runs)), total
}

// made returns how many pods of a workload exist, Ready or not. A full quota does not
// prevent the write of spec.replicas, but the creation of the pods. Pods that are not
// Ready are visible only behind a Service. Without one, or while endpoints cannot be
// watched, all desired pods count as existing.
func (m *member) made(w *planned, runs federation.Workload) int64 {
	if m.blind("endpointslices.discovery.k8s.io") {
		return runs.Replicas
	}
	made, seen := int64(0), false
	for ref, s := range m.services {
		if ref.Namespace != w.Ref.Namespace || len(s.service.selector) == 0 || !takes(s.service.selector, w.pods.labels) {
			continue
		}
		if e := m.endpoints(ref); m.live[ref] != nil {
			made, seen = max(made, max(runs.Ready, int64(e.Ready))+int64(e.NotReady)+runs.Unschedulable), true
		}
	}
	if !seen {
		return runs.Replicas
	}
	return made
}

// existing returns the objects that are known to exist, whoever created them: an adopted
// object needs no room.
func (m *member) existing() map[federation.ObjectRef]bool {
	all := make(map[federation.ObjectRef]bool, len(m.observations))
	for _, o := range m.observations {
		all[o.Object] = true
	}
	for _, refs := range m.facts.Inventory {
		for _, ref := range refs {
			all[ref] = true
		}
	}
	for _, s := range m.facts.Services {
		all[serviceRef(s.Namespace, s.Name)] = true
	}
	for _, p := range m.facts.NodePorts {
		all[p.Holder()] = true
	}
	for _, i := range m.facts.Ingresses {
		all[federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: i.Namespace, Name: i.Name}] = true
	}
	return all
}
