package ports

import (
	"cmp"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// choose decides the ports that are not live in any cluster: each gets a number that is
// free in all its clusters.
func (p *planner) choose() {
	for i := range p.keys {
		k := &p.keys[i]
		if k.decided {
			continue
		}
		waits := p.targetsWhere(k, func(c *Cluster) bool { return !c.Known || !c.Fresh })
		if len(waits) > 0 {
			p.wait(k, waits, k.targets) // package diagnose reports it
			continue
		}
		number := p.freePort(k)
		if number == 0 {
			p.refuse(k, federation.FindingNodePortTaken, p.nothingFree(k), "free one, or widen the clusters' --service-node-port-range and nodePorts.range in "+federation.FileName)
			continue
		}
		basis := federation.PortChosen
		if p.band.overflows(number) {
			basis = federation.PortOverflow
		}
		p.decide(i, number, basis, p.chosenReason(basis, k.targets.count()))
	}
}

// warnOfOverflow reports the ports that were chosen above the band, in this plan or in an
// earlier one, while the band is full.
func (p *planner) warnOfOverflow() {
	for i := range p.keys {
		k := &p.keys[i]
		if k.basis == federation.PortOverflow || k.basis == federation.PortInherited && p.band.overflows(k.number) && p.wasChosen(k) {
			p.report(k, federation.SeverityWarning, federation.FindingNodePortTaken, p.overflow(k, k.number), "pin a nodePort in "+p.file(k)+", or free ports of the band")
		}
	}
}

// wasChosen reports whether an inherited number is the one that would be chosen if the
// port had none: every candidate before it is taken.
func (p *planner) wasChosen(k *portKey) bool {
	hash := portHash(p.Services[k.service].Ref, k.port, k.protocol)
	for number := range p.band.candidates(hash, p.reserved) {
		if !p.usedIn(number).meets(k.targets) {
			return p.band.position(hash, k.number) < p.band.position(hash, number)
		}
	}
	return p.band.contains(k.number)
}

// freePort returns the first candidate of a key that is free in all its clusters, or 0.
func (p *planner) freePort(k *portKey) int32 {
	hash := portHash(p.Services[k.service].Ref, k.port, k.protocol)
	for number := range p.band.candidates(hash, p.reserved) {
		if !p.usedIn(number).meets(k.targets) {
			return number
		}
	}
	// The number of a leaving Service is free as soon as the Service is gone. It comes
	// last, since a deletion may take some time.
	for number := range p.band.candidates(hash, p.reserved) {
		if p.leaves(number, k.targets) {
			return number
		}
	}
	return 0
}

// usedIn returns the clusters in which a number of the range is used.
func (p *planner) usedIn(number int32) set {
	words := setWords(len(p.Clusters))
	if p.used == nil {
		p.used = make(set, words*int(p.band.ports()))
		for c := range p.Clusters {
			if !p.Clusters[c].Known {
				continue
			}
			for i := range p.Clusters[c].Used {
				if port := p.Clusters[c].Used[i].Port; p.band.contains(port) {
					at := int(port-p.Range.First) * words
					p.used[at : at+words].add(c)
				}
			}
		}
	}
	at := int(number-p.Range.First) * words
	return p.used[at : at+words]
}

// leaves reports whether all holders of a number leave the clusters of a set.
func (p *planner) leaves(number int32, clusters set) bool {
	for c := range p.usedIn(number).all() {
		if !clusters.has(c) {
			continue
		}
		for _, used := range p.Clusters[c].holders(number) {
			if !p.Clusters[c].leaving(used.Holder()) {
				return false
			}
		}
	}
	return true
}

// holders returns the uses of a number.
func (c *Cluster) holders(number int32) []federation.NodePort {
	from, _ := slices.BinarySearchFunc(c.Used, number, func(u federation.NodePort, n int32) int { return cmp.Compare(u.Port, n) })
	to := from
	for to < len(c.Used) && c.Used[to].Port == number {
		to++
	}
	return c.Used[from:to]
}

func (c *Cluster) leaving(service federation.ObjectRef) bool {
	return c.Leaving != nil && c.Leaving(service)
}
