package growth

import (
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A dimension is one thing that a committer, or a cluster, decides the number of.
type dimension struct {
	name string
	n    int // the least number to measure at; four times as many are within all limits
	// work makes an input with n of it, and returns what is to be measured.
	work func(t testing.TB, n int) func()
}

// dimensions are all rows. A package has a file of its own for its rows.
var dimensions = slices.Concat(fileRows, federationRows, scheduleRows, diagnoseRows, statusRows)

// factor is by how much an input grows. What is quadratic grows by its square.
const factor = 4

// The most by which the cost may grow with an input that is factor times as large.
// In proportion would be 4, and with a logarithm 5; a quadratic cost is 16.
const (
	mostBytes = 7
	mostTime  = 9
)

// attempts is how often a growth is measured that seems too large: other programs
// take the caches and the garbage collector its share.
const attempts = 4

func TestNothingGrowsFasterThanItsInput(t *testing.T) {
	for _, d := range dimensions {
		t.Run(d.name, func(t *testing.T) {
			small, large := d.work(t, d.n), d.work(t, factor*d.n)
			least := []cost{measure(small), measure(large)}
			for range attempts {
				if g := growth(least); g.bytes <= mostBytes && g.time <= mostTime {
					break
				}
				least[0] = least[0].min(measure(small))
				least[1] = least[1].min(measure(large))
			}
			g := growth(least)
			t.Logf("%d: %v, %d: %v; grows by %.1f in bytes and %.1f in time", d.n, least[0], factor*d.n, least[1], g.bytes, g.time)
			if g.bytes > mostBytes || g.time > mostTime {
				t.Errorf("%d times as many take %.1f times the memory (at most %d) and %.1f times the time (at most %d)",
					factor, g.bytes, mostBytes, g.time, mostTime)
			}
		})
	}
}

// cost is what some work took.
type cost struct {
	bytes uint64        // allocated
	time  time.Duration // of processors, ours alone
}

func (c cost) min(o cost) cost { return cost{min(c.bytes, o.bytes), min(c.time, o.time)} }

func measure(work func()) cost {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := processorTime()
	work()
	took := processorTime() - start
	runtime.ReadMemStats(&after)
	return cost{after.TotalAlloc - before.TotalAlloc, took}
}

// processorTime is what this process has had of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type ratio struct{ bytes, time float64 }

// growth compares two costs. What takes less than these is lost among what
// everything costs, and counts as them.
func growth(c []cost) ratio {
	const leastBytes, leastTime = 64 << 10, 4 * time.Millisecond
	return ratio{
		bytes: float64(c[1].bytes) / float64(max(c[0].bytes, leastBytes)),
		time:  float64(c[1].time) / float64(max(c[0].time, leastTime)),
	}
}

// A test that cannot fail holds nothing.
func TestGrowthFindsWhatIsQuadratic(t *testing.T) {
	pairs := func(n int) func() {
		all := make([]int, n)
		return func() {
			for i := range all {
				for j := range all {
					all[i] += all[j] ^ i
				}
			}
		}
	}
	if g := growth([]cost{measure(pairs(5_000)), measure(pairs(factor * 5_000))}); g.time <= mostTime {
		t.Errorf("comparing all with all grows by %.1f, which would pass", g.time)
	}
}
