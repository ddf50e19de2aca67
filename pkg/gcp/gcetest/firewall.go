package gcetest

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

func firewalls() *collection {
	c := collectionOf[compute.Firewall]("firewalls", "firewalls", "firewall", "global")
	c.refs = []refField{{"network", []string{"networks"}}}
	c.immutable = []string{"network", "direction"}
	c.check = checkFirewall
	return c.readable().writable("patch", "update").testable()
}

var protocolPattern = regexp.MustCompile(`^(tcp|udp|icmp|esp|ah|sctp|ipip|all|[0-9]{1,3})$`)

// Limits of one rule.
const (
	maxTags   = 70
	maxRanges = 5000
)

func checkFirewall(d *draft) *refusal {
	if d.doc.text("network") == "" {
		k, refused := d.server.resolve(d.key, "network", "global/networks/default", []string{"networks"})
		if refused != nil {
			return refused
		}
		d.doc["network"] = k.url()
	}
	d.doc.setDefault("direction", "INGRESS")
	d.doc.setDefault("priority", 1000)
	d.doc.setDefault("disabled", false)
	d.doc.setDefault("logConfig", map[string]any{"enable": false})
	f := as[compute.Firewall](d.doc)
	if refused := checkFirewallTargets(f); refused != nil {
		return refused
	}
	if f.Priority < 0 || f.Priority > 65535 {
		return badField("priority", f.Priority, "Must be between 0 and 65535.")
	}
	if (len(f.Allowed) == 0) == (len(f.Denied) == 0) {
		return badField("allowed", f.Allowed, "Exactly one of allowed and denied must be specified.")
	}
	for _, entry := range f.Allowed {
		if refused := checkPorts("allowed", entry.IPProtocol, entry.Ports); refused != nil {
			return refused
		}
	}
	for _, entry := range f.Denied {
		if refused := checkPorts("denied", entry.IPProtocol, entry.Ports); refused != nil {
			return refused
		}
	}
	if f.Direction == "INGRESS" && len(f.SourceRanges)+len(f.SourceTags)+len(f.SourceServiceAccounts) == 0 {
		d.doc["sourceRanges"] = []any{"0.0.0.0/0"}
	}
	return nil
}

func checkFirewallTargets(f *compute.Firewall) *refusal {
	switch f.Direction {
	case "INGRESS":
		if len(f.DestinationRanges) > 0 && len(f.SourceRanges) == 0 {
			return badField("destinationRanges", f.DestinationRanges, "An INGRESS rule has sources.")
		}
	case "EGRESS":
		if len(f.SourceRanges)+len(f.SourceTags) > 0 {
			return badField("sourceRanges", f.SourceRanges, "An EGRESS rule has destinations.")
		}
	default:
		return badField("direction", f.Direction, "Must be INGRESS or EGRESS.")
	}
	if len(f.TargetTags) > 0 && len(f.TargetServiceAccounts) > 0 {
		return badField("targetTags", f.TargetTags, "Tags and service accounts cannot be combined.")
	}
	if len(f.TargetTags) > maxTags {
		return badField("targetTags", len(f.TargetTags), "At most %d are allowed.", maxTags)
	}
	for _, tag := range slices.Concat(f.TargetTags, f.SourceTags) {
		if !namePattern.MatchString(tag) {
			return badField("targetTags", tag, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
		}
	}
	if len(f.SourceRanges) > maxRanges {
		return badField("sourceRanges", len(f.SourceRanges), "At most %d are allowed.", maxRanges)
	}
	for _, text := range slices.Concat(f.SourceRanges, f.DestinationRanges) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			if _, err = netip.ParseAddr(text); err != nil {
				return badField("sourceRanges", text, "Must be a valid IP address range.")
			}
			continue
		}
		if prefix != prefix.Masked() {
			return badField("sourceRanges", text, "Must be the network address of the range.")
		}
	}
	return nil
}

func checkPorts(field, protocol string, ports []string) *refusal {
	if !protocolPattern.MatchString(protocol) {
		return badField(field+".IPProtocol", protocol, "Unknown protocol.")
	}
	if len(ports) > 0 && !slices.Contains([]string{"tcp", "udp", "sctp", "6", "17", "132"}, protocol) {
		return badField(field+".ports", ports, "Ports may only be specified for tcp, udp and sctp.")
	}
	for _, text := range ports {
		if _, _, ok := parsePorts(text); !ok {
			return badField(field+".ports", text, "Must be a port or a range of ports, such as 80 or 8000-8080.")
		}
	}
	return nil
}

// parsePorts parses "80" or "8000-8080".
func parsePorts(text string) (from, to int, ok bool) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, errFrom := strconv.Atoi(first)
	to, errTo := strconv.Atoi(last)
	return from, to, errFrom == nil && errTo == nil && from >= 0 && to <= 65535 && from <= to && first[0] != '+'
}

// probers are the source ranges of health checks and of the global load balancer's
// traffic.
var probers = []netip.Prefix{netip.MustParsePrefix("130.211.0.0/22"), netip.MustParsePrefix("35.191.0.0/16")}

// admits reports whether the firewall of the machine's network admits all probers to a
// TCP port of the machine.
func (s *Server) admits(machine *compute.Instance, port int64) bool {
	if machine == nil || len(machine.NetworkInterfaces) == 0 {
		return false
	}
	rules := s.rulesFor(machine)
	for _, from := range probers {
		if !admitted(rules, from, port) {
			return false
		}
	}
	return true
}

// rulesFor returns the rules that apply to a machine, in the order of evaluation: by
// priority, and deny before allow.
func (s *Server) rulesFor(machine *compute.Instance) []*compute.Firewall {
	network := machine.NetworkInterfaces[0].Network
	var rules []*compute.Firewall
	for _, f := range s.firewallRules() {
		if f.Network == network && !f.Disabled && f.Direction == "INGRESS" && targets(f, machine) {
			rules = append(rules, f)
		}
	}
	return rules
}

// firewallRules returns all rules in order, cached until something changes.
func (s *Server) firewallRules() []*compute.Firewall {
	if s.ruleCache.generation == s.generation && s.ruleCache.rules != nil {
		return s.ruleCache.rules
	}
	rules := []*compute.Firewall{}
	for _, r := range s.resources {
		if f, ok := r.now.typed.(*compute.Firewall); ok && r.ready {
			rules = append(rules, f)
		}
	}
	slices.SortFunc(rules, func(a, b *compute.Firewall) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(len(b.Denied), len(a.Denied)), cmp.Compare(a.SelfLink, b.SelfLink))
	})
	s.ruleCache = ruleCache{s.generation, rules}
	return rules
}

type ruleCache struct {
	generation uint64
	rules      []*compute.Firewall
}

func targets(f *compute.Firewall, machine *compute.Instance) bool {
	if len(f.TargetTags) > 0 {
		return machine.Tags != nil && slices.ContainsFunc(f.TargetTags, func(tag string) bool {
			return slices.Contains(machine.Tags.Items, tag)
		})
	}
	if len(f.TargetServiceAccounts) > 0 {
		return slices.ContainsFunc(machine.ServiceAccounts, func(a *compute.ServiceAccount) bool {
			return slices.Contains(f.TargetServiceAccounts, a.Email)
		})
	}
	return true
}

// admitted reports whether a whole range may reach a port. A range that is only partly
// allowed, or partly denied, may not.
func admitted(rules []*compute.Firewall, from netip.Prefix, port int64) bool {
	for _, f := range rules {
		covers, overlaps := sources(f, from)
		if overlaps && slices.ContainsFunc(f.Denied, func(d *compute.FirewallDenied) bool { return hasPort(d.IPProtocol, d.Ports, port) }) {
			return false
		}
		if covers && slices.ContainsFunc(f.Allowed, func(a *compute.FirewallAllowed) bool { return hasPort(a.IPProtocol, a.Ports, port) }) {
			return true
		}
	}
	return false
}

func sources(f *compute.Firewall, from netip.Prefix) (covers, overlaps bool) {
	for _, text := range f.SourceRanges {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			continue // a single address
		}
		covers = covers || prefix.Bits() <= from.Bits() && prefix.Contains(from.Addr())
		overlaps = overlaps || prefix.Overlaps(from)
	}
	return covers, overlaps
}

func hasPort(protocol string, ports []string, port int64) bool {
	if protocol == "all" {
		return true
	}
	if protocol != "tcp" && protocol != "6" {
		return false
	}
	return len(ports) == 0 || slices.ContainsFunc(ports, func(text string) bool {
		from, to, ok := parsePorts(text)
		return ok && int64(from) <= port && port <= int64(to)
	})
}
