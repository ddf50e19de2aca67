package ports

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// numbered is a number, and in how many clusters a port has it.
type numbered struct {
	number   int32
	clusters int
}

// settleDifferences decides the ports that have different numbers in different clusters.
// All get the most frequent number that is free in the other clusters, so that traffic
// moves in as few clusters as possible.
func (p *planner) settleDifferences() {
	for i := range p.keys {
		if k := &p.keys[i]; !k.decided && k.differs {
			p.settleDifference(i)
		}
	}
}

func (p *planner) settleDifference(key int) {
	k := &p.keys[key]
	counts := p.preferred(key, p.liveNumbers(key))
	for _, n := range counts {
		p.reserved.add(int(n.number))
	}
	unknown := p.targetsWhere(k, func(c *Cluster) bool { return !c.Known })
	if len(unknown) > 0 {
		// Where the port is live, the Service may be written: without a number it keeps its own.
		p.wait(k, unknown, p.notLive(key))
		p.report(k, federation.SeverityWarning, federation.FindingAwaited,
			fmt.Sprintf("%s; the choice between them %s", p.differences(key), k.reason), "pin the nodePort in "+p.file(k))
		return
	}
	for _, n := range counts {
		if !p.band.contains(n.number) || p.claimed(k, n.number) || !p.freeInRest(key, n.number) {
			continue
		}
		message := fmt.Sprintf("traffic moves: %s; all clusters get %d", p.differences(key), n.number)
		p.report(k, federation.SeverityWarning, federation.FindingNodePorts, message,
			fmt.Sprintf("allow %d in the firewall of the clusters that change, or pin another nodePort in %s", n.number, p.file(k)))
		p.decide(key, n.number, federation.PortInherited, inheritedReason(n.clusters, k.targets.count())+" and free in the rest")
		return
	}
	p.refuse(k, federation.FindingNodePorts, p.differences(key)+"; none of them is free in all clusters", "pin a nodePort in "+p.file(k)+" that is free in all of them")
	k.withhold = p.notLive(key) // nothing moves, and live Services are maintained
}

// liveNumbers returns the live numbers of a port, the most frequent first, and of equally
// frequent ones the lowest first.
func (p *planner) liveNumbers(key int) []numbered {
	var counts []numbered
	numbers := make([]int32, 0, p.keys[key].liveIn)
	for c := range p.keys[key].targets.all() {
		if n := p.row(c)[key]; n != 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if i == 0 || numbers[i-1] != n {
			counts = append(counts, numbered{number: n})
		}
		counts[len(counts)-1].clusters++
	}
	slices.SortFunc(counts, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(b.clusters, a.clusters), cmp.Compare(a.number, b.number))
	})
	return counts
}

// preferred moves the number that was last decided to the front, if it is still live
// anywhere: a manual change since then is reverted, not adopted.
func (p *planner) preferred(key int, counts []numbered) []numbered {
	if p.Before == nil {
		return counts
	}
	k := &p.keys[key]
	before := p.Before(p.Services[k.service].Ref, k.protocol, k.port)
	i := slices.IndexFunc(counts, func(c numbered) bool { return c.number == before })
	if i <= 0 {
		return counts
	}
	return slices.Concat(counts[i:i+1], counts[:i], counts[i+1:])
}

// notLive returns the targets in which a port is not live.
func (p *planner) notLive(key int) set {
	return p.where(key, func(c int) bool { return p.row(c)[key] == 0 })
}

// claimed reports whether another port already has the number, in a cluster that is to
// run both.
func (p *planner) claimed(k *portKey, number int32) bool {
	for i := int(p.claims[number]) - 1; i >= 0; i = p.keys[i].next {
		if o := &p.keys[i]; o.number == number && k.rivals(o) {
			return true
		}
	}
	return false
}

// freeInRest reports whether a port can get a number in those of its clusters in which it
// has another number or none.
func (p *planner) freeInRest(key int, number int32) bool {
	k := &p.keys[key]
	for c := range p.usedIn(number).all() {
		row := p.row(c)
		if !k.targets.has(c) || row[key] == number {
			continue
		}
		for _, used := range p.Clusters[c].holders(number) {
			if owner, ours := p.owner(&used); ours && (owner == k.service || p.givesUp(owner, c, &used)) {
				continue
			}
			if !p.Clusters[c].leaving(used.Holder()) {
				return false
			}
		}
	}
	return true
}
