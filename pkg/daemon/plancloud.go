package daemon

import (
	"context"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp/keeper"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/proposal"
)

// askCloud looks at Compute Engine once, for at most the timeout, and changes nothing.
func (d *Daemon) askCloud(ctx context.Context, in *plan.Input, timeout time.Duration) {
	c, asked := proposal.ProposeCloud(d.digest(in.Base.Federation), *in)
	in.Cloud = c
	if asked == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	asked.Base.Now = time.Now()
	asked.Head.Now = asked.Base.Now
	_, seen, _ := keeper.Preview(ctx, d.compute(c.Project), asked.Base)
	if why := lookErrors(seen, timeout); why != "" {
		c.Unasked = untrusted.Said(why)
	}
	if !seen.At.IsZero() && len(seen.Complete) > 0 {
		proposal.AddCloud(in, c, keeper.Propose(asked.Base, asked.Head, seen))
	}
}

// cloud says what a pull request would do on Google Cloud, by what the keeper saw last.
func (r *reviewer) cloud(ctx context.Context, in *plan.Input, v view) {
	c, asked := proposal.ProposeCloud(r.digest(in.Base.Federation), *in)
	in.Cloud = c
	if asked == nil {
		return
	}
	if v.keeper == nil || v.project != c.Project {
		c.Unasked = untrusted.Const("fedsync does not look after the load balancers yet")
		return
	}
	// A keeper that has just begun has looked in a moment.
	for wait := time.NewTimer(firstCloudLook); ; {
		if p, known := v.keeper.Propose(asked.Base, asked.Head); known {
			proposal.AddCloud(in, c, p)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
			c.Unasked = untrusted.Const("Compute Engine has not been read whole yet")
			return
		case <-time.After(factsInterval):
		}
	}
}

// firstCloudLook is how long a plan waits for the keeper's first look.
const firstCloudLook = 15 * time.Second

// digest identifies this source as a federation's.
func (d *Daemon) digest(f *federation.Federation) string {
	its, _ := identity.Of(d.source, d.cfg.Revision, f.Name)
	return its
}
