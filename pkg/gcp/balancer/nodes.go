package balancer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// notReadyGrace is how long a NotReady node keeps its endpoints.
const notReadyGrace = 5 * time.Minute

// LeavePace is the minimum time between two departures of endpoints whose Nodes still
// exist, for each cluster.
const LeavePace = time.Minute

// groupPlace is where all endpoints of a group are.
type groupPlace struct {
	kind                string // GroupOfMachines or GroupOfAddresses
	zone                string
	network, subnetwork string
}

// nodeEndpoint is a node as an endpoint, without a port.
type nodeEndpoint struct {
	zone, instance, address string
}

// clusterNodes are the nodes of a cluster as endpoints.
type clusterNodes struct {
	joins map[nodeEndpoint]groupPlace // nodes that may receive traffic
	stays map[nodeEndpoint]bool       // endpoints that are in a group and may stay
}

// readNodes decides which nodes of a cluster are endpoints. All load balancers use the
// same ones, so the cluster sets the pace at which they leave.
func (b *builder) readNodes(c *clusterView) {
	c.nodes = clusterNodes{joins: map[nodeEndpoint]groupPlace{}, stays: map[nodeEndpoint]bool{}}
	present, why := b.present(c)
	c.blind = cmp.Or(c.blind, why)
	if c.blind == "" && len(c.facts.Nodes) == 0 && len(present) > 0 {
		// A rebuilt cluster has no Nodes at first, while its machines continue to serve.
		c.blind = "it has endpoints but no Nodes"
		b.warnCluster(c, "has no Nodes, but has endpoints behind load balancers: they are left unchanged",
			"if it is gone for good, set state: Lost for it in "+federation.FileName)
	}
	if c.blind != "" {
		return
	}
	manyNotReady := mostNotReady(c.facts.Nodes)
	byMachine := map[nodeEndpoint]federation.Node{} // by zone and name, or by address
	var unknown, zoneless []string
	for _, n := range c.facts.Nodes {
		at, ok := b.locate(c, n, &unknown, &zoneless)
		byMachine[at.key] = n
		if ok && n.Ready && !n.Excluded {
			c.nodes.joins[at.endpoint] = at.place
		}
	}
	b.reportNodes(c, unknown, zoneless)
	gone := 0
	for e := range present {
		if _, exists := byMachine[machineOf(e)]; !exists {
			gone++
		}
	}
	// A cluster that was rebuilt, or restored from a backup, has few of its Nodes at
	// first.
	manyGone := gone > 2 && gone*2 > len(present)
	if manyGone {
		b.warnCluster(c, fmt.Sprintf("has no Nodes for %d of its %d endpoints: they are removed a few at a time", gone, len(present)),
			"if its nodes were replaced, wait; otherwise check that its nodes register (kubectl get nodes)")
	}
	b.pace(c, present, func(e nodeEndpoint) leaveReason {
		n, exists := byMachine[machineOf(e)]
		if !exists && manyGone {
			return leaveNotReady // the machine may still serve, and is probed
		}
		if exists && e.instance == "" && c.cluster.Zone != "" && c.cluster.Zone != e.zone {
			return leaveExcluded // it moves to a group of another zone
		}
		return b.judgeEndpoint(n, exists, e, manyNotReady)
	})
}

// machineOf returns the key by which an endpoint's node is found.
func machineOf(e nodeEndpoint) nodeEndpoint {
	if e.instance == "" {
		return nodeEndpoint{address: e.address}
	}
	return nodeEndpoint{zone: e.zone, instance: e.instance}
}

// present returns the endpoints in the groups of a cluster, or why they are not known.
func (b *builder) present(c *clusterView) (map[nodeEndpoint]bool, string) {
	present := map[nodeEndpoint]bool{}
	for _, r := range b.ours(gcp.KindGroup) {
		if r.Mark.Cluster != c.name {
			continue
		}
		group, ok := r.Spec.(gcp.Group)
		if !ok || group.Endpoints == nil && group.Size > 0 {
			return nil, "the endpoints of " + r.ID.String() + " have not been read"
		}
		for _, e := range group.Endpoints {
			present[nodeEndpoint{r.ID.Zone, e.Instance, e.Address}] = true
		}
	}
	return present, ""
}

func mostNotReady(nodes []federation.Node) bool {
	notReady := 0
	for _, n := range nodes {
		if !n.Ready {
			notReady++
		}
	}
	return notReady*2 > len(nodes)
}

// location is where a node is.
type location struct {
	key      nodeEndpoint // identifies the node's endpoints in a group; see machineOf
	endpoint nodeEndpoint
	place    groupPlace
}

// locate returns where a node is; false if it cannot be an endpoint. For a finding, it
// adds the node to unknown if its machine is not known, or to zoneless if its cluster
// has no zone.
func (b *builder) locate(c *clusterView, n federation.Node, unknown, zoneless *[]string) (location, bool) {
	project, zone, name, isMachine := splitProviderID(n.ProviderID)
	if !isMachine {
		at := location{
			key:      nodeEndpoint{address: n.Address},
			endpoint: nodeEndpoint{zone: c.cluster.Zone, address: n.Address},
			place:    groupPlace{kind: gcp.GroupOfAddresses, zone: c.cluster.Zone, network: b.network()},
		}
		switch {
		case c.cluster.Zone == "":
			*zoneless = append(*zoneless, n.Name)
			return at, false
		case n.Address == "":
			b.warnNode(c, n, "has no internal IPv4 address", "give it one: endpoint groups support only IPv4")
			return at, false
		}
		return at, true
	}
	at := location{key: nodeEndpoint{zone: zone, instance: name}}
	machine, known := b.seen.Machines[n.ProviderID]
	switch {
	case project != b.in.Federation.GCP.Project:
		b.warnNode(c, n, fmt.Sprintf("is a machine of project %s: endpoint groups of project %s cannot hold it", project, b.in.Federation.GCP.Project),
			"run the cluster in the project of the load balancer, or take it out of the app's clusterSelector")
		return at, false
	case !known:
		*unknown = append(*unknown, n.Name)
		return at, false
	case machine.Missing:
		return at, false
	case machine.Address == "":
		b.warnNode(c, n, "its machine has no internal IPv4 address", "give it one: endpoint groups support only IPv4")
		return at, false
	}
	at.endpoint = nodeEndpoint{zone, name, machine.Address}
	at.place = groupPlace{gcp.GroupOfMachines, zone, machine.Network, machine.Subnetwork}
	return at, true
}

// splitProviderID parses "gce://project/zone/name".
func splitProviderID(id string) (project, zone, name string, ok bool) {
	rest, ok := strings.CutPrefix(id, "gce://")
	if !ok {
		return "", "", "", false
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// network returns the full path of the configured network.
func (b *builder) network() string {
	gcp := b.in.Federation.GCP
	if strings.Contains(gcp.Network, "/") {
		return gcp.Network
	}
	return "projects/" + gcp.Project + "/global/networks/" + cmp.Or(gcp.Network, "default")
}

func (b *builder) reportNodes(c *clusterView, unknown, zoneless []string) {
	if len(unknown) > 0 && !b.blind() {
		b.warnCluster(c, fmt.Sprintf("the machines of nodes %s are not known: these nodes take no traffic until they are", listNames(unknown)),
			"check that the machines exist and that fedsync may read them (compute.instances.get); Autopilot nodes cannot be used")
	}
	if len(zoneless) > 0 {
		b.warnCluster(c, fmt.Sprintf("nodes %s are not machines of Compute Engine, and the cluster has no zone", listNames(zoneless)),
			"set zone: to a zone near the cluster in "+federation.FileName)
	}
}

// blind reports whether nothing of Compute Engine could be read: then findings about
// single machines are useless.
func (b *builder) blind() bool {
	return !slices.ContainsFunc(gcp.Kinds, func(k gcp.Kind) bool { return b.seen.Complete[k] })
}

func (b *builder) warnCluster(c *clusterView, message, remedy string) {
	b.report(federation.Finding{ID: federation.FindingNodes, Severity: federation.SeverityWarning, Cluster: c.name, Message: untrusted.New(message), Remedy: untrusted.New(remedy)})
}

func (b *builder) warnNode(c *clusterView, n federation.Node, message, remedy string) {
	b.report(federation.Finding{
		ID: federation.FindingNodes, Severity: federation.SeverityWarning, Cluster: c.name,
		Object: federation.ObjectRef{Kind: "Node", Name: n.Name}, Message: untrusted.New(message), Remedy: untrusted.New(remedy),
	})
}

// leaveReason is why and how soon an endpoint leaves its group: the greater, the sooner.
type leaveReason int

const (
	leaveNot      leaveReason = iota
	leaveNotReady             // at the pace
	leaveExcluded             // at the pace, before those that are NotReady
	leaveGone                 // at once
)

// judgeEndpoint decides whether an endpoint leaves its group, by its node.
func (b *builder) judgeEndpoint(n federation.Node, exists bool, e nodeEndpoint, manyNotReady bool) leaveReason {
	machine, known := b.seen.Machines[n.ProviderID]
	switch {
	case !exists || known && (machine.Missing || machine.Address != e.address):
		return leaveGone
	case n.Excluded:
		return leaveExcluded
	case !n.Ready && !manyNotReady && b.in.Now.Sub(n.Since) >= notReadyGrace:
		return leaveNotReady
	}
	return leaveNot
}

// pace decides which of the present endpoints stay. Endpoints whose nodes are gone leave
// at once. Of all others that should leave, at most a tenth of those present leaves in
// each LeavePace.
func (b *builder) pace(c *clusterView, present map[nodeEndpoint]bool, judge func(nodeEndpoint) leaveReason) {
	type leaver struct {
		endpoint nodeEndpoint
		why      leaveReason
	}
	var leavers []leaver
	for e := range present {
		switch why := judge(e); why {
		case leaveNot:
			c.nodes.stays[e] = true
		case leaveGone:
		case leaveNotReady, leaveExcluded:
			leavers = append(leavers, leaver{e, why})
		}
	}
	slices.SortFunc(leavers, func(x, y leaver) int {
		return cmp.Or(cmp.Compare(y.why, x.why), compareNodes(x.endpoint, y.endpoint))
	})
	may := max(1, len(present)/10)
	if last, ok := b.in.Left[c.name]; ok && b.in.Now.Sub(last) < LeavePace {
		may = 0
	}
	for _, l := range leavers[min(may, len(leavers)):] {
		c.nodes.stays[l.endpoint] = true
	}
}

func compareNodes(x, y nodeEndpoint) int {
	return cmp.Or(strings.Compare(x.zone, y.zone), strings.Compare(x.instance, y.instance), strings.Compare(x.address, y.address))
}
