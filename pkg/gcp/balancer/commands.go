package balancer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// FirewallCommands returns the gcloud commands that admit Google's load balancers to the
// node ports of the federated Ingresses: one command for each network, or more if the
// tags do not fit in one rule. If only is set, the commands cover only that Ingress, and
// an existing rule continues to admit what it does now.
//
// The result does not depend on which controller makes the load balancers.
func FirewallCommands(in gcp.Input, seen gcp.Observed, only federation.ObjectRef) []string {
	b := newBuilder(in, seen)
	b.readClusters()
	b.readPlan()
	b.readMarks()
	openings := map[string]*opening{}
	for _, f := range b.fronts {
		if f.ingress == nil || only != (federation.ObjectRef{}) && f.ref != only {
			continue
		}
		f.idle = ""
		b.readRoutes(f)
		for _, port := range f.routes.ports {
			b.open(openings, f, port)
		}
	}
	var commands []string
	for _, network := range slices.Sorted(maps.Keys(openings)) {
		openings[network].unsure = openings[network].unsure || only != (federation.ObjectRef{})
		for _, r := range b.rules(network, openings[network]) {
			_, exists := seen.Resources[r.ID]
			commands = append(commands, b.firewallCommand(r, exists))
		}
	}
	return commands
}

// open adds the openings for a Service port in the networks of its clusters.
func (b *builder) open(openings map[string]*opening, f *front, port portRef) {
	p := &servicePort{key: port.key(), service: port.service, number: port.number}
	for _, name := range f.clusters {
		c := b.byName[name]
		number := b.nodePort(p, c)
		if number == 0 || c.leaving != "" {
			continue
		}
		for _, network := range b.networksOf(c) {
			o := openings[network]
			if o == nil {
				o = newOpening()
				openings[network] = o
			}
			o.ports[number] = true
			b.addTags(o, name, network)
		}
	}
}

// networksOf returns the networks of a cluster's machines.
func (b *builder) networksOf(c *clusterView) []string {
	var networks []string
	for _, n := range c.facts.Nodes {
		if machine, known := b.seen.Machines[n.ProviderID]; known && !machine.Missing && !slices.Contains(networks, machine.Network) {
			networks = append(networks, machine.Network)
		}
	}
	return networks
}

func joinPorts(ports []int32, prefix string) string {
	var text []string
	for _, port := range ports {
		text = append(text, prefix+strconv.Itoa(int(port)))
	}
	return strings.Join(text, ",")
}

// baseName returns the last element of a resource's path.
func baseName(path string) string { return path[strings.LastIndex(path, "/")+1:] }

// firewallCommand returns the gcloud command that creates or updates a rule.
func (b *builder) firewallCommand(r gcp.Resource, exists bool) string {
	rule := r.Spec.(gcp.Firewall)
	project := b.in.Federation.GCP.Project
	if rest, ok := strings.CutPrefix(rule.Network, "projects/"); ok {
		project, _, _ = strings.Cut(rest, "/")
	}
	verb, network := "create", " --network="+untrusted.Quote(baseName(rule.Network))
	if exists {
		verb, network = "update", ""
	}
	return fmt.Sprintf("gcloud compute firewall-rules %s %s --project=%s%s --source-ranges=%s --target-tags=%s --allow=%s",
		verb, r.ID.Name, untrusted.Quote(project), network,
		strings.Join(rule.Ranges, ","), untrusted.Quote(strings.Join(rule.Tags, ",")), joinPorts(rule.Ports, "tcp:"))
}
