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

// balancers looks at the load balancers that fedsync keeps itself: who serves an
// Ingress beside them, and whether their probes reach the nodes.
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

// servedByGoogle reports whether Google's controller takes care of the live Ingress.
// What it left on one that has another class by now says nothing.
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

// balancer gives what is known of the load balancer of an Ingress.
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

// stillGoogles says that Google's controller serves an Ingress in a cluster beside
// fedsync's load balancer, and how it moves over.
func (x *diagnosis) stillGoogles(m *member, i *planned) {
	b, _ := x.balancer(i.Ref)
	f := federation.Finding{
		ID: federation.FindingController, Severity: federation.SeverityNote,
		Cluster: m.name, App: i.app, Object: i.Ref, File: i.File,
		Message: untrusted.Textf("Google's controller serves it in %s; fedsync's load balancer is made beside it, and takes nothing away", m.name),
	}
	switch {
	case i.ingress.move:
		f.Severity = federation.SeverityWarning
		f.Message = untrusted.Textf("it may move to fedsync's load balancer, and Google's controller still serves it in %s", m.name)
		if c, ok := b.Cluster(m.name); ok && c.State != federation.TrafficServing {
			f.Message = untrusted.Textf("%s: behind fedsync's it is %s", f.Message, c.State)
		}
		f.Remedy = untrusted.Const("its class changes as soon as its endpoints are healthy behind fedsync's load balancer: see why they are not")
		x.found = append(x.found, found{Finding: f, patience: patience{grace: x.Deadline}})
		return
	case b.Complete && b.Address != "":
		f.Severity = federation.SeverityWarning
		f.Message = untrusted.Textf("Google's controller serves it in %s beside fedsync's load balancer at %s: both serve", m.name, b.Address)
		f.Remedy = untrusted.Textf("point DNS at %s; when no client uses the old address any more, set the annotation %s: %s in %s",
			b.Address, federation.AnnotationMove, federation.MoveAllowed, i.File)
	}
	x.add(f)
}

// unreachedNodes says that no probe of the load balancer succeeds anywhere in a cluster
// whose pods are ready: what stands between them is most likely a firewall.
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
		Remedy: untrusted.Textf("let %s in to the node ports: fedsync firewall %s/%s prints the command",
			proberRanges, untrusted.Quote(example.Namespace), untrusted.Quote(example.Name)),
	}
	if m.elsewhere {
		f.Remedy = untrusted.Textf("let %s in to the node ports in its own firewall; its nodes have to be reachable from the VPC without NAT, "+
			"and the Cloud Router has to advertise both ranges to it", proberRanges)
	}
	x.await(f, false)
}

// readyBehind says of one Service behind an Ingress of ours that its pods are ready;
// nothing where none is.
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

// unreachableService says that fedsync's load balancer cannot reach a Service, which
// it does by its node ports alone.
func (x *diagnosis) unreachableService(m *member, i *planned, ref federation.ObjectRef) {
	s, ok := m.liveService(ref)
	ours := m.services[ref]
	if !ok || s.Type != "ClusterIP" || ours != nil && ours.service.kind != "ClusterIP" {
		return // as it should be, or on its way
	}
	f := federation.Finding{
		ID: federation.FindingServiceType, Severity: federation.SeverityError,
		Cluster: m.name, App: i.app, Object: ref,
		Message: untrusted.Textf("is of type ClusterIP: fedsync's load balancer of %s reaches pods by node ports alone", i.Ref),
		Remedy:  untrusted.Const("set type: NodePort"),
	}
	if ours != nil {
		f.App, f.File = ours.app, ours.File
		f.Remedy = untrusted.Textf("%s in %s", f.Remedy, ours.File)
	}
	x.await(f, x.seasoned(m, m.observation(ref).Created))
}
