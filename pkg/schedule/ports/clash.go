package ports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// rivals reports whether two ports cannot have the same number. An API server allocates a
// number to one Service only, but allows that Service to use it for several protocols.
func (k *portKey) rivals(o *portKey) bool {
	return k.targets.meets(o.targets) &&
		(k.service != o.service || k.protocol == o.protocol || k.health || o.health)
}

// settleDuplicates refuses a number to all ports in Git except the one that already has
// it. An API server detects such a duplicate only when the second Service is written.
func (p *planner) settleDuplicates() {
	for i := range p.keys {
		if k := &p.keys[i]; k.number != 0 && k.next >= 0 && int(p.claims[k.number])-1 == i {
			p.settleDuplicate(k.number)
		}
	}
}

func (p *planner) settleDuplicate(number int32) {
	all := p.claimants(number)
	for _, i := range all.keys {
		k := &p.keys[i]
		rivals, owners := all.rivals(i, all.at), all.rivals(i, all.running)
		switch {
		case len(rivals) == 0:
		case !all.has[i] && len(owners) > 0:
			p.refuse(k, federation.FindingNodePortTaken, k.describe(number)+" belongs to "+p.portsOf(owners)+", which already uses it", p.another(k))
		case !all.has[i]:
			p.refuse(k, federation.FindingNodePortTaken, k.describe(number)+" is also requested by "+p.portsOf(rivals), "give each of them another nodePort")
		case len(owners) > 0:
			// Both already use it, in different clusters: each keeps it where it runs.
			also := p.where(i, func(c int) bool {
				return !p.hasIn(i, c, number) && slices.ContainsFunc(all.running[c], func(o int) bool { return o != i && k.rivals(&p.keys[o]) })
			})
			k.withhold, k.why = also.plus(k.withhold), k.describe(number)+" is also used by "+p.portsOf(owners)
			p.report(k, federation.SeverityError, federation.FindingNodePortTaken, k.why, p.another(k))
		}
	}
}

// claimants are the ports in Git that claim the same number.
type claimants struct {
	*planner

	keys    []int
	has     map[int]bool // the keys that already use the number
	at      [][]int      // by cluster: the keys that target it
	running [][]int      // by cluster: the keys of at that already use the number in any cluster
}

func (p *planner) claimants(number int32) claimants {
	all := claimants{planner: p, has: map[int]bool{}, at: make([][]int, len(p.Clusters)), running: make([][]int, len(p.Clusters))}
	for i := int(p.claims[number]) - 1; i >= 0; i = p.keys[i].next {
		all.keys = append(all.keys, i)
	}
	slices.Sort(all.keys)
	for _, i := range all.keys {
		all.has[i] = p.has(i, number)
		for c := range p.keys[i].targets.all() {
			all.at[c] = append(all.at[c], i)
			if all.has[i] {
				all.running[c] = append(all.running[c], i)
			}
		}
	}
	return all
}

// rivals returns the claimants in by that cannot share the number with a key. It stops
// when it has more of them than a message names.
func (all claimants) rivals(key int, by [][]int) []int {
	var found []int
	k := &all.planner.keys[key]
	for c := range k.targets.all() {
		for _, o := range by[c] {
			if o == key || slices.Contains(found, o) || !k.rivals(&all.planner.keys[o]) {
				continue
			}
			if found = append(found, o); len(found) > limit.Names {
				slices.Sort(found)
				return found
			}
		}
	}
	slices.Sort(found)
	return found
}

// has reports whether the Service of a port uses a number in any cluster.
func (p *planner) has(key int, number int32) bool {
	for c := range p.keys[key].targets.all() {
		if p.hasIn(key, c, number) {
			return true
		}
	}
	return false
}

// hasIn reports whether the Service of a port uses a number in a cluster. If its ports
// were renumbered in Git, it may use the number for a port that no longer exists.
func (p *planner) hasIn(key, c int, number int32) bool {
	row, k := p.row(c), &p.keys[key]
	switch {
	case row[key] == number:
		return true
	case !p.Clusters[c].Known, !p.holds(k, c, number):
		return false
	}
	for o := p.keysOf[k.service].from; o < p.keysOf[k.service].to; o++ {
		if row[o] == number && k.rivals(&p.keys[o]) {
			return false // that port has it
		}
	}
	return true
}

// holds reports whether the Service of a port has a number in a cluster, for this port
// or for another port.
func (p *planner) holds(k *portKey, c int, number int32) bool {
	for _, used := range p.Clusters[c].holders(number) {
		if owner, ours := p.owner(&used); ours && owner == k.service && used.HealthCheck == k.health {
			return true
		}
	}
	return false
}

// portHold is why a Service is not written to the current cluster.
type portHold struct {
	on     bool
	reason string
	waits  []string
}

// hold withholds a Service. A refusal replaces a wait, since a wait ends by itself.
func (h *portHold) hold(reason string, waits []string) {
	if !h.on || len(h.waits) > 0 && len(waits) == 0 {
		*h = portHold{on: true, reason: reason, waits: waits}
	}
}

// checkClusters checks in every cluster who holds the numbers, and collects what must not
// be written to it.
func (p *planner) checkClusters() {
	var partly []int // the keys that are withheld somewhere
	places := 0
	for i := range p.keys {
		if p.keys[i].withhold != nil {
			partly = append(partly, i)
			places += p.keys[i].withhold.count()
		}
	}
	p.withheld = make([]Withheld, 0, min(places, len(p.Services)*len(p.Clusters)))
	held := make([]portHold, len(p.Services))
	clashed := make([]int32, len(p.keys)) // 1 + the last cluster where a key clashed
	for c := range p.Clusters {
		if p.Clusters[c].Lost {
			continue
		}
		clear(held)
		for _, i := range partly {
			if k := &p.keys[i]; k.withhold.has(c) {
				held[k.service].hold(k.why, k.waits)
			}
		}
		if p.Clusters[c].Known {
			for p.findClashes(c, held, clashed) {
			}
			p.findMoves(c)
		}
		p.withhold(c, held)
	}
}

// findClashes checks each number in a cluster that a port in Git is to get. It reports
// whether it must be called again: a Service that has just been withheld does not give up
// its port to the Service that was to get it.
func (p *planner) findClashes(c int, held []portHold, clashed []int32) (again bool) {
	cluster, row := &p.Clusters[c], p.row(c)
	var followed, stopped bool
	for i := range cluster.Used {
		used := &cluster.Used[i]
		if used.Port <= 0 || used.Port >= allPorts {
			continue
		}
		for key := int(p.claims[used.Port]) - 1; key >= 0; key = p.keys[key].next {
			k := &p.keys[key]
			if row[key] == used.Port || k.number != used.Port || clashed[key] == int32(c)+1 || !k.targets.has(c) {
				continue
			}
			owner, ours := p.owner(used)
			switch {
			case ours && owner == k.service && !p.keepsItself(key, c, used.Port):
			case ours && owner != k.service && !held[owner].on && p.givesUp(owner, c, used):
				followed = true
			case cluster.leaving(used.Holder()):
			default:
				clashed[key] = int32(c) + 1
				stopped = stopped || !held[k.service].on
				p.clash(k, c, used, &held[k.service])
			}
		}
	}
	return followed && stopped
}

// givesUp reports whether a Service in Git will replace a number that it has in a cluster
// with another one.
func (p *planner) givesUp(s, c int, used *federation.NodePort) bool {
	if used.HealthCheck {
		return false // it cannot be changed
	}
	row, placed := p.row(c), false
	for i := p.keysOf[s].from; i < p.keysOf[s].to; i++ {
		k := &p.keys[i]
		if !k.targets.has(c) {
			continue
		}
		keeps := k.number == used.Port || k.number == 0 && row[i] == used.Port
		if keeps || k.withhold != nil && k.withhold.has(c) {
			return false
		}
		placed = true
	}
	return placed
}

// keepsItself reports whether the Service of a port keeps a number in a cluster for
// another of its ports, because that one could not be decided.
func (p *planner) keepsItself(key, c int, number int32) bool {
	row, k := p.row(c), &p.keys[key]
	for o := p.keysOf[k.service].from; o < p.keysOf[k.service].to; o++ {
		if row[o] == number && p.keys[o].number == 0 && k.rivals(&p.keys[o]) {
			return true
		}
	}
	return false
}

func (p *planner) clash(k *portKey, c int, used *federation.NodePort, held *portHold) {
	holder := used.Holder()
	k.clashes = append(k.clashes, federation.PortClash{Cluster: p.Clusters[c].Name, Holder: holder})
	as := ""
	if used.HealthCheck {
		as = " as its healthCheckNodePort"
	}
	held.hold(fmt.Sprintf("nodePort %d held by %s%s", k.number, holder, as), nil)
	p.findings.Add(federation.Finding{
		ID: federation.FindingNodePortTaken, Severity: federation.SeverityError, Cluster: p.Clusters[c].Name,
		App: p.Services[k.service].App, Object: p.Services[k.service].Ref, File: p.file(k),
		Message: untrusted.Textf("%s is held by %s%s", k.describe(k.number), holder, as),
		Remedy:  untrusted.Textf("%s, or free %d in this cluster", p.another(k), k.number),
	})
}

// findMoves records which ports change their number in a cluster.
func (p *planner) findMoves(c int) {
	for i, from := range p.row(c) {
		if k := &p.keys[i]; from != 0 && k.number != 0 && from != k.number {
			k.moves = append(k.moves, federation.PortMove{Cluster: p.Clusters[c].Name, From: from})
		}
	}
}

// withhold lists the Services that are held in a cluster.
func (p *planner) withhold(c int, held []portHold) {
	for _, s := range p.order {
		if !held[s].on {
			continue
		}
		p.withheld = append(p.withheld, Withheld{Cluster: c, Service: s, Withheld: federation.Withheld{
			Object: p.Services[s].Ref, File: p.fileIn(s, c), Reason: held[s].reason, Waits: held[s].waits,
		}})
	}
}

// portsOf returns the names of ports and the files that they come from.
func (p *planner) portsOf(keys []int) string {
	names := make([]string, 0, len(keys))
	for at, i := range keys {
		if at == limit.Names {
			names = append(names, "others")
			break
		}
		k := &p.keys[i]
		names = append(names, fmt.Sprintf("%s, %s (%s)", p.Services[k.service].Ref, k, p.file(k)))
	}
	return strings.Join(names, " and ")
}
