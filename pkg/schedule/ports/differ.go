package ports

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// numbered is a number that a port has in so many clusters.
type numbered struct {
	number   int32
	clusters int
}

// settleDifferences decides the ports that have several numbers where they run:
// the one in most clusters that is free in the rest, so that the traffic of the
// fewest moves.
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
		// Where it runs it may be written: without a number it keeps its own.
		p.wait(k, unknown, p.notLive(key))
		p.report(k, federation.SeverityWarning, "awaited",
			fmt.Sprintf("%s; which of them all get %s", p.differences(key), k.reason), "pin the nodePort in "+p.file(k))
		return
	}
	for _, n := range counts {
		if !p.band.contains(n.number) || p.claimed(k, n.number) || !p.freeInRest(key, n.number) {
			continue
		}
		message := fmt.Sprintf("change of traffic: %s; %d is the one that all get", p.differences(key), n.number)
		p.report(k, federation.SeverityWarning, federation.FindingNodePorts, message,
			fmt.Sprintf("let %d through the firewall of the clusters that change, or pin another nodePort in %s", n.number, p.file(k)))
		p.decide(key, n.number, federation.PortInherited, inheritedReason(n.clusters, k.targets.count())+" and free in the rest")
		return
	}
	p.refuse(k, federation.FindingNodePorts, p.differences(key)+"; none of them is free in all clusters", "pin a nodePort in "+p.file(k)+" that is free in all of them")
	k.withhold = p.notLive(key) // nothing moves, and what runs is maintained
}

// liveNumbers gives the numbers of a port where it runs, the most frequent first,
// of equally frequent ones the lower.
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

// preferred puts the number that was decided last first, where the port has it
// still: what somebody changed by hand since is put back, not followed.
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

// notLive gives the targets where a port does not run.
func (p *planner) notLive(key int) set {
	return p.where(key, func(c int) bool { return p.row(c)[key] == 0 })
}

// claimed says whether another port was given the number already, in a cluster
// where both are to be.
func (p *planner) claimed(k *portKey, number int32) bool {
	for i := int(p.claims[number]) - 1; i >= 0; i = p.keys[i].next {
		if o := &p.keys[i]; o.number == number && k.rivals(o) {
			return true
		}
	}
	return false
}

// freeInRest says whether a port can have a number in those of its clusters where
// it has another one or none.
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
