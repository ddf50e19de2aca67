package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// services follows each Service to its pods.
func (x *diagnosis) services() {
	for _, m := range x.seen() {
		backs := map[federation.ObjectRef]federation.ObjectRef{} // the first Ingress of each Service
		for _, i := range m.ingresses {
			for _, b := range i.ingress.backends {
				ref := serviceRef(i.Ref.Namespace, b.service)
				if _, ok := backs[ref]; !ok {
					backs[ref] = i.Ref
				}
			}
		}
		for _, p := range m.planned {
			if p.service == nil || len(p.service.selector) == 0 || p.service.kind == "ExternalName" {
				continue // its endpoints do not come from a selector
			}
			e := m.endpoints(p.Ref)
			if e.Ready > 0 || m.blind("endpointslices.discovery.k8s.io") {
				continue
			}
			matching := m.selected(p.Ref.Namespace, p.service.selector)
			if len(matching) == 0 && e.NotReady == 0 && x.selectsNothing(m, p) {
				continue // that explains the missing endpoints
			}
			if ingress, ok := backs[p.Ref]; ok {
				x.noEndpoints(m, p, ingress, matching, e)
			}
		}
	}
}

// selectsNothing reports that a Service's selector matches no pods of the workloads in
// its namespace. Something else may create matching pods, so it is called only for a
// Service without endpoints.
func (x *diagnosis) selectsNothing(m *member, p *planned) bool {
	workloads := m.pods[p.Ref.Namespace]
	if len(workloads) == 0 || m.partial {
		return false
	}
	var have []string
	for _, w := range workloads {
		have = appendNew(have, fmt.Sprintf("%s has %s", w.Ref, cmp.Or(selectorText(w.pods.labels), "no labels")))
	}
	x.found = append(x.found, found{
		folds:    true,
		patience: patience{grace: x.Grace, seasoned: x.seasoned(m, m.observation(p.Ref).Created)},
		Finding: federation.Finding{
			ID: federation.FindingSelector, Severity: federation.SeverityWarning,
			Cluster: m.name, App: p.app, Object: p.Ref, File: p.File,
			Message: untrusted.Textf("its selector %s matches no pods: %s", selectorText(p.service.selector), untrusted.Some(have, 3)),
			Remedy:  untrusted.Textf("set spec.selector in %s to labels of a pod template", p.File),
		},
	})
	return true
}

// endpoints returns the endpoints of a managed Service; none if nothing is known about it.
func (m *member) endpoints(service federation.ObjectRef) federation.Endpoints {
	i, ok := slices.BinarySearchFunc(m.facts.Endpoints, service, func(e federation.Endpoints, ref federation.ObjectRef) int {
		return cmp.Or(strings.Compare(e.Namespace, ref.Namespace), strings.Compare(e.Service, ref.Name))
	})
	if !ok {
		return federation.Endpoints{}
	}
	return m.facts.Endpoints[i]
}

// noEndpoints reports that no pod is ready behind a Service that an Ingress names: the
// load balancer sends no traffic to this cluster.
func (x *diagnosis) noEndpoints(m *member, p *planned, ingress federation.ObjectRef, matching []*planned, e federation.Endpoints) {
	live, exists := m.live[p.Ref]
	if !exists {
		return // it does not exist yet
	}
	f := federation.Finding{Cluster: m.name, App: p.app, Object: p.Ref, File: p.File}
	if x.sharesNothing(m, matching) {
		f.ID, f.Severity = federation.FindingNoShare, federation.SeverityNote
		f.Message = untrusted.Textf("no replica is placed in this cluster, so %s sends no traffic to it", ingress)
		x.add(f)
		return
	}
	selector := selectorText(p.service.selector)
	f.ID, f.Severity = federation.FindingEndpoints, federation.SeverityWarning
	message := []string{fmt.Sprintf("no ready endpoint for %s: selector %s, 0 ready and %d not ready", ingress, selector, e.NotReady)}
	for _, w := range matching {
		if runs, ok := m.facts.Workload(w.Ref); ok {
			message = append(message, fmt.Sprintf("%s %d of %d ready", w.Ref, runs.Ready, runs.Replicas))
		}
	}
	f.Message = untrusted.List("", message, "; ")
	f.Remedy = untrusted.New(m.kubectl("-n %s get pods -l %s -o wide", p.Ref.Namespace, selector))
	x.found = append(x.found, found{Finding: f, patience: patience{grace: x.Grace, deadline: x.Deadline, seasoned: x.seasoned(m, live.Created)}})
}

// sharesNothing reports whether the plan, or the controller that scales them, places none
// of these workloads' pods in the cluster. Nothing is known about workloads that are not
// in Git.
func (x *diagnosis) sharesNothing(m *member, workloads []*planned) bool {
	for _, w := range workloads {
		if x.wanted(m, w) > 0 {
			return false
		}
	}
	return len(workloads) > 0
}

// wanted returns how many replicas of a workload the cluster should run: its share if they
// are divided, or the count of the cluster otherwise.
func (x *diagnosis) wanted(m *member, w *planned) int64 {
	for _, s := range x.replicas[w.Ref].Shares {
		if s.Cluster == m.name {
			return s.Share
		}
	}
	return m.replicas(w)
}

// replicas returns the desired count of an undivided workload: from the plan, or from the
// controller that scales it, or the API's default.
func (m *member) replicas(w *planned) int64 {
	if w.pods.replicas != nil {
		return *w.pods.replicas
	}
	if runs, exists := m.facts.Workload(w.Ref); exists {
		return runs.Replicas
	}
	return 1
}
