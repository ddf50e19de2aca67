package reviewer

import (
	"context"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/proposal"
)

// cloud determines what a pull request would do on Google Cloud, by what the keeper last read.
func (r *Reviewer) cloud(ctx context.Context, in *plan.Input, v View) {
	its, _ := identity.Of(r.source, r.cfg.Revision, in.Base.Federation.Name)
	c, asked := proposal.ProposeCloud(its, *in)
	in.Cloud = c
	if asked == nil {
		return
	}
	if v.Keeper == nil || v.Project != c.Project {
		c.Unasked = untrusted.Const("fedsync does not maintain the load balancers yet")
		return
	}
	// A keeper that has just started needs a moment for its first read.
	for wait := time.NewTimer(firstCloudRead); ; {
		if p, known := v.Keeper.Propose(asked.Base, asked.Head); known {
			proposal.AddCloud(in, c, p)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
			c.Unasked = untrusted.Const("Compute Engine has not been read completely yet")
			return
		case <-time.After(factsInterval):
		}
	}
}

// firstCloudRead is how long a plan waits for the keeper's first read.
const firstCloudRead = 15 * time.Second
