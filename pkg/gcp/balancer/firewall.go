package balancer

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// ProbeRanges are where the health checks and the traffic of a global load balancer
// come from.
var ProbeRanges = []string{"130.211.0.0/22", "35.191.0.0/16"}

// maxTags is how many tags one rule takes.
const maxTags = 70

// gkeTag is the tag that GKE gives to the nodes of a cluster.
var gkeTag = regexp.MustCompile(`^gke-.*-node$`)

// opening is what has to be let in to one network.
type opening struct {
	ports    map[int32]bool
	tags     map[string]bool
	clusters map[string]bool // whose tags have been added
	// unsure says that something may be missing here: what is let in already stays.
	unsure bool
}

func newOpening() *opening {
	return &opening{ports: map[int32]bool{}, tags: map[string]bool{}, clusters: map[string]bool{}}
}

// wantFirewall wants the firewall rules, or says which are missing.
func (b *builder) wantFirewall() {
	policy := b.in.Federation.GCP.Firewall
	openings := b.openings()
	if policy == federation.FirewallReport || policy == federation.FirewallOff {
		for _, r := range b.ours(gcp.KindFirewall) {
			b.hold(r.ID, "spec.gcp.firewall is "+string(policy))
		}
	}
	if policy == federation.FirewallReport && b.seen.At.IsZero() {
		// The first look is to find the rule that a person made.
		network := b.network()
		b.referTo(gcp.Resource{ID: gcp.ID{Kind: gcp.KindFirewall, Name: gcp.FirewallName(b.owner, network, 0)}, Spec: gcp.Firewall{Network: network}}, "spec.gcp.firewall is Report")
	}
	for _, network := range slices.Sorted(maps.Keys(openings)) {
		o := openings[network]
		rules := b.rules(network, o)
		switch policy {
		case federation.FirewallReport:
			b.reportFirewall(rules)
		case federation.FirewallOff:
		case federation.FirewallManaged:
			for _, r := range rules {
				b.want.Resources[r.ID] = r
			}
			if len(rules) == 0 {
				b.holdFirewalls(network, "the tags of its nodes are not known")
			}
		}
	}
	if !b.seen.Complete[gcp.KindGroup] {
		for _, r := range b.ours(gcp.KindFirewall) {
			if rule, ok := r.Spec.(gcp.Firewall); ok && openings[rule.Network] == nil {
				b.hold(r.ID, "the endpoint groups cannot be read")
			}
		}
	}
}

// openings gathers the node ports and tags of all groups that there are or should be.
// A cluster that leaves loses its tags when its groups are gone, and not before.
func (b *builder) openings() map[string]*opening {
	groups := map[gcp.ID]gcp.Resource{}
	maps.Copy(groups, b.seen.Resources)
	maps.Copy(groups, b.want.Resources)
	openings := map[string]*opening{}
	for id, r := range groups {
		group, ok := r.Spec.(gcp.Group)
		if !ok || id.Kind != gcp.KindGroup || group.Type != gcp.GroupOfMachines || !b.owner.Owns(r.Mark) {
			continue
		}
		o := openings[group.Network]
		if o == nil {
			o = newOpening()
			openings[group.Network] = o
		}
		if r.Mark.NodePort > 0 {
			o.ports[r.Mark.NodePort] = true
		}
		o.unsure = o.unsure || group.Endpoints == nil && group.Size > 0
		b.addTags(o, r.Mark.Cluster, group.Network)
	}
	return openings
}

// addTags adds the tags of a cluster's nodes in a network.
func (b *builder) addTags(o *opening, cluster, network string) {
	if o.clusters[cluster] {
		return
	}
	o.clusters[cluster] = true
	configured := b.in.Federation.GCP.Tags
	if len(configured) > 0 {
		for _, tag := range configured {
			o.tags[tag] = true
		}
		return
	}
	c := b.byName[cluster]
	if c == nil || c.blind != "" {
		o.unsure = true
		return
	}
	tags, why := b.clusterTags(c, network)
	for _, tag := range tags {
		o.tags[tag] = true
	}
	if why != "" {
		o.unsure = true
		b.report(federation.Finding{
			ID: federation.FindingFirewall, Severity: federation.SeverityError, Cluster: c.name,
			Message: untrusted.New(why), Remedy: untrusted.Const("give all nodes of the cluster one network tag, or name tags under spec.gcp.tags in " + federation.FileName),
		})
	}
}

// clusterTags returns the tags by which the nodes of a cluster are let in, or why
// there are none.
func (b *builder) clusterTags(c *clusterView, network string) (tags []string, why string) {
	var machines []gcp.Machine
	for _, n := range c.facts.Nodes {
		machine, known := b.seen.Machines[n.ProviderID]
		if known && !machine.Missing && machine.Network == network {
			machines = append(machines, machine)
		}
	}
	if len(machines) == 0 {
		return nil, "no machine of its nodes is known: nothing can be let in to them"
	}
	common := slices.Clone(machines[0].Tags)
	for _, m := range machines[1:] {
		common = slices.DeleteFunc(common, func(tag string) bool { return !slices.Contains(m.Tags, tag) })
	}
	common = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(common))), func(tag string) bool { return !gcp.ValidName.MatchString(tag) })
	if tag := chooseTag(common, machines); tag != "" {
		return []string{tag}, ""
	}
	if len(common) > 1 {
		return nil, fmt.Sprintf("its nodes have the tags %s in common, and none of them is the cluster's own by its name", listNames(common))
	}
	return nil, "its nodes have no network tag in common: " + lacking(machines)
}

// chooseTag chooses the tag that stands for the cluster: GKE's, else the longest one
// that all machines' names begin with, else the only one.
func chooseTag(common []string, machines []gcp.Machine) string {
	if i := slices.IndexFunc(common, gkeTag.MatchString); i >= 0 {
		return common[i]
	}
	longest := ""
	for _, tag := range common {
		begins := func(m gcp.Machine) bool { return !strings.HasPrefix(m.Name, tag) }
		if len(tag) > len(longest) && !slices.ContainsFunc(machines, begins) {
			longest = tag
		}
	}
	if longest == "" && len(common) == 1 {
		return common[0]
	}
	return longest
}

// lacking names the nodes without the tag that most of them have.
func lacking(machines []gcp.Machine) string {
	count := map[string]int{}
	for _, m := range machines {
		for _, tag := range m.Tags {
			count[tag]++
		}
	}
	best := ""
	for _, tag := range slices.Sorted(maps.Keys(count)) {
		if best == "" || count[tag] > count[best] {
			best = tag
		}
	}
	if best == "" {
		return "they have none at all"
	}
	var without []string
	for _, m := range machines {
		if !slices.Contains(m.Tags, best) {
			without = append(without, m.Name)
		}
	}
	return fmt.Sprintf("%s lack the tag %s", listNames(without), best)
}

// rules returns the firewall rules for a network, none where nothing is to be let in
// or the tags are not known: a rule without tags would open every machine.
func (b *builder) rules(network string, o *opening) []gcp.Resource {
	tags, ports := maps.Clone(o.tags), maps.Clone(o.ports)
	if o.unsure {
		for _, r := range b.ours(gcp.KindFirewall) {
			if rule, ok := r.Spec.(gcp.Firewall); ok && rule.Network == network {
				for _, tag := range rule.Tags {
					tags[tag] = true
				}
				for _, port := range rule.Ports {
					ports[port] = true
				}
			}
		}
	}
	if len(tags) == 0 || len(ports) == 0 {
		return nil
	}
	var rules []gcp.Resource
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(tags)), maxTags) {
		rules = append(rules, gcp.Resource{
			ID:   gcp.ID{Kind: gcp.KindFirewall, Name: gcp.FirewallName(b.owner, network, len(rules))},
			Mark: gcp.Mark{Federation: b.owner.Federation, Source: b.owner.Source},
			Spec: gcp.Firewall{Network: network, Ranges: slices.Clone(ProbeRanges), Ports: slices.Sorted(maps.Keys(ports)), Tags: chunk},
		})
	}
	return rules
}

// holdFirewalls leaves the rules of a network as they are.
func (b *builder) holdFirewalls(network, reason string) {
	for _, r := range b.ours(gcp.KindFirewall) {
		if rule, ok := r.Spec.(gcp.Firewall); ok && rule.Network == network {
			b.hold(r.ID, reason)
		}
	}
}

// reportFirewall says which rule is missing, with the command that makes it.
func (b *builder) reportFirewall(rules []gcp.Resource) {
	for _, r := range rules {
		want := r.Spec.(gcp.Firewall)
		b.referTo(gcp.Resource{ID: r.ID, Spec: want}, "spec.gcp.firewall is Report")
		seen, there := b.seen.Resources[r.ID]
		if is, ok := seen.Spec.(gcp.Firewall); ok && there && is.Admits(want) {
			continue
		}
		if !there && !b.seen.Complete[gcp.KindFirewall] {
			continue
		}
		b.report(federation.Finding{
			ID: federation.FindingFirewall, Severity: federation.SeverityError,
			Message: untrusted.Textf("firewall rule %s of network %s does not let the load balancer in to the nodes at ports %s", r.ID.Name, baseName(want.Network), joinPorts(want.Ports, "")),
			Remedy:  untrusted.New(b.firewallCommand(r, there)),
		})
	}
}
