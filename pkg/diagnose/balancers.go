package diagnose

import (
	"fmt"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// proberRanges are where the probes and the traffic of Google's global load balancer
// come from.
const proberRanges = "130.211.0.0/22 and 35.191.0.0/16"

// balancers checks the load balancers that fedsync maintains itself: who else serves an
// Ingress, and whether the probes reach the nodes.
func (x *diagnosis) balancers() {
	if !x.Federation.Balances() {
		return
	}
	for _, m := range x.seen() {
		for _, i := range m.ingresses {
			if c := m.controller(i); c.ours && m.servedByGoogle(i.Ref) {
				x.stillGoogles(m, i)
			}
		}
		x.unreachedNodes(m)
	}
}

// servedByGoogle reports whether Google's controller serves the live Ingress. What it left
// on an Ingress that has another class now does not count.
func (m *member) servedByGoogle(ref federation.ObjectRef) bool {
	if m.googles == nil {
		m.googles = make(map[federation.ObjectRef]bool, len(m.facts.Ingresses))
		for _, i := range slices.Backward(m.facts.Ingresses) {
			its := federation.ObjectRef{Namespace: i.Namespace, Name: i.Name}
			m.googles[its] = (i.Google || i.URLMap != "") && (i.ClassName == "" || isGoogles(i.ClassName))
		}
	}
	return m.googles[federation.ObjectRef{Namespace: ref.Namespace, Name: ref.Name}]
}

// balancer returns what is known about the load balancer of an Ingress.
func (x *diagnosis) balancer(ref federation.ObjectRef) (federation.Balancer, bool) {
	if x.behind == nil {
		x.behind = make(map[federation.ObjectRef]federation.Balancer, len(x.Facts.Balancers))
		for _, b := range slices.Backward(x.Facts.Balancers) {
			x.behind[b.Ingress] = b
		}
	}
	b, known := x.behind[ref]
	return b, known
}

// stillGoogles reports that Google's controller serves an Ingress in a cluster in addition
// to fedsync's load balancer, and how to move it.
func (x *diagnosis) stillGoogles(m *member, i *planned) {
	b, _ := x.balancer(i.Ref)
	f := federation.Finding{
		ID: federation.FindingController, Severity: federation.SeverityNote,
		Cluster: m.name, App: i.app, Object: i.Ref, File: i.File,
		Message: untrusted.Textf("Google's controller serves it in %s; fedsync creates its own load balancer in addition, and changes nothing there", m.name),
	}
	switch {
	case i.ingress.move:
		f.Severity = federation.SeverityWarning
		f.Message = untrusted.Textf("it may move to fedsync's load balancer, but Google's controller still serves it in %s", m.name)
		if c, ok := b.Cluster(m.name); ok && c.State != federation.TrafficServing {
			f.Message = untrusted.Textf("%s: behind fedsync's load balancer it is %s", f.Message, c.State)
		}
		f.Remedy = untrusted.Const("its class changes as soon as its endpoints are healthy behind fedsync's load balancer: check why they are not")
		x.found = append(x.found, found{Finding: f, patience: patience{grace: x.Deadline}})
		return
	case b.Complete && b.Address != "":
		f.Severity = federation.SeverityWarning
		f.Message = untrusted.Textf("Google's controller serves it in %s in addition to fedsync's load balancer at %s: both serve", m.name, b.Address)
		f.Remedy = untrusted.Textf("point DNS at %s; when no client uses the old address any more, set the annotation %s: %s in %s",
			b.Address, federation.AnnotationMove, federation.MoveAllowed, i.File)
	}
	x.add(f)
}

// unreachedNodes reports that no probe of the load balancer succeeds in a cluster although
// its pods are ready. The most likely reason is a firewall.
func (x *diagnosis) unreachedNodes(m *member) {
	endpoints := 0
	var example federation.ObjectRef
	for _, b := range x.Facts.Balancers {
		c, ok := b.Cluster(m.name)
		switch {
		case !ok || c.Endpoints == 0:
			continue
		case c.State != federation.TrafficUnhealthy || c.Healthy > 0:
			return
		}
		if endpoints == 0 {
			example = b.Ingress
		}
		endpoints += c.Endpoints
	}
	ready := m.readyBehind()
	if endpoints == 0 || ready == "" {
		return
	}
	f := federation.Finding{
		ID: federation.FindingFirewall, Severity: federation.SeverityWarning, Cluster: m.name,
		Message: untrusted.Textf("none of its %d endpoints is healthy behind the load balancer, while %s: the probes do not reach the nodes", endpoints, ready),
		Remedy: untrusted.Textf("allow %s to reach the node ports: fedsync firewall %s/%s prints the command",
			proberRanges, untrusted.Quote(example.Namespace), untrusted.Quote(example.Name)),
	}
	if m.elsewhere {
		f.Remedy = untrusted.Textf("allow %s to reach the node ports in its own firewall; its nodes must be reachable from the VPC without NAT, "+
			"and the Cloud Router must advertise both ranges to it", proberRanges)
	}
	x.await(f, false)
}

// readyBehind describes a Service behind a managed Ingress that has ready pods; empty if
// there is none.
func (m *member) readyBehind() string {
	for _, i := range m.ingresses {
		for _, b := range i.ingress.backends {
			ref := serviceRef(i.Ref.Namespace, b.service)
			if e := m.endpoints(ref); e.Ready > 0 {
				return fmt.Sprintf("%d pods are ready behind %s", e.Ready, ref)
			}
		}
	}
	return ""
}

// unreachableService reports that fedsync's load balancer cannot reach a Service: it does
// so only through node ports.
func (x *diagnosis) unreachableService(m *member, i *planned, ref federation.ObjectRef) {
	s, ok := m.liveService(ref)
	ours := m.services[ref]
	if !ok || s.Type != "ClusterIP" || ours != nil && ours.service.kind != "ClusterIP" {
		return // reachable, or about to be
	}
	f := federation.Finding{
		ID: federation.FindingServiceType, Severity: federation.SeverityError,
		Cluster: m.name, App: i.app, Object: ref,
		Message: untrusted.Textf("is of type ClusterIP: fedsync's load balancer of %s reaches pods only through node ports", i.Ref),
		Remedy:  untrusted.Const("set type: NodePort"),
	}
	if ours != nil {
		f.App, f.File = ours.app, ours.File
		f.Remedy = untrusted.Textf("%s in %s", f.Remedy, ours.File)
	}
	x.await(f, x.seasoned(m, m.observation(ref).Created))
}
