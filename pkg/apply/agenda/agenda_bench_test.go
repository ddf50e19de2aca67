package agenda

import (
	"fmt"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/refusal"
)

// BenchmarkAgenda measures the cost of one agenda, by the size of the table.
func BenchmarkAgenda(b *testing.B) {
	for _, n := range []int{300, 1_000, 10_000} {
		for _, state := range []string{"settled", "due", "refused", "hung"} {
			b.Run(fmt.Sprintf("%s/%d", state, n), func(b *testing.B) {
				s := newSketch(b)
				names := make([]string, n)
				for i := range names {
					names[i] = fmt.Sprintf("ConfigMap/ns/c%d", i)
				}
				s.want(names...)
				for _, name := range names {
					switch state {
					case "settled":
						s.settles(name)
					case "refused":
						s.refuses(name, 0, refusal.ClassAdmission, "denied")
					case "hung":
						s.refuses(name, 0, refusal.ClassTimeout, "no answer")
					}
				}
				at := start.Add(time.Hour)
				for b.Loop() {
					At(s.State, at)
				}
			})
		}
	}
}
