package replicas

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// claim is what one cluster should run of a workload, and what it can run.
type claim struct {
	cluster string
	named   bool // the preferences name the cluster
	prefs   ClusterPreferences
	current int64 // replicas that count as running there
	// limited reports that pods were unschedulable, and that capacity is the most that
	// the cluster can run.
	limited  bool
	capacity int64
}

// portion is the part of a division for one claim.
type portion struct {
	share    int64
	overflow int64 // additional pods that stay pending until there is room
	cut      bool  // the share would be larger with more capacity
	basis    federation.ShareBasis
}

// divide returns the portion of the total for each claim, in the order of the claims.
// order holds their indices in tie order.
//
// Each cluster has a lower and an upper bound. The part of the total that the lower
// bounds leave is divided by weight. What exceeds all upper bounds is not placed.
func divide(total int64, rebalance bool, claims []claim, order []int) []portion {
	d := newDivision(total, claims, order)
	d.bound(rebalance, true)
	d.fill()
	portions := make([]portion, len(claims))
	limited := false
	rest := d.total
	for i := range claims {
		portions[i] = portion{share: d.rooms[i].share, cut: d.cut(i), basis: d.basis(i)}
		rest -= portions[i].share
		limited = limited || claims[i].limited
	}
	if !limited {
		return portions
	}

	// The same division, as if every cluster had enough room.
	d.bound(rebalance, false)
	d.fill()
	for _, i := range order {
		p := &portions[i]
		if !p.cut {
			continue
		}
		p.overflow = max(0, d.rooms[i].share-p.share)
		if !rebalance {
			p.overflow = min(p.overflow, rest)
			rest -= p.overflow
		}
	}
	return portions
}

// tieOrder returns the indices of the claims by weight, the largest first, and then by
// a hash of cluster and workload. The order of equal weights thus differs between
// workloads, and is the same on every machine.
func tieOrder(key string, claims []claim) []int {
	ranks := make([]rank, len(claims))
	for i := range claims {
		ranks[i] = rank{weight: claims[i].prefs.Weight, hash: fnv1(fnv1(fnvOffset, claims[i].cluster), key), index: i}
	}
	slices.SortFunc(ranks, func(a, b rank) int {
		if a.weight != b.weight {
			return cmp.Compare(b.weight, a.weight)
		}
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return cmp.Compare(claims[a.index].cluster, claims[b.index].cluster)
	})
	order := make([]int, len(ranks))
	for i := range ranks {
		order[i] = ranks[i].index
	}
	return order
}

type rank struct {
	weight int64
	hash   uint32
	index  int
}

// fnvOffset is the initial value of the 32-bit FNV-1 hash.
const fnvOffset uint32 = 2166136261

// fnv1 continues a 32-bit FNV-1 hash with a text. The standard library's needs two
// allocations and a copy for each name.
func fnv1(hash uint32, text string) uint32 {
	for i := range len(text) {
		hash *= 16777619
		hash ^= uint32(text[i])
	}
	return hash
}

// division is the state of one call of divide.
type division struct {
	total  int64
	claims []claim
	order  []int
	rooms  []room // by claim
	active []int  // the claims that divide the rest, in tie order
	stays  bool   // running replicas stay where they are, within the bounds
	// covered reports that the running replicas already cover the total, so that shares
	// only shrink.
	covered bool
}

// room holds the bounds of a share, and the share itself.
type room struct {
	low, high int64
	wanted    int64 // low if the cluster had enough room
	min       int64 // the part of low that the preferences demand
	current   int64 // the running replicas, at most what is allowed
	share     int64
	remainder int64 // of the share's division by weight
	full      bool  // by weight the share would exceed high
	filled    bool  // the share is by weight; otherwise it is at one of its bounds
}

func newDivision(total int64, claims []claim, order []int) *division {
	return &division{
		total:  max(0, total),
		claims: claims,
		order:  order,
		rooms:  make([]room, len(claims)),
		active: make([]int, 0, len(claims)),
	}
}

// bound sets the lower and upper bound of each share, with or without the clusters'
// capacities.
func (d *division) bound(rebalance, capacities bool) {
	var running int64
	for i := range d.claims {
		c, r := &d.claims[i], &d.rooms[i]
		*r = room{high: c.prefs.Max}
		if !c.named {
			r.high = 0
		}
		// Pending pods never count as running, not even in the division without
		// capacities.
		r.current = max(0, min(c.current, c.ceiling(r.high)))
		if capacities {
			r.high = c.ceiling(r.high)
		}
		running = add(running, r.current)
	}
	d.stays = !rebalance
	d.covered = d.stays && running >= d.total

	rest := d.total
	for _, i := range d.order {
		c, r := &d.claims[i], &d.rooms[i]
		if c.named {
			r.wanted = min(c.prefs.Min, rest)
		}
		r.min = min(r.wanted, r.high)
		r.low = r.min
		rest -= r.low
	}
	switch {
	case !d.stays:
	case d.covered:
		for i := range d.rooms {
			r := &d.rooms[i]
			r.high = min(r.high, max(r.current, d.claims[i].prefs.Min))
		}
	default:
		for _, i := range d.order {
			r := &d.rooms[i]
			stays := min(max(0, r.current-r.low), rest)
			r.low += stays
			rest -= stays
		}
	}
}

// ceiling returns how many of the allowed replicas the cluster can run.
func (c *claim) ceiling(allowed int64) int64 {
	if !c.limited {
		return allowed
	}
	return min(allowed, max(0, c.capacity))
}

// fill sets the share of each claim: in proportion to weight, within the bounds. It
// divides the rest by weight and determines on which side the bounds are violated more
// in total. It fixes the violating shares on that side at their bounds and divides
// again. Each further division would violate these bounds even more, so a fixed share
// stays fixed. The arithmetic is exact: rounding is the last step.
func (d *division) fill() {
	left := d.total
	d.active = d.active[:0]
	for _, i := range d.order {
		r := &d.rooms[i]
		if d.claims[i].prefs.Weight > 0 {
			d.active = append(d.active, i)
			continue
		}
		r.share = r.low
		left -= r.share
	}
	for len(d.active) > 0 {
		low, high := d.violations(left)
		if !low && !high {
			break
		}
		left = d.settle(left, low, high)
	}
	d.round(left)
	if d.covered {
		d.keepWeightless()
	}
}

// violations divides what is left by weight, and reports on which side the bounds are
// violated more: on both if the violations are equal, on neither if there are none.
func (d *division) violations(left int64) (low, high bool) {
	var weights int64
	for _, i := range d.active {
		weights += d.claims[i].prefs.Weight
	}
	// Each sum is its whole part and a number of weights-ths.
	var below, above, parts int64
	for _, i := range d.active {
		r := &d.rooms[i]
		r.share, r.remainder = proportion(left, d.claims[i].prefs.Weight, weights)
		switch {
		case r.below():
			below += r.low - r.share
			parts += r.remainder
			low = true
		case r.above():
			above += r.share - r.high
			parts += r.remainder
			high = true
		}
	}
	if !low || !high {
		return low, high
	}
	whole, fraction := parts/weights, parts%weights
	more := below - above // the violation below is greater by more - parts/weights
	return more >= whole && (more > whole || fraction == 0), more <= whole
}

func (r *room) below() bool { return r.share < r.low }

func (r *room) above() bool {
	return r.share > r.high || r.share == r.high && r.remainder > 0
}

// settle fixes the shares that violate a bound on the given sides, and returns what is
// left for the other shares.
func (d *division) settle(left int64, low, high bool) int64 {
	still := d.active[:0]
	for _, i := range d.active {
		switch r := &d.rooms[i]; {
		case low && r.below():
			r.share = r.low
			left -= r.share
		case high && r.above():
			r.share, r.full = r.high, true
			left -= r.share
		default:
			still = append(still, i)
		}
	}
	d.active = still
	return left
}

// round adds the units that the whole parts leave to the shares with the largest
// remainders.
func (d *division) round(left int64) {
	for _, i := range d.active {
		d.rooms[i].filled = true
		left -= d.rooms[i].share
	}
	if len(d.active) == 0 || left == 0 {
		return
	}
	slices.SortStableFunc(d.active, func(a, b int) int {
		return cmp.Compare(d.rooms[b].remainder, d.rooms[a].remainder)
	})
	for _, i := range d.active[:left] {
		d.rooms[i].share++
	}
}

// keepWeightless retains replicas in clusters without weight as far as the shares of the
// other clusters do not cover the total: a workload that shrinks must not lose more than
// necessary.
func (d *division) keepWeightless() {
	left := d.total
	for i := range d.rooms {
		left -= d.rooms[i].share
	}
	for _, i := range d.order {
		r := &d.rooms[i]
		stays := min(max(0, r.high-r.share), left)
		r.share += stays
		left -= stays
	}
}

// cut reports whether only capacity prevents a share from being larger.
func (d *division) cut(i int) bool {
	c, r := &d.claims[i], &d.rooms[i]
	switch {
	case !c.limited || !c.named || r.share < max(0, c.capacity):
		return false
	case r.wanted > r.share:
		return true
	case !r.full:
		return false
	case d.covered:
		return max(r.current, c.prefs.Min) > r.share
	}
	return c.prefs.Max > r.share
}

func (d *division) basis(i int) federation.ShareBasis {
	c, r := &d.claims[i], &d.rooms[i]
	switch {
	case !c.named:
		return federation.ShareNone
	case d.cut(i):
		return federation.ShareByCapacity
	case r.full && r.share == c.prefs.Max:
		return federation.ShareByMax
	case d.stays && r.share > r.min && r.share == r.current:
		return federation.ShareByCurrent
	case r.filled:
		return federation.ShareByWeight
	case r.share > r.min:
		return federation.ShareByCurrent
	case r.min > 0:
		return federation.ShareByMin
	case r.full && d.covered:
		return federation.ShareByCurrent // none run there, and that stays, too
	}
	return federation.ShareByWeight
}

// proportion returns total*weight/weights as a whole part and a remainder. No argument
// is negative and weight is at most weights, so only the product may exceed 64 bits.
func proportion(total, weight, weights int64) (whole, remainder int64) {
	high, low := bits.Mul64(uint64(total), uint64(weight))
	q, r := bits.Div64(high, low, uint64(weights))
	return int64(q), int64(r)
}

// add returns the sum, or Unbounded if it would be larger.
func add(a, b int64) int64 {
	if a > Unbounded-b {
		return Unbounded
	}
	return a + b
}
