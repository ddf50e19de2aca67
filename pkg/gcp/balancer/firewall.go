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

// ProbeRanges are the source ranges of the health checks and the traffic of a global
// load balancer.
var ProbeRanges = []string{"130.211.0.0/22", "35.191.0.0/16"}

// maxTags is the API's limit on the tags of a rule.
const maxTags = 70

// gkeTag matches the tag that GKE sets on the nodes of a cluster.
var gkeTag = regexp.MustCompile(`^gke-.*-node$`)

// opening is the traffic that one network must admit.
type opening struct {
	ports    map[int32]bool
	tags     map[string]bool
	clusters map[string]bool // clusters whose tags have been added
	// unsure is set if something may be missing here: what is already admitted stays.
	unsure bool
}

func newOpening() *opening {
	return &opening{ports: map[int32]bool{}, tags: map[string]bool{}, clusters: map[string]bool{}}
}

// wantFirewall wants the firewall rules, or reports which are missing.
func (b *builder) wantFirewall() {
	policy := b.in.Federation.GCP.Firewall
	openings := b.openings()
	if policy == federation.FirewallReport || policy == federation.FirewallOff {
		for _, r := range b.ours(gcp.KindFirewall) {
			b.hold(r.ID, "spec.gcp.firewall is "+string(policy))
		}
	}
	if policy == federation.FirewallReport && b.seen.At.IsZero() {
		// The first read must find the rule that the user created.
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

// openings collects the node ports and tags of all observed and wanted groups. The tags
// of a cluster that leaves stay until its groups are gone.
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
			Message: untrusted.New(why), Remedy: untrusted.Const("give all nodes of the cluster one network tag, or list tags under spec.gcp.tags in " + federation.FileName),
		})
	}
}

// clusterTags returns the tags that select the nodes of a cluster, or why there are
// none.
func (b *builder) clusterTags(c *clusterView, network string) (tags []string, why string) {
	var machines []gcp.Machine
	for _, n := range c.facts.Nodes {
		machine, known := b.seen.Machines[n.ProviderID]
		if known && !machine.Missing && machine.Network == network {
			machines = append(machines, machine)
		}
	}
	if len(machines) == 0 {
		return nil, "the machines of its nodes are not known: no firewall rule can admit traffic to them"
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
		return nil, fmt.Sprintf("its nodes have the tags %s in common, and no tag's name identifies the cluster", listNames(common))
	}
	return nil, "its nodes have no network tag in common: " + lacking(machines)
}

// chooseTag returns the tag that identifies the cluster: GKE's, else the longest one
// that all machines' names begin with, else the only one.
func chooseTag(common []string, machines []gcp.Machine) string {
	if i := slices.IndexFunc(common, gkeTag.MatchString); i >= 0 {
		return common[i]
	}
	longest := ""
	for _, tag := range common {
		differs := func(m gcp.Machine) bool { return !strings.HasPrefix(m.Name, tag) }
		if len(tag) > len(longest) && !slices.ContainsFunc(machines, differs) {
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
		return "they have no tags"
	}
	var without []string
	for _, m := range machines {
		if !slices.Contains(m.Tags, best) {
			without = append(without, m.Name)
		}
	}
	return fmt.Sprintf("%s lack the tag %s", listNames(without), best)
}

// rules returns the firewall rules for a network. There are none if there is nothing to
// admit or no tags are known: a rule without tags would open every machine.
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

// holdFirewalls leaves the rules of a network unchanged.
func (b *builder) holdFirewalls(network, reason string) {
	for _, r := range b.ours(gcp.KindFirewall) {
		if rule, ok := r.Spec.(gcp.Firewall); ok && rule.Network == network {
			b.hold(r.ID, reason)
		}
	}
}

// reportFirewall reports the missing rules, each with the command that creates it.
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
