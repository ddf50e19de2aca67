package keeper

import (
	"time"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// counter is a Cloud that counts its calls, by method.
type counter interface{ Calls() map[string]int }

// callRate measures how often Compute Engine is called.
type callRate struct{ samples []callSample }

type callSample struct {
	at    time.Time
	total int
}

// lastMinute returns the calls in the minute before now; 0 if the Cloud does not count.
func (r *callRate) lastMinute(cloud gcp.Cloud, now time.Time) int {
	counts, ok := cloud.(counter)
	if !ok {
		return 0
	}
	total := 0
	for _, n := range counts.Calls() {
		total += n
	}
	if n := len(r.samples); n == 0 || now.Sub(r.samples[n-1].at) >= time.Second {
		r.samples = append(r.samples, callSample{now, total})
	}
	for len(r.samples) > 1 && now.Sub(r.samples[1].at) >= time.Minute {
		r.samples = r.samples[1:]
	}
	return total - r.samples[0].total
}
