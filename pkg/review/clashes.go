package review

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Clash is what two open pull requests cannot both have.
type Clash struct {
	With int64 // the number of the other pull request
	What string
}

// String returns a short description of the clash.
func (c Clash) String() string { return fmt.Sprintf("clashes with #%d: %s", c.With, c.What) }

// Clashes returns the clashes of each open pull request, by number. Each of two clashing pull
// requests can be merged alone, but the second one then fails.
func (s State) Clashes() map[int64][]Clash {
	all := map[int64][]Clash{}
	s.portClashes(all)
	s.amountClashes(all)
	for number, clashes := range all {
		slices.SortFunc(clashes, func(a, b Clash) int { return cmp.Or(cmp.Compare(a.With, b.With), cmp.Compare(a.What, b.What)) })
		all[number] = slices.Compact(clashes)
	}
	return all
}

// claim is what one pull request claims.
type claim struct {
	number int64
	head   string
	port   Port
	amount int64
}

func (s State) portClashes(all map[int64][]Clash) {
	claims := map[portKey][]claim{}
	for _, pr := range s.wanted() {
		for _, p := range s.Made[pr.Head].Claims.Ports {
			k := portKey{p.Port, p.Protocol}
			claims[k] = append(claims[k], claim{number: pr.Number, head: pr.Head, port: p})
		}
	}
	// Sorted, so that always the same ones are reported if there are too many.
	for _, k := range slices.SortedFunc(maps.Keys(claims), portKey.compare) {
		these := claims[k]
		if !slices.ContainsFunc(these, func(c claim) bool { return c.port.Service != these[0].port.Service }) {
			continue
		}
		for _, a := range these {
			addPortClashes(all, k, a, these)
		}
	}
}

// addPortClashes adds the clashes of one claim with others on the same port.
func addPortClashes(all map[int64][]Clash, k portKey, a claim, others []claim) {
	for _, b := range others {
		if len(all[a.number]) >= mostClashes {
			return
		}
		if a.head != b.head && a.port.Service != b.port.Service {
			all[a.number] = append(all[a.number], Clash{With: b.number, What: fmt.Sprintf("node port %d/%s is %s there", k.port, k.protocol, b.port.Service)})
		}
	}
}

// portKey is a port that only one Service can have.
type portKey struct {
	port     int32
	protocol string
}

func (k portKey) compare(other portKey) int {
	return cmp.Or(cmp.Compare(k.port, other.port), cmp.Compare(k.protocol, other.protocol))
}

// mostClashes is how many clashes of one pull request are reported.
const mostClashes = 20

func (s State) amountClashes(all map[int64][]Clash) {
	claims := map[Amount][]claim{}
	for _, pr := range s.wanted() {
		for a, n := range s.Made[pr.Head].Claims.Amounts {
			if n > 0 {
				claims[a] = append(claims[a], claim{number: pr.Number, head: pr.Head, amount: n})
			}
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(claims), Amount.compare) {
		free, limited := left(s.Facts, a)
		if !limited {
			continue
		}
		for _, x := range claims[a] {
			for _, y := range claims[a] {
				// The plan of a pull request that does not fit alone reports that itself.
				if x.head == y.head || x.amount > free || y.amount > free || x.amount+y.amount <= free || len(all[x.number]) >= mostClashes {
					continue
				}
				all[x.number] = append(all[x.number], Clash{With: y.number, What: fmt.Sprintf("%d and %d %s, of which %s has %d left in %s",
					x.amount, y.amount, a.Resource, a.Namespace, free, a.Cluster)})
			}
		}
	}
}

// told returns clashes on one line; empty for none.
func told(clashes []Clash) string {
	words := make([]string, len(clashes))
	for i, c := range clashes {
		words[i] = c.String()
	}
	return untrusted.Some(words, 2)
}
