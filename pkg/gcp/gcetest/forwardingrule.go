package gcetest

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

const rulesSegment = "forwardingRules"

func forwardingRules() *collection {
	c := collectionOf[compute.ForwardingRule]("globalForwardingRules", rulesSegment, "forwardingRule", "global")
	c.lock = "fingerprint"
	c.refs = []refField{{"target", []string{httpProxiesSegment, httpsProxiesSegment}}}
	c.immutable = []string{
		"IPAddress", "IPProtocol", "portRange", "loadBalancingScheme", "target", "description", "ipVersion", "name",
	}
	c.output = []string{"pscConnectionId", "pscConnectionStatus", "baseForwardingRule", "serviceName"}
	c.check = checkForwardingRule
	c.readable().writable("patch").labeled()
	c.methods[0].query = []string{"view"} // of get
	return c.mutation("setTarget", reflect.TypeFor[compute.TargetReference](), setTarget)
}

func checkForwardingRule(d *draft) *refusal {
	for field, value := range map[string]any{
		"loadBalancingScheme": schemeClassic, "IPProtocol": "TCP", "networkTier": "PREMIUM", "ipVersion": "IPV4",
	} {
		d.doc.setDefault(field, value)
	}
	rule := as[compute.ForwardingRule](d.doc)
	if !slices.Contains([]string{schemeClassic, schemeManaged}, rule.LoadBalancingScheme) {
		return badField("loadBalancingScheme", rule.LoadBalancingScheme, "The stand-in supports EXTERNAL and EXTERNAL_MANAGED.")
	}
	if rule.IPProtocol != "TCP" || rule.IpVersion != "IPV4" || rule.NetworkTier != "PREMIUM" {
		return badField("IPProtocol", rule.IPProtocol, "The stand-in supports TCP over IPv4 in the PREMIUM tier.")
	}
	if len(rule.Ports) > 0 || rule.AllPorts || rule.BackendService != "" {
		return badField("ports", rule.Ports, "A rule to a target proxy has a portRange and a target.")
	}
	target, ok := parseKey(rule.Target, d.key.project)
	if !ok {
		return refuse(400, reasonRequired, "Required field 'resource.target' not specified")
	}
	if refused := d.checkPortRange(rule, target); refused != nil {
		return refused
	}
	if refused := d.checkScheme(rule.LoadBalancingScheme, target); refused != nil {
		return refused
	}
	if d.old != nil {
		return nil
	}
	return d.checkIP(rule)
}

func (d *draft) checkPortRange(rule *compute.ForwardingRule, target key) *refusal {
	from, to, ok := parsePorts(rule.PortRange + "")
	if rule.PortRange == "" || !ok || from != to || from == 0 {
		return badField("portRange", rule.PortRange, "A rule to a target proxy has exactly one port.")
	}
	first, _, _ := strings.Cut(rule.PortRange, "-")
	allowed := []string{"80", "8080"}
	if target.collection == httpsProxiesSegment {
		allowed = []string{"443"}
	}
	if rule.LoadBalancingScheme == schemeClassic && !slices.Contains(allowed, first) {
		return badField("portRange", rule.PortRange, "The target needs one of the ports %s.", strings.Join(allowed, ", "))
	}
	d.doc["portRange"] = first + "-" + first
	return nil
}

func (d *draft) checkScheme(scheme string, target key) *refusal {
	proxy := d.server.resources[target]
	if proxy == nil {
		return nil // it was resolved before; at a patch the target may be changing
	}
	k, _ := parseKey(proxy.now.doc.text("urlMap"), d.key.project)
	urlMap := d.server.resources[k]
	if urlMap == nil {
		return nil
	}
	return d.server.sameScheme(urlMap.now.doc, scheme)
}

// sameScheme checks that all backend services of a URL map have the scheme.
func (s *Server) sameScheme(urlMap document, scheme string) *refusal {
	for _, k := range s.servicesOf(urlMap) {
		if service := typed[compute.BackendService](s, k); service != nil && service.LoadBalancingScheme != scheme {
			return badField("loadBalancingScheme", scheme,
				"It must be that of the backend service '%s', %s.", k.path(), service.LoadBalancingScheme)
		}
	}
	return nil
}

// servicesOf returns the backend services that a URL map refers to.
func (s *Server) servicesOf(urlMap document) []key {
	var out []key
	copied := urlMap.clone()
	for _, f := range s.collections[mapsSegment].refs {
		eachRef(map[string]any(copied), strings.Split(f.path, "."), "", func(_, ref string) string {
			if k, ok := parseKey(ref, ""); ok && !slices.Contains(out, k) {
				out = append(out, k)
			}
			return ref
		})
	}
	return out
}

// rulesTo returns the forwarding rules to a proxy.
func (s *Server) rulesTo(proxy key) []*compute.ForwardingRule {
	var out []*compute.ForwardingRule
	for _, r := range s.sorted(func(r *resource) bool { return r.key.collection == rulesSegment && r.now.doc != nil }) {
		if rule, ok := r.now.typed.(*compute.ForwardingRule); ok && rule.Target == proxy.url() {
			out = append(out, rule)
		}
	}
	return out
}

// checkIP sets the address: a reserved one by name or IP, the one of another rule of the
// project, or a free one.
func (d *draft) checkIP(rule *compute.ForwardingRule) *refusal {
	s := d.server
	asked := rule.IPAddress
	if asked == "" {
		d.doc["IPAddress"] = s.freeAddress()
		return nil
	}
	ip := asked
	if _, err := netip.ParseAddr(asked); err != nil {
		ref := asked
		if namePattern.MatchString(asked) {
			ref = "global/addresses/" + asked
		}
		k, refused := s.resolve(d.key, "IPAddress", ref, []string{"addresses"})
		if refused != nil {
			return refused
		}
		ip = s.resources[k].now.doc.text("address")
	} else if reserved := s.addressOf(d.key.project, ip); reserved != nil && !reserved.ready {
		return notReady(reserved.key)
	} else if reserved == nil && len(s.rulesWith(ip, d.key.project)) == 0 {
		return badField("IPAddress", asked, "Specified IP address is not reserved in the project.")
	}
	d.doc["IPAddress"] = ip
	for _, other := range s.rulesWith(ip, d.key.project) {
		doc := other.now.doc
		if doc == nil {
			doc = other.next.doc
		}
		if doc.text("portRange") == d.doc.text("portRange") {
			return badField("IPAddress", asked, "Specified IP address is in-use and would result in a conflict.")
		}
	}
	return nil
}

func setTarget(q *request) (any, *refusal) {
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	k, refused := q.server.resolve(q.key, "target", q.body.text("target"), q.collection.refs[0].collections)
	if refused != nil {
		return nil, refused
	}
	if old, _ := parseKey(r.now.doc.text("target"), q.key.project); old.collection != k.collection {
		return nil, badField("target", k.url(), "The target must be of the type that it was, %s.", old.collection)
	}
	return q.setField("setTarget", "target", k.url())
}
