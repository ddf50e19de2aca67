package facts

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPodsCountAsMissingAfterAMinute(t *testing.T) {
	type at struct {
		second  int
		deficit int64 // observed; -1 for none
		want    int64 // the lowest of the last minute
	}
	for name, course := range map[string][]at{
		"no pod is missing":                 {{0, 0, 0}, {100, -1, 0}},
		"the first observation starts now":  {{0, 7, 0}, {59, -1, 0}, {60, -1, 7}},
		"fresh pods count as running":       {{0, 0, 0}, {100, 7, 0}, {159, -1, 0}, {160, -1, 7}},
		"pods that become Ready in time":    {{0, 0, 0}, {100, 7, 0}, {159, 0, 0}, {300, -1, 0}},
		"some of them become Ready":         {{0, 7, 0}, {30, 3, 0}, {60, -1, 3}, {100, -1, 3}},
		"more pods are missing in addition": {{0, 3, 0}, {60, -1, 3}, {70, 10, 3}, {129, -1, 3}, {130, -1, 10}},
		"a pod that returns counts at once": {{0, 3, 0}, {60, -1, 3}, {70, 2, 2}, {71, 0, 0}},
		"a moment's readiness starts again": {{0, 3, 0}, {60, -1, 3}, {70, 0, 0}, {71, 3, 0}, {130, -1, 0}, {131, -1, 3}},
		"the same deficit is no new start":  {{0, 3, 0}, {30, 3, 0}, {60, 3, 3}},
		"a peak between":                    {{0, 1, 0}, {10, 5, 0}, {20, 3, 0}, {60, -1, 1}, {69, -1, 1}, {70, -1, 3}, {100, -1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
			var m missing
			for _, step := range course {
				now := start.Add(time.Duration(step.second) * time.Second)
				if step.deficit >= 0 {
					m.observe(now, step.deficit)
				}
				if got := m.least(now); got != step.want {
					t.Errorf("after %d s, %d are missing, want %d", step.second, got, step.want)
				}
			}
		})
	}
}

// TestMissingIsTheLeastOfTheLastMinute compares the result with the definition, and next
// with the actual change.
func TestMissingIsTheLeastOfTheLastMinute(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	for range 200 {
		var m missing
		seconds := []int64{} // the deficit at each second since the start
		var deficit, before int64
		var next time.Time
		for second := range 300 {
			now := start.Add(time.Duration(second) * time.Second)
			observed := second == 0 || random.IntN(20) == 0
			if observed {
				deficit = random.Int64N(6)
				m.observe(now, deficit)
			}
			seconds = append(seconds, deficit)
			var want int64
			if second >= 60 {
				want = slices.Min(seconds[second-60:])
			}
			got := m.least(now)
			if got != want {
				t.Fatalf("after %d s of %v: %d are missing, want %d", second, seconds, got, want)
			}
			if due := !next.IsZero() && !now.Before(next); !observed && got != before && !due {
				t.Fatalf("after %d s of %v: it changed from %d to %d, expected at %v", second, seconds, before, got, next)
			}
			before, next = got, m.next()
			if !next.IsZero() && !next.After(now) {
				t.Fatalf("after %d s: the next change is at %v, which has passed", second, next)
			}
		}
		if len(m.steps) > 60 {
			t.Fatalf("%d steps are remembered of a minute, want at most one for a second", len(m.steps))
		}
	}
}
