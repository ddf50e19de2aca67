package health

import (
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// describeGateway reads where a Gateway listens.
func describeGateway(o *federation.Observation, u *unstructured.Unstructured) {
	o.ClassName = live.Text(u, "spec", "gatewayClassName")
	for _, entry := range live.Objects(u, "status", "addresses") {
		value, _ := entry["value"].(string)
		if ip, err := netip.ParseAddr(value); err == nil {
			value = ip.String()
		}
		if value != "" {
			o.Addresses = append(o.Addresses, untrusted.Line(value))
		}
	}
	o.Addresses = live.SortUnique(o.Addresses)
	var secrets []string
	for _, listener := range live.Objects(u, "spec", "listeners") {
		l := &unstructured.Unstructured{Object: listener}
		if host := live.Text(l, "hostname"); host != "" {
			o.Hosts = append(o.Hosts, host)
		}
		o.Ports = append(o.Ports, federation.Port{Name: live.Text(l, "name"), Protocol: live.Text(l, "protocol"), Port: live.PortNumber(listener["port"])})
		for _, ref := range live.Objects(l, "tls", "certificateRefs") {
			if name, ok := ref["name"].(string); ok && name != "" {
				secrets = append(secrets, name)
			}
		}
	}
	o.Hosts, o.TLS = live.SortUnique(o.Hosts), live.SortUnique(secrets)
}

// describeRoute reads which requests a route of the Gateway API matches, and where it
// sends them.
func describeRoute(o *federation.Observation, u *unstructured.Unstructured) {
	hosts, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "hostnames")
	o.Hosts = live.SortUnique(hosts)
	for _, rule := range live.Objects(u, "spec", "rules") {
		r := &unstructured.Unstructured{Object: rule}
		path := ""
		for _, match := range live.Objects(r, "matches") {
			if path == "" {
				path = live.Text(&unstructured.Unstructured{Object: match}, "path", "value")
			}
		}
		for _, backend := range live.Objects(r, "backendRefs") {
			b := &unstructured.Unstructured{Object: backend}
			if kind := live.Text(b, "kind"); kind != "" && kind != "Service" || len(o.Rules) == maxRules {
				continue
			}
			o.Rules = append(o.Rules, federation.Rule{Path: path, Service: live.Text(b, "name"), Port: fmt.Sprint(live.Number(b, 0, "port"))})
		}
	}
}

// judgeGateway returns whether a Gateway listens as its spec states.
func judgeGateway(u *unstructured.Unstructured) (federation.Health, untrusted.Text) {
	conditions := live.Objects(u, "status", "conditions")
	if accepted := conditionOf(conditions, "Accepted", u.GetGeneration()); accepted.refuses() {
		return federation.Degraded, accepted.text()
	}
	switch programmed := conditionOf(conditions, "Programmed", u.GetGeneration()); {
	case programmed.status == "True":
		return federation.Healthy, untrusted.Text{}
	case programmed.refuses():
		return federation.Degraded, programmed.text()
	case programmed.outdated:
		return federation.Progressing, untrusted.Const("its controller has not observed its last change yet")
	case programmed.status == "":
		return federation.Progressing, untrusted.Const("no controller has accepted it")
	default:
		return federation.Progressing, programmed.text()
	}
}

// maxParents is how many parents of a route, and how many answers, are read. The API
// allows 32 of each.
const maxParents = 64

// judgeRoute returns whether every parent that a route names has accepted it. Several
// controllers may write the status, also for parents that the route has left.
func judgeRoute(u *unstructured.Unstructured) (federation.Health, untrusted.Text) {
	health, message := federation.Healthy, untrusted.Text{}
	parents := live.Objects(u, "spec", "parentRefs")
	for _, wanted := range parents[:min(len(parents), maxParents)] {
		switch one, why := judgeParent(u, wanted); {
		case one == federation.Degraded:
			return one, why
		case one != federation.Healthy && health == federation.Healthy:
			health, message = one, why
		}
	}
	return health, message
}

// judgeParent returns the health of a route at one of its parents. If several controllers
// answer for the parent, it is enough that one accepts the route.
func judgeParent(u *unstructured.Unstructured, wanted map[string]any) (federation.Health, untrusted.Text) {
	at := parentOf(wanted, u.GetNamespace())
	health, message := federation.Progressing, untrusted.Textf("no controller has accepted it for %s", at)
	answers := live.Objects(u, "status", "parents")
	for _, parent := range answers[:min(len(answers), maxParents)] {
		ref, _ := parent["parentRef"].(map[string]any)
		if parentOf(ref, u.GetNamespace()) != at {
			continue
		}
		conditions := live.Objects(&unstructured.Unstructured{Object: parent}, "conditions")
		taken := true
		for _, name := range []string{"Accepted", "ResolvedRefs"} {
			switch c := conditionOf(conditions, name, u.GetGeneration()); {
			case c.status == "True":
				continue
			case c.refuses():
				health, message = federation.Degraded, untrusted.Textf("%s: %s", at, c.text())
			case health != federation.Degraded && c.outdated:
				message = untrusted.Textf("the controller of %s has not observed its last change yet", at)
			}
			taken = false
		}
		if taken {
			return federation.Healthy, untrusted.Text{}
		}
	}
	return health, message
}

// parent is what a route is attached to.
type parent struct{ group, kind, namespace, name, section, port string }

// parentOf reads a reference to a parent, with the defaults of the API.
func parentOf(ref map[string]any, namespace string) parent {
	r := &unstructured.Unstructured{Object: ref}
	p := parent{group: federation.GatewayGroup, kind: "Gateway", namespace: namespace, name: live.Text(r, "name"), section: live.Text(r, "sectionName")}
	for field, value := range map[string]*string{"group": &p.group, "kind": &p.kind, "namespace": &p.namespace} {
		if s, ok := ref[field].(string); ok {
			*value = s
		}
	}
	if port := live.Number(r, 0, "port"); port != 0 {
		p.port = fmt.Sprint(port)
	}
	return p
}

// String returns "Gateway/infra/web", with the listener and the port if there are any.
func (p parent) String() string {
	words := []string{p.kind + "/" + p.namespace + "/" + p.name}
	if p.section != "" {
		words = append(words, "listener "+p.section)
	}
	if p.port != "" {
		words = append(words, "port "+p.port)
	}
	return strings.Join(words, ", ")
}

// condition is what a controller reports about one aspect of an object.
type condition struct {
	status, reason, message string
	outdated                bool // it is about an earlier generation; status is empty then
}

// conditionOf returns a condition by its type; empty if there is none.
func conditionOf(conditions []map[string]any, kind string, generation int64) condition {
	for _, one := range conditions {
		c := &unstructured.Unstructured{Object: one}
		if live.Text(c, "type") != kind {
			continue
		}
		if live.Number(c, 0, "observedGeneration") < generation {
			return condition{outdated: true}
		}
		return condition{status: live.Text(c, "status"), reason: live.Text(c, "reason"), message: live.Text(c, "message")}
	}
	return condition{}
}

// refuses reports whether a controller has refused an object, rather than not decided yet.
func (c condition) refuses() bool { return c.status == "False" && c.reason != "Pending" }

func (c condition) text() untrusted.Text {
	if c.message == "" {
		return untrusted.Excerpt(c.reason)
	}
	return untrusted.Excerpt(c.reason + ": " + c.message)
}
