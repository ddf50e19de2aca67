package reviewer

import (
	"context"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/proposal"
)

// cloud says what a pull request would do on Google Cloud, by what the keeper saw last.
func (r *Reviewer) cloud(ctx context.Context, in *plan.Input, v View) {
	its, _ := identity.Of(r.source, r.cfg.Revision, in.Base.Federation.Name)
	c, asked := proposal.ProposeCloud(its, *in)
	in.Cloud = c
	if asked == nil {
		return
	}
	if v.Keeper == nil || v.Project != c.Project {
		c.Unasked = untrusted.Const("fedsync does not look after the load balancers yet")
		return
	}
	// A keeper that has just begun has looked in a moment.
	for wait := time.NewTimer(firstCloudLook); ; {
		if p, known := v.Keeper.Propose(asked.Base, asked.Head); known {
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
