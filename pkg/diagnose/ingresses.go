package diagnose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// ingresses follows each Ingress to its controller and its Services.
func (x *diagnosis) ingresses() {
	sharing := x.sharing()
	for _, m := range x.seen() {
		typed := map[federation.ObjectRef]bool{} // Services whose type was checked
		for _, i := range m.ingresses {
			c := m.controller(i)
			x.wrongController(m, i, c, sharing[i.Ref])
			x.missingBackends(m, i)
			for _, b := range i.ingress.backends {
				ref := serviceRef(i.Ref.Namespace, b.service)
				if (!c.google && !c.ours) || typed[ref] {
					continue
				}
				typed[ref] = true
				if c.ours {
					x.unreachableService(m, i, ref)
				} else {
					x.serviceType(m, i, ref)
				}
			}
		}
	}
}

func serviceRef(namespace, name string) federation.ObjectRef {
	return federation.ObjectRef{Kind: "Service", Namespace: namespace, Name: name}
}

// sharing returns by Ingress the clusters in which GLBC, or fedsync's load balancer,
// serves it. An Ingress without a class does not count, even in a cluster with GLBC, nor
// does what GLBC left on an Ingress that another controller serves now.
func (x *diagnosis) sharing() map[federation.ObjectRef][]string {
	clusters := map[federation.ObjectRef][]string{}
	for _, m := range x.seen() {
		for _, i := range m.ingresses {
			c := m.controller(i)
			seen := m.urlMaps[i.Ref] != "" || isGoogles(i.ingress.annotation) || c.ours
			if seen && !c.other {
				clusters[i.Ref] = append(clusters[i.Ref], m.name)
			}
		}
	}
	return clusters
}

// wrongController reports that an Ingress cannot share the address of the other clusters.
// There is nothing to share without settings for Google Cloud if no other cluster uses
// Google's controller.
func (x *diagnosis) wrongController(m *member, i *planned, c controller, sharing []string) {
	gcp := x.Federation.GCP
	if !c.other || gcp == nil && len(sharing) == 0 {
		return
	}
	f := federation.Finding{
		ID: federation.FindingController, Severity: federation.SeverityWarning,
		Cluster: m.name, App: i.app, Object: i.Ref, File: i.File,
		Message: untrusted.Textf("cluster %s uses %s: cannot share the IP", m.name, untrusted.Line(c.class)),
		Remedy:  untrusted.Textf("set the annotation %s: %s in %s, or exclude the cluster with the app's clusterSelector", annotationClass, classGCE, i.File),
	}
	if m.balances {
		f.Remedy = untrusted.Textf("remove the class in %s, or exclude the cluster with the app's clusterSelector", i.File)
	}
	if len(sharing) > 0 {
		f.Message = untrusted.Textf("%s of %s", f.Message, strings.Join(sharing, ", "))
	}
	if c.byField {
		f.Message = untrusted.Textf("spec.ingressClassName: %s is not read by Google's controller in cluster %s: no controller serves it, and it cannot share the IP", c.class, m.name)
		f.Remedy = untrusted.Textf("in %s, replace spec.ingressClassName with the annotation %s: %s", i.File, annotationClass, c.class)
	}
	// Another class may be intended for a cluster that is not Google's, but not if all
	// clusters are to share one load balancer.
	if gcp != nil && gcp.LoadBalancer == federation.LoadBalancerSharedUID {
		f.Severity = federation.SeverityError
	}
	x.add(f)
}

// serviceType reports that GLBC cannot reach a Service. GLBC needs a node port, or network
// endpoint groups, which GKE requests itself in VPC-native clusters. So the live Service
// is checked, and only after the grace.
func (x *diagnosis) serviceType(m *member, i *planned, ref federation.ObjectRef) {
	s, ok := m.liveService(ref)
	if !ok || s.Type != "ClusterIP" || reachesPods(s.NEG) {
		return
	}
	ours := m.services[ref]
	if ours != nil && ours.service.kind != "ClusterIP" {
		return // Git has another type, which is about to be applied
	}
	f := federation.Finding{
		ID: federation.FindingServiceType, Severity: federation.SeverityError,
		Cluster: m.name, App: i.app, Object: ref,
		Message: untrusted.Textf("is of type ClusterIP without network endpoint groups: Google's load balancer of %s cannot reach it", i.Ref),
		Remedy:  untrusted.Textf(`set type: NodePort, or the annotation %s: '{"ingress":true}'`, annotationNEG),
	}
	if ours != nil {
		f.App, f.File = ours.app, ours.File
		f.Remedy = untrusted.Textf("%s in %s", f.Remedy, ours.File)
	}
	x.await(f, x.seasoned(m, m.observation(ref).Created))
}

// reachesPods reads cloud.google.com/neg.
func reachesPods(neg string) bool {
	var wish struct {
		Ingress bool `json:"ingress"`
	}
	return json.Unmarshal([]byte(neg), &wish) == nil && wish.Ingress
}

// missingBackends reports Services, or ports of them, that an Ingress names and that
// neither Git nor the cluster has.
func (x *diagnosis) missingBackends(m *member, i *planned) {
	var messages, remedies []string
	sure := false
	for _, b := range i.ingress.backends {
		fault := m.missing(i, b)
		if fault.message == "" {
			continue
		}
		messages, remedies = appendNew(messages, fault.message), appendNew(remedies, fault.remedy)
		sure = sure || fault.sure
	}
	if len(messages) == 0 {
		return
	}
	f := found{folds: true, Finding: federation.Finding{
		ID: federation.FindingBackend, Severity: federation.SeverityError,
		Cluster: m.name, App: i.app, Object: i.Ref, File: i.File,
		Message: untrusted.List("", messages, "; "), Remedy: untrusted.List("", remedies, "; "),
	}}
	if !sure {
		f.patience = patience{grace: x.Grace, seasoned: x.seasoned(m, m.observation(i.Ref).Created)}
	}
	x.found = append(x.found, f)
}

// missing is what is wrong with one backend.
type missing struct {
	message, remedy string
	sure            bool // the fault is in Git, and waiting does not resolve it
}

// missing checks one backend. It returns the zero missing if nothing is known to be wrong.
func (m *member) missing(i *planned, b backend) missing {
	ref := serviceRef(i.Ref.Namespace, b.service)
	ours, plans := m.services[ref]
	if plans && b.in(ours.service.ports) {
		return missing{} // the usual case
	}
	live, lives := m.liveService(ref)
	_, observed := m.live[i.Ref]
	switch {
	case b == backend{service: b.service}:
		return missing{} // no port: the API server refuses it
	case plans && (ours.service.kind == "ExternalName" || b.in(m.observation(ref).Ports) || b.in(live.Ports)):
		return missing{}
	case plans:
		return missing{
			message: fmt.Sprintf("%s has no port %s; it has %s", ref, b.port(), portList(ours.service.ports)),
			remedy:  fmt.Sprintf("name one of its ports in %s, or add the port in %s", i.File, ours.File),
			sure:    true,
		}
	case m.partial || !observed || !m.facts.ServicesKnown:
		return missing{} // it may exist, or its absence is explained
	case !lives:
		return missing{
			message: fmt.Sprintf("%s exists neither in the repository nor in the cluster", ref),
			remedy:  fmt.Sprintf("add the Service to the repository, or correct its name in %s", i.File),
		}
	case !b.in(live.Ports):
		return missing{
			message: fmt.Sprintf("%s, which is not in the repository, has no port %s; it has %s", ref, b.port(), portList(live.Ports)),
			remedy:  "name one of its ports in " + i.File,
		}
	}
	return missing{}
}

// in reports whether a Service with these ports has the one that the Ingress names.
func (b backend) in(ports []federation.Port) bool {
	return slices.ContainsFunc(ports, func(p federation.Port) bool {
		if b.name != "" {
			return p.Name == b.name
		}
		return p.Port == b.number
	})
}

func (b backend) port() string {
	if b.name != "" {
		return strconv.Quote(b.name)
	}
	return strconv.Itoa(int(b.number))
}

func portList(ports []federation.Port) string {
	if len(ports) == 0 {
		return "none"
	}
	list := make([]string, 0, len(ports))
	for _, p := range ports {
		text := strconv.Itoa(int(p.Port))
		if p.Name != "" {
			text += fmt.Sprintf(" (%q)", untrusted.Line(p.Name))
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}
