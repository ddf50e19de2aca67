package standing

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Ended returns the Jobs of the plan that ended and were deleted afterwards, sorted, as
// an observer of the cluster would report them if they still existed.
func Ended(s *state.State) []federation.Observation {
	var out []federation.Observation
	for _, r := range s.Rows {
		e, over := s.Over(r)
		if !over || r.Live != nil {
			continue
		}
		o := federation.Observation{
			Cluster: s.Cluster, App: r.Want.App, Object: r.Ref, Health: federation.Healthy,
			Message: untrusted.Const("completed; its TTL removed it"),
		}
		if e.Failed {
			o.Health, o.Message = federation.Degraded, untrusted.Const("failed; its TTL removed it")
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(x, y federation.Observation) int { return x.Object.Compare(y.Object) })
	return out
}
