package growth

import (
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A dimension is something whose number a committer or a cluster determines.
type dimension struct {
	name string
	n    int // the smaller number to measure; four times as many are within all limits
	// work prepares an input with n of it, and returns the function to measure.
	work func(t testing.TB, n int) func()
}

// dimensions are all rows. The rows of each package have their own file.
var dimensions = slices.Concat(fileRows, federationRows, scheduleRows, diagnoseRows, statusRows)

// factor is the factor by which an input grows. A quadratic cost grows by its
// square.
const factor = 4

// The largest permitted growth of the cost with an input that is factor times as
// large. A linear cost grows by 4, with a logarithm by 5; a quadratic cost grows
// by 16.
const (
	mostBytes = 7
	mostTime  = 9
)

// attempts is how many times a growth that seems too large is measured: other
// programs use the caches, and the garbage collector takes its share.
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

// cost is the cost of some work.
type cost struct {
	bytes uint64        // allocated
	time  time.Duration // processor time of this process
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

// processorTime returns the processor time of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type ratio struct{ bytes, time float64 }

// growth compares two costs. A cost below these minimums is hidden by the fixed
// cost, and counts as the minimum.
func growth(c []cost) ratio {
	const leastBytes, leastTime = 64 << 10, 4 * time.Millisecond
	return ratio{
		bytes: float64(c[1].bytes) / float64(max(c[0].bytes, leastBytes)),
		time:  float64(c[1].time) / float64(max(c[0].time, leastTime)),
	}
}

// A test that cannot fail proves nothing.
func TestGrowthDetectsQuadraticCost(t *testing.T) {
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
