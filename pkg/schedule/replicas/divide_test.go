package replicas

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// rng gives random numbers and prints what a failure needs to be repeated.
func rng(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// divisionCase is a case of testdata/replicas.json.
type divisionCase struct {
	ID        string `json:"id"`
	Rebalance bool   `json:"rebalance"`
	Prefs     map[string]struct {
		Min    int64  `json:"min"`
		Max    *int64 `json:"max"`
		Weight int64  `json:"weight"`
	} `json:"prefs"`
	Replicas int64            `json:"replicas"`
	Clusters []string         `json:"clusters"`
	Current  map[string]int64 `json:"current"`
	Capacity map[string]int64 `json:"capacity"`
	Plan     map[string]int64 `json:"plan"`
	Overflow map[string]int64 `json:"overflow"`
}

func divisionCases(t *testing.T) []divisionCase {
	t.Helper()
	text, err := os.ReadFile("testdata/replicas.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []divisionCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	return cases
}

func (c divisionCase) preferences() Preferences {
	prefs := Preferences{Rebalance: c.Rebalance, Clusters: map[string]ClusterPreferences{}}
	for name, p := range c.Prefs {
		own := ClusterPreferences{Min: p.Min, Max: Unbounded, Weight: p.Weight}
		if p.Max != nil {
			own.Max = *p.Max
		}
		prefs.Clusters[name] = own
	}
	return prefs
}

func TestDivisionsAreAsTheCasesExpect(t *testing.T) {
	for _, c := range divisionCases(t) {
		t.Run(c.ID, func(t *testing.T) {
			prefs := c.preferences()
			claims := make([]claim, len(c.Clusters))
			for i, name := range c.Clusters {
				own, named := prefs.of(name)
				capacity, limited := c.Capacity[name]
				claims[i] = claim{cluster: name, named: named, prefs: own, current: c.Current[name], limited: limited, capacity: capacity}
			}
			for i, p := range divide(c.Replicas, c.Rebalance, claims, tieOrder("", claims)) {
				name := claims[i].cluster
				if p.share != c.Plan[name] || p.overflow != c.Overflow[name] {
					t.Errorf("%s gets %d and %d on top, want %d and %d", name, p.share, p.overflow, c.Plan[name], c.Overflow[name])
				}
			}
		})
	}
}

// What the cases give is what is written: as a whole decision, over clusters that
// run what is current, lack the object, or have pods pending beyond their capacity.
func TestTheCasesAreWrittenAsTheyAreDivided(t *testing.T) {
	for _, c := range divisionCases(t) {
		t.Run(c.ID, func(t *testing.T) {
			w := Workload{Total: c.Replicas, Preferences: c.preferences()}
			for _, name := range c.Clusters {
				p := Cluster{Name: name}
				p.Current, p.Exists = c.Current[name]
				p.Capacity, p.Limited = c.Capacity[name]
				p.Live, p.Ready = p.Current, p.Current
				if p.Limited {
					p.Exists, p.Live = true, p.Capacity+1
				}
				w.Clusters = append(w.Clusters, p)
			}
			for _, s := range Decide(w).Shares {
				if want := c.Plan[s.Cluster] + c.Overflow[s.Cluster]; s.Replicas != want {
					t.Errorf("%s is written %d, want %d: %+v", s.Cluster, s.Replicas, want, s)
				}
			}
		})
	}
}

func TestTieOrderIsOfTheHeaviestThenByHash(t *testing.T) {
	if got := fnv1(fnvOffset, "A"); got != 84696414 {
		t.Errorf("hash of A = %d, want 84696414", got)
	}
	claims := []claim{{cluster: "A"}, {cluster: "B"}, {cluster: "C", prefs: ClusterPreferences{Weight: 2}}}
	if got, want := tieOrder("", claims), []int{2, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("tieOrder = %v, want %v", got, want)
	}
}

func TestWhoComesFirstDiffersFromWorkloadToWorkload(t *testing.T) {
	claims := []claim{{cluster: "A"}, {cluster: "B"}, {cluster: "C"}}
	first := map[int]int{}
	for i := range 100 {
		first[tieOrder("default/"+strings.Repeat("w", i), claims)[0]]++
	}
	if len(first) != len(claims) {
		t.Errorf("over 100 workloads %v come first, want each of 3", first)
	}
}

func TestWhatDoesNotFitEvenlyIsSpread(t *testing.T) {
	claims := make([]claim, 13)
	for i := range claims {
		claims[i] = claim{cluster: fmt.Sprintf("c%d", i), named: true, prefs: ClusterPreferences{Max: Unbounded, Weight: 1}, current: 2}
	}
	twos := 0
	for i, p := range divide(14, false, claims, tieOrder("default/web", claims)) {
		if p.share < 1 || p.share > 2 {
			t.Errorf("%s gets %d of 14 over 13, want 1 or 2", claims[i].cluster, p.share)
		}
		twos += int(p.share - 1)
	}
	if twos != 1 {
		t.Errorf("%d clusters get a second one, want 1", twos)
	}
}

// contest is a random division.
type contest struct {
	total     int64
	rebalance bool
	claims    []claim
}

func randomContest(r *rand.Rand) contest {
	c := contest{total: r.Int64N(60), rebalance: r.IntN(2) == 0}
	wide := r.IntN(4) == 0 // large numbers, for what might overflow
	if wide {
		c.total = r.Int64N(1 << 31)
	}
	for i := range r.IntN(9) {
		k := claim{cluster: fmt.Sprintf("c%d", i), named: r.IntN(8) > 0}
		if k.named {
			k.prefs = ClusterPreferences{Max: Unbounded, Weight: []int64{0, 1, 1, 1, 2, 3, 10000, maxWeight}[r.IntN(8)]}
			if r.IntN(3) == 0 {
				k.prefs.Min = r.Int64N(20)
			}
			if r.IntN(3) == 0 {
				k.prefs.Max = k.prefs.Min + r.Int64N(20)
			}
		}
		if r.IntN(2) == 0 {
			k.current = r.Int64N(30)
		}
		if r.IntN(3) == 0 {
			k.limited, k.capacity = true, r.Int64N(20)-1
		}
		if wide && r.IntN(2) == 0 {
			k.current = r.Int64N(1 << 31)
		}
		c.claims = append(c.claims, k)
	}
	return c
}

func (c contest) divide() []portion {
	return divide(c.total, c.rebalance, c.claims, tieOrder("default/web", c.claims))
}

func sum(portions []portion) int64 {
	var n int64
	for _, p := range portions {
		n += p.share
	}
	return n
}

// most is what a claim may be given at all.
func (k claim) most() int64 {
	if !k.named || k.prefs.Weight == 0 && k.prefs.Min == 0 && k.current == 0 {
		return 0
	}
	return k.ceiling(k.prefs.Max)
}

func TestDivisionsKeepTheirPromises(t *testing.T) {
	r := rng(t)
	for range 50_000 {
		c := randomContest(r)
		portions := c.divide()
		placed := sum(portions)
		if placed > c.total {
			t.Fatalf("%+v: placed %d: %+v", c, placed, portions)
		}
		var overflow int64
		for i, p := range portions {
			k := c.claims[i]
			if p.share < 0 || p.overflow < 0 || p.share > k.most() {
				t.Fatalf("%+v: %s gets %+v, want at most %d", c, k.cluster, p, k.most())
			}
			if p.overflow > 0 && (!k.limited || p.share+p.overflow > k.prefs.Max) {
				t.Fatalf("%+v: %s overflows: %+v", c, k.cluster, p)
			}
			overflow += p.overflow
			// A shortfall means that nothing which may grow could have.
			if placed < c.total && k.prefs.Weight > 0 && p.share < k.most() {
				t.Fatalf("%+v: %d of %d placed, and %s has %+v", c, placed, c.total, k.cluster, p)
			}
		}
		if !c.rebalance && overflow > c.total-placed {
			t.Fatalf("%+v: %d overflow, %d not placed", c, overflow, c.total-placed)
		}
		// A min is missed only where the mins before it leave nothing.
		var mins int64
		for _, k := range c.claims {
			if k.named {
				mins += min(k.prefs.Min, k.ceiling(k.prefs.Max))
			}
		}
		for i, p := range portions {
			if k := c.claims[i]; mins <= c.total && p.share < min(k.prefs.Min, k.ceiling(k.prefs.Max)) {
				t.Fatalf("%+v: %s gets %+v, less than min", c, k.cluster, p)
			}
		}
	}
}

// The definition of filling by weight, apart from how it is done: no unit can
// move from one cluster to another and bring the two nearer to their weights.
func TestNoUnitIsBetterElsewhere(t *testing.T) {
	r := rng(t)
	for range 50_000 {
		c := randomContest(r)
		d := newDivision(c.total, c.claims, tieOrder("default/web", c.claims))
		d.bound(c.rebalance, true)
		d.fill()
		for i := range d.rooms {
			for j := range d.rooms {
				from, to := d.rooms[i], d.rooms[j]
				wi, wj := c.claims[i].prefs.Weight, c.claims[j].prefs.Weight
				if i == j || wi == 0 || wj == 0 || from.share <= from.low || to.share >= to.high {
					continue
				}
				if float64(from.share-1)/float64(wi) >= float64(to.share+1)/float64(wj) {
					t.Fatalf("%+v: %s has %d, %s %d", c, c.claims[i].cluster, from.share, c.claims[j].cluster, to.share)
				}
			}
		}
	}
}

func TestAnotherClusterNeverLowersTheSum(t *testing.T) {
	r := rng(t)
	for range 20_000 {
		c := randomContest(r)
		if len(c.claims) == 0 {
			continue
		}
		all := sum(c.divide())
		c.claims = c.claims[:len(c.claims)-1]
		if fewer := sum(c.divide()); fewer > all {
			t.Fatalf("%+v places %d, and one cluster more %d", c, fewer, all)
		}
	}
}

func TestEqualWeightsDifferByAtMostOne(t *testing.T) {
	r := rng(t)
	for range 20_000 {
		c := contest{total: r.Int64N(200), rebalance: true}
		for i := range 1 + r.IntN(20) {
			c.claims = append(c.claims, claim{
				cluster: fmt.Sprintf("c%d", i), named: true, current: r.Int64N(20),
				prefs: ClusterPreferences{Max: Unbounded, Weight: 7},
			})
		}
		portions := c.divide()
		shares := make([]int64, len(portions))
		for i, p := range portions {
			shares[i] = p.share
		}
		if slices.Max(shares)-slices.Min(shares) > 1 {
			t.Fatalf("%+v: %v", c, shares)
		}
	}
}

func TestTheOrderOfClustersDoesNotMatter(t *testing.T) {
	r := rng(t)
	for range 20_000 {
		c := randomContest(r)
		portions := map[string]portion{}
		for i, p := range c.divide() {
			portions[c.claims[i].cluster] = p
		}
		r.Shuffle(len(c.claims), func(i, j int) { c.claims[i], c.claims[j] = c.claims[j], c.claims[i] })
		for i, p := range c.divide() {
			if want := portions[c.claims[i].cluster]; p != want {
				t.Fatalf("%+v: %s gets %+v, and %+v in another order", c, c.claims[i].cluster, p, want)
			}
		}
	}
}

// A plan that has come true is the plan: otherwise it would never rest.
func TestWhatRunsByThePlanStays(t *testing.T) {
	r := rng(t)
	for range 20_000 {
		c := randomContest(r)
		portions := c.divide()
		for i := range c.claims {
			c.claims[i].current = portions[i].share
		}
		for i, p := range c.divide() {
			if p.share != portions[i].share {
				t.Fatalf("%+v: %s runs %d by plan, and is given %d", c, c.claims[i].cluster, portions[i].share, p.share)
			}
		}
	}
}
