package replicas

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// claim is what one cluster should have of a workload, and what it can bear.
type claim struct {
	cluster string
	named   bool // the preferences name the cluster
	prefs   ClusterPreferences
	current int64 // what runs well there
	// limited says that pods found no room, and that capacity is the most the
	// cluster can run.
	limited  bool
	capacity int64
}

// portion is what a division gives to one claim.
type portion struct {
	share    int64
	overflow int64 // pending pods on top, in the hope of room
	cut      bool  // with more capacity the share would be larger
	basis    federation.ShareBasis
}

// divide gives each claim its portion of the total, in the order of the claims.
// Order holds their indices in tie order.
//
// Each cluster has a lower and an upper bound, and what the lower bounds leave
// of the total is filled in by weight. What does not fit is given to nobody.
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

	// The same division, had every cluster room for all.
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

// tieOrder gives the indices of the claims by weight, the heaviest first, then by
// a hash of cluster and workload: who comes first differs from workload to
// workload, and never from machine to machine.
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

// fnvOffset is where the 32-bit FNV-1 hash starts.
const fnvOffset uint32 = 2166136261

// fnv1 goes on with a 32-bit FNV-1 hash. The standard library's needs two
// allocations and a copy for each name.
func fnv1(hash uint32, text string) uint32 {
	for i := range len(text) {
		hash *= 16777619
		hash ^= uint32(text[i])
	}
	return hash
}

// division is the work on one division.
type division struct {
	total  int64
	claims []claim
	order  []int
	rooms  []room // by claim
	active []int  // those that share what is left, in tie order
	stays  bool   // what runs stays where it is, as far as it may
	// covered says that what runs is enough already, and is only to shrink.
	covered bool
}

// room is what a share may be, and becomes.
type room struct {
	low, high int64
	wanted    int64 // low, had the cluster room for all
	min       int64 // the part of low that the preferences ask for
	current   int64 // what runs, as far as it may
	share     int64
	remainder int64 // of the share's division by weight
	full      bool  // by weight the share would exceed high
	filled    bool  // by weight; else the share stands at one of its bounds
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

// bound sets what each share must be and may be, with or without the clusters'
// capacities.
func (d *division) bound(rebalance, capacities bool) {
	var running int64
	for i := range d.claims {
		c, r := &d.claims[i], &d.rooms[i]
		*r = room{high: c.prefs.Max}
		if !c.named {
			r.high = 0
		}
		// Pending pods never count as running, not even where the question is
		// what would be without the limit.
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

// ceiling is the most that the cluster may run of what is allowed.
func (c *claim) ceiling(allowed int64) int64 {
	if !c.limited {
		return allowed
	}
	return min(allowed, max(0, c.capacity))
}

// fill gives each claim its share: in proportion to weight, as far as the bounds
// allow. It divides what is left by weight, finds on which side the bounds are
// violated more in total, settles the shares on that side at their bounds, and
// divides again; the level on that side can only get worse for those, so each is
// settled for good. Everything is exact: no rounding before the last step.
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

// violations divides what is left by weight, and says on which side the bounds
// are violated most: on both where it is equal, on none where they hold.
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

// settle fixes the shares that violate a bound on the given sides, and gives what
// is left for the others.
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

// round gives the units that the whole parts leave to the largest remainders.
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

// keepWeightless leaves running in clusters without weight what the others do not
// run: a workload that shrinks is not to lose more than it should.
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

// cut says whether capacity, and nothing else, kept a share from being larger.
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
		return federation.ShareByCurrent // that nothing runs there stays, too
	}
	return federation.ShareByWeight
}

// proportion gives total*weight/weights as a whole part and a remainder. None of
// them is negative and weight is at most weights, so that only the product may
// exceed 64 bits.
func proportion(total, weight, weights int64) (whole, remainder int64) {
	high, low := bits.Mul64(uint64(total), uint64(weight))
	q, r := bits.Div64(high, low, uint64(weights))
	return int64(q), int64(r)
}

// add is a sum that stops at the largest number.
func add(a, b int64) int64 {
	if a > Unbounded-b {
		return Unbounded
	}
	return a + b
}
