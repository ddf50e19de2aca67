package ports

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Input is what the decision on node ports reads.
type Input struct {
	Range    federation.PortRange // 30000-32767 if zero
	Clusters []Cluster
	Services []Service // with unique references, in any order
	// Before returns the number that was last decided for a port; 0 for none.
	Before func(service federation.ObjectRef, protocol string, port int32) int32
}

// Cluster is what is known about one cluster's node ports.
type Cluster struct {
	Name  string
	Known bool // Used is complete: now, or when the cluster was last read
	Fresh bool // Used is current
	Lost  bool // declared lost: takes no part
	// Used is sorted by NodePort.Compare.
	Used []federation.NodePort
	// Leaving reports whether a Service in the cluster loses all its node ports by
	// this plan, most often because it is deleted. Nil means that none does.
	Leaving func(federation.ObjectRef) bool
}

// Service is one Service that has node ports, in all clusters.
type Service struct {
	App      string
	Ref      federation.ObjectRef
	File     string
	Variants []Variant
}

// Variant is the Service as some clusters are to run it. Most Services are
// the same everywhere and have one variant.
type Variant struct {
	Clusters []int // indices into Input.Clusters
	File     string
	Ports    []Port
}

// Port is one port of a Service in Git.
type Port struct {
	Name, Protocol string
	Port           int32
	NodePort       int32 // 0 if Git does not state it
	// HealthCheck marks a pinned healthCheckNodePort: its number is NodePort, and
	// it has no Port. The clusters choose those that are not pinned.
	HealthCheck bool
}

// Result is what was decided.
type Result struct {
	Decisions []federation.PortDecision // sorted by service, protocol and port
	Withheld  []Withheld                // sorted by cluster and service
	Findings  []federation.Finding      // sorted, with unique keys
}

// Withheld is a Service that must not be written to one cluster now.
type Withheld struct {
	Cluster, Service int // indices into the input
	federation.Withheld
}

// Of returns the decisions on one Service.
func (r Result) Of(service federation.ObjectRef) []federation.PortDecision {
	from, _ := slices.BinarySearchFunc(r.Decisions, service, func(d federation.PortDecision, ref federation.ObjectRef) int {
		return d.Service.Compare(ref)
	})
	to := from
	for to < len(r.Decisions) && r.Decisions[to].Service == service {
		to++
	}
	return r.Decisions[from:to]
}

// Decide decides the node port of every port of every Service, the same in all clusters,
// and where it cannot be written.
//
// The order of the steps is the order of precedence: ports that Git pins, ports that
// are live, ports that differ between clusters, ports that are chosen. The last step
// checks in every cluster who holds the numbers, since that depends on which of the
// managed Services give up theirs.
func Decide(in Input) Result {
	p := newPlanner(in)
	p.readLive()
	p.takePins()
	p.inherit()
	p.settleDuplicates()
	p.settleDifferences()
	p.choose()
	p.warnOfOverflow()
	p.checkClusters()
	return p.result()
}

// portKey is one port of one Service, which gets one number.
type portKey struct {
	service  int
	protocol string
	port     int32
	health   bool
	only     bool  // the Service has no other port of the protocol
	targets  set   // the clusters that are to have it, without the lost ones
	pin      int32 // in Git; 0 for none
	pinFile  string
	disagree bool // overlays pin different numbers

	liveIn  int   // how many of the targets have a node port for it
	liveAt  int32 // one of these node ports
	differs bool  // these node ports are not all equal

	decided  bool
	number   int32 // 0: none
	basis    federation.PortBasis
	reason   string
	waits    []string
	withhold set    // the clusters to which the Service must not be written because of this port; nil for none
	why      string // the reason of withhold
	clashes  []federation.PortClash
	moves    []federation.PortMove
	next     int // the next key with the same number; -1 for none
}

// portName identifies a Service.
type portName struct{ namespace, name string }

// portKeys is the range of the keys of one Service.
type portKeys struct{ from, to int }

// allPorts is the number of port numbers.
const allPorts = 1 << 16

type planner struct {
	Input
	band  band
	order []int // the Services, sorted by reference

	named     map[portName]int
	keys      []portKey  // by Service in order, port and protocol
	keysOf    []portKeys // by Service
	variantOf [][]int32  // by Service and cluster; nil for a Service with one variant

	live     []int32 // node ports by cluster and key; 0 for none
	claims   []int32 // by number: 1 + the first key that has it
	reserved set     // numbers that must not be chosen any more
	used     set     // by number of the range: the clusters in which it is used; nil until needed

	withheld []Withheld
	findings federation.Gathering
}

func newPlanner(in Input) *planner {
	if in.Range == (federation.PortRange{}) {
		in.Range = federation.PortRange{First: 30000, Last: 32767}
	}
	p := &planner{
		Input:     in,
		band:      newBand(in.Range),
		order:     make([]int, len(in.Services)),
		named:     make(map[portName]int, len(in.Services)),
		keysOf:    make([]portKeys, len(in.Services)),
		variantOf: make([][]int32, len(in.Services)),
		claims:    make([]int32, allPorts),
		reserved:  newSet(allPorts),
	}
	for s := range in.Services {
		p.order[s] = s
		ref := in.Services[s].Ref
		p.named[portName{ref.Namespace, ref.Name}] = s
	}
	slices.SortFunc(p.order, func(a, b int) int { return in.Services[a].Ref.Compare(in.Services[b].Ref) })
	for _, s := range p.order {
		p.addKeys(s)
	}
	return p
}

// addKeys collects the ports of a Service over its variants.
func (p *planner) addKeys(s int) {
	service := &p.Services[s]
	from := len(p.keys)
	known := map[Key]int{}
	if len(service.Variants) > 1 {
		p.variantOf[s] = make([]int32, len(p.Clusters))
	}
	for v := range service.Variants {
		variant := &service.Variants[v]
		if p.variantOf[s] != nil {
			for _, c := range variant.Clusters {
				p.variantOf[s][c] = int32(v)
			}
		}
		if !slices.ContainsFunc(variant.Clusters, func(c int) bool { return !p.Clusters[c].Lost }) {
			continue
		}
		for _, spec := range variant.Ports {
			if !spec.HealthCheck || spec.NodePort != 0 {
				p.addKey(s, known, variant, spec)
			}
		}
	}
	keys := p.keys[from:]
	slices.SortFunc(keys, func(a, b portKey) int {
		return cmp.Or(cmp.Compare(a.port, b.port), strings.Compare(a.protocol, b.protocol))
	})
	ofProtocol := map[string]int{}
	for i := range keys {
		if !keys[i].health {
			ofProtocol[keys[i].protocol]++
		}
	}
	for i := range keys {
		others := ofProtocol[keys[i].protocol]
		if !keys[i].health {
			others-- // do not count the port itself
		}
		keys[i].only = others == 0
	}
	p.keysOf[s] = portKeys{from, len(p.keys)}
}

// Key identifies a port of a Service.
type Key struct {
	Protocol    string
	Port        int32
	HealthCheck bool
}

// addKey collects a port; known are the keys of its Service.
func (p *planner) addKey(s int, known map[Key]int, variant *Variant, spec Port) {
	protocol := cmp.Or(spec.Protocol, "TCP")
	name := Key{protocol, spec.Port, spec.HealthCheck}
	at, again := known[name]
	if !again {
		at = len(p.keys)
		known[name] = at
		p.keys = append(p.keys, portKey{
			service: s, protocol: protocol, port: spec.Port, health: spec.HealthCheck,
			targets: newSet(len(p.Clusters)), next: -1,
		})
	}
	k := &p.keys[at]
	for _, c := range variant.Clusters {
		if !p.Clusters[c].Lost {
			k.targets.add(c)
		}
	}
	if spec.NodePort > 0 && spec.NodePort < allPorts {
		p.reserved.add(int(spec.NodePort)) // even if it is refused: Git requests it
	}
	file := cmp.Or(variant.File, p.Services[s].File)
	switch {
	case spec.NodePort == 0:
	case k.pin == 0:
		k.pin, k.pinFile = spec.NodePort, file
	default:
		k.disagree = k.disagree || k.pin != spec.NodePort
		k.pinFile = min(k.pinFile, file) // independent of the order of the variants
	}
}

// row returns the live node ports of the keys in one cluster.
func (p *planner) row(cluster int) []int32 {
	return p.live[cluster*len(p.keys) : (cluster+1)*len(p.keys)]
}

// readLive finds the live node ports of the Services in Git.
func (p *planner) readLive() {
	p.live = make([]int32, len(p.keys)*len(p.Clusters))
	for c := range p.Clusters {
		cluster := &p.Clusters[c]
		if !cluster.Known || cluster.Lost {
			continue
		}
		row := p.row(c)
		for i := range cluster.Used {
			if s, ours := p.owner(&cluster.Used[i]); ours {
				p.readPort(&cluster.Used[i], p.keysOf[s], row)
			}
		}
		for i := range row {
			if row[i] == 0 {
				continue
			}
			k := &p.keys[i]
			if !k.targets.has(c) {
				row[i] = 0
				continue
			}
			k.differs = k.differs || k.liveIn > 0 && k.liveAt != row[i]
			k.liveAt = row[i]
			k.liveIn++
		}
	}
}

// owner returns the Service in Git that has a node port.
func (p *planner) owner(used *federation.NodePort) (int, bool) {
	s, ours := p.named[portName{used.Namespace, used.Service}]
	return s, ours
}

func (p *planner) readPort(used *federation.NodePort, keys portKeys, row []int32) {
	if used.HealthCheck || used.Port <= 0 || used.Port >= allPorts {
		return
	}
	for i := keys.from; i < keys.to; i++ {
		k := &p.keys[i]
		if k.health || k.protocol != used.Protocol {
			continue
		}
		if k.port == used.ServicePort || used.ServicePort == 0 && k.only && row[i] == 0 {
			row[i] = used.Port
		}
	}
}

// takePins decides the ports that Git pins.
func (p *planner) takePins() {
	for i := range p.keys {
		k := &p.keys[i]
		switch {
		case k.pin == 0:
		case k.disagree:
			p.refuse(k, federation.FindingNodePorts, p.disagreement(k), "pin one nodePort for all clusters, in the base")
		case !p.band.contains(k.pin) && !p.liveWith(i, k.pin):
			p.refuse(k, federation.FindingNodePortTaken, p.outside(k, k.pin), p.outsideRemedy(k))
		default:
			p.decide(i, k.pin, federation.PortPinned, "pinned in "+k.pinFile)
		}
	}
}

// liveWith reports whether the port has a number in any cluster.
func (p *planner) liveWith(key int, number int32) bool {
	if p.keys[key].liveIn == 0 {
		return false
	}
	for c := range p.keys[key].targets.all() {
		if p.row(c)[key] == number {
			return true
		}
	}
	return false
}

// inherit decides the ports that have the same number in all clusters that run them.
func (p *planner) inherit() {
	for i := range p.keys {
		k := &p.keys[i]
		if !k.decided && k.liveIn > 0 && !k.differs {
			p.decide(i, k.liveAt, federation.PortInherited, inheritedReason(k.liveIn, k.targets.count()))
			p.waitWhereUnknown(i)
		}
	}
}

// waitWhereUnknown withholds an inherited port from the clusters whose ports are not
// known: the Service may run there with another number.
func (p *planner) waitWhereUnknown(key int) {
	k := &p.keys[key]
	unknown := p.targetsWhere(k, func(c *Cluster) bool { return !c.Known })
	if len(unknown) == 0 || k.withhold != nil {
		return
	}
	k.withhold = p.where(key, func(c int) bool { return !p.Clusters[c].Known })
	k.waits, k.why = unknown, "the node port of "+k.String()+" "+waitingReason(unknown)
}

// decide sets the number of a key.
func (p *planner) decide(key int, number int32, basis federation.PortBasis, reason string) {
	k := &p.keys[key]
	k.decided, k.number, k.basis, k.reason = true, number, basis, reason
	k.next = int(p.claims[number]) - 1
	p.claims[number] = int32(key) + 1
	p.reserved.add(int(number))
	if p.band.contains(number) {
		return
	}
	// The number is live in some cluster, so that cluster has another range than Git states.
	k.withhold, k.why = p.where(key, func(c int) bool { return p.row(c)[key] != number }), p.outside(k, number)
	severity := federation.SeverityError
	if k.withhold.empty() {
		severity = federation.SeverityWarning // every cluster already has the number
	}
	p.report(k, severity, federation.FindingNodePortTaken, k.why, p.outsideRemedy(k))
}

// refuse leaves a key without a number, and its Service unchanged in every cluster.
func (p *planner) refuse(k *portKey, id, why, remedy string) {
	k.decided, k.number, k.basis, k.reason = true, 0, federation.PortRefused, why
	k.withhold, k.why = k.targets, why
	p.report(k, federation.SeverityError, id, why, remedy)
}

// wait leaves a key undecided until the ports of some clusters are known, and its
// Service unchanged in the clusters of withhold.
func (p *planner) wait(k *portKey, clusters []string, withhold set) {
	k.decided, k.basis = true, federation.PortWaiting
	k.waits, k.reason = clusters, waitingReason(clusters)
	k.withhold, k.why = withhold, "the node port of "+k.String()+" "+k.reason
}

// where returns the targets of a key for which a condition holds.
func (p *planner) where(key int, holds func(c int) bool) set {
	set := newSet(len(p.Clusters))
	for c := range p.keys[key].targets.all() {
		if holds(c) {
			set.add(c)
		}
	}
	return set
}

// targetsWhere returns the sorted names of the targets of a key for which a condition holds.
func (p *planner) targetsWhere(k *portKey, holds func(c *Cluster) bool) []string {
	var names []string
	for c := range k.targets.all() {
		if holds(&p.Clusters[c]) {
			names = append(names, p.Clusters[c].Name)
		}
	}
	slices.Sort(names)
	return names
}

// result returns what was decided.
func (p *planner) result() Result {
	r := Result{
		Decisions: make([]federation.PortDecision, 0, len(p.keys)),
		Withheld:  p.withheld,
		Findings:  merged(p.findings.Findings()),
	}
	for i := range p.keys {
		k := &p.keys[i]
		service := &p.Services[k.service]
		slices.SortFunc(k.clashes, func(a, b federation.PortClash) int {
			return cmp.Or(strings.Compare(a.Cluster, b.Cluster), a.Holder.Compare(b.Holder))
		})
		slices.SortFunc(k.moves, func(a, b federation.PortMove) int { return strings.Compare(a.Cluster, b.Cluster) })
		r.Decisions = append(r.Decisions, federation.PortDecision{
			App: service.App, Service: service.Ref, File: p.file(k),
			Protocol: k.protocol, Port: k.port, NodePort: k.number,
			Basis: k.basis, Reason: k.reason, Waits: k.waits,
			Clashes: k.clashes, Moves: k.moves,
		})
	}
	slices.SortStableFunc(r.Decisions, func(a, b federation.PortDecision) int {
		return cmp.Or(a.Service.Compare(b.Service), strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return r
}
