package status

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// overflow returns the pending pods that the plan wants in addition to those that are
// placed, by cluster and workload.
func overflow(plan *federation.Plan) map[string]map[federation.ObjectRef]int64 {
	if plan == nil {
		return nil
	}
	found := map[string]map[federation.ObjectRef]int64{}
	for _, d := range plan.Replicas {
		for _, share := range d.Shares {
			if share.Overflow == 0 {
				continue
			}
			if found[share.Cluster] == nil {
				found[share.Cluster] = map[federation.ObjectRef]int64{}
			}
			found[share.Cluster][d.Object] = share.Overflow
		}
	}
	return found
}

// withoutOverflow judges workloads by what is placed in the cluster. Pods that wait for
// room there, and run elsewhere at the same time, are no reason to wait. The lack of room
// is a separate finding.
func withoutOverflow(observations []federation.Observation, extra map[federation.ObjectRef]int64) []federation.Observation {
	if len(extra) == 0 {
		return observations
	}
	out := slices.Clone(observations)
	for i := range out {
		o := &out[i]
		n := extra[o.Object]
		if n == 0 {
			continue
		}
		o.Desired = max(0, o.Desired-n)
		if o.Health == federation.Progressing && o.Ready >= o.Desired {
			o.Health = federation.Healthy
			o.Message = untrusted.Textf("%d more pods wait for room", n)
		}
	}
	return out
}
