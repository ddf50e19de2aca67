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

// askCloud reads Compute Engine once, within the timeout, and changes nothing.
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
	if why := readErrors(seen, timeout); why != "" {
		c.Unasked = untrusted.Excerpt(why)
	}
	if !seen.At.IsZero() && len(seen.Complete) > 0 {
		proposal.AddCloud(in, c, keeper.Propose(asked.Base, asked.Head, seen))
	}
}

// digest identifies this source as the source of a federation.
func (d *Daemon) digest(f *federation.Federation) string {
	source, _ := identity.Of(d.source, d.cfg.Revision, f.Name)
	return source
}
