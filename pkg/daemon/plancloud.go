package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/keeper"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/plan"
)

// cloudProposal is what is asked about Google Cloud. Only the project that the base names is
// looked at, whatever the change says, since a change is anybody's.
type cloudProposal struct {
	base, head gcp.Input
}

// proposeCloud says what the change does to the federation's way to Google Cloud. Without a
// proposal there is nothing to ask, and the answer is whole.
func (d *Daemon) proposeCloud(in plan.Input) (*plan.Cloud, *cloudProposal) {
	was, is := in.Base.Federation, in.Head.Federation
	if in.Base.Refused || in.Head.Refused || !was.Balances() && !is.Balances() {
		return nil, nil
	}
	if !was.Balances() {
		return &plan.Cloud{
			Project: is.GCP.Project, Unasked: untrusted.Const("the base makes no load balancers: no project is asked before the change is merged"),
			Notice: untrusted.Textf("fedsync will make load balancers in project %s", is.GCP.Project),
		}, nil
	}
	c := &plan.Cloud{Project: was.GCP.Project}
	switch {
	case !is.Balances():
		c.Notice = untrusted.Textf("fedsync will no longer look after the load balancers in project %s: they stay as they are", was.GCP.Project)
		return c, nil
	case is.GCP.Project != was.GCP.Project:
		c.Unasked = untrusted.Textf("project %s is not asked before the change is merged", is.GCP.Project)
		c.Notice = untrusted.Textf("load balancers will be made in project %s, with other addresses; those in project %s stay as they are, and nobody looks after them", is.GCP.Project, was.GCP.Project)
		return c, nil
	}
	source, _ := identity.Of(d.source, d.cfg.Revision, was.Name)
	return c, &cloudProposal{
		base: gcp.Input{Federation: was, Source: source, Plan: in.Base.Plan, Facts: in.Facts},
		head: gcp.Input{Federation: is, Source: source, Plan: in.Head.Plan, Facts: in.Facts},
	}
}

// addCloud adds what Google Cloud would become to what is compared.
func addCloud(in *plan.Input, c *plan.Cloud, p keeper.Proposed) {
	for _, change := range p.Changes {
		c.Changes = append(c.Changes, plan.CloudChange{Verb: string(change.Verb), Resource: change.ID.String(), Detail: change.Detail})
	}
	for _, a := range p.Addresses {
		c.Addresses = append(c.Addresses, plan.AddressChange{Ingress: a.Ingress, Before: a.Before, After: a.After})
	}
	c.Besides = p.Besides
	if p.Absent {
		c.Besides = 0
		c.Unasked = untrusted.Const("nothing is there of what the base wants: where a daemon made it, give --repo and --revision as the daemon has them, since all of it is named after these")
	}
	in.Head.Findings = append(slices.Clip(in.Head.Findings), p.Brought...)
	in.Base.Findings = append(slices.Clip(in.Base.Findings), p.Ended...)
}

// askCloud looks at Compute Engine once, for at most the timeout, and changes nothing.
func (d *Daemon) askCloud(ctx context.Context, in *plan.Input, timeout time.Duration) {
	c, asked := d.proposeCloud(*in)
	in.Cloud = c
	if asked == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	asked.base.Now = time.Now()
	asked.head.Now = asked.base.Now
	_, seen, _ := keeper.Preview(ctx, d.compute(c.Project), asked.base)
	if why := lookErrors(seen, timeout); why != "" {
		c.Unasked = untrusted.Said(why)
	}
	if !seen.At.IsZero() && len(seen.Complete) > 0 {
		addCloud(in, c, keeper.Propose(asked.base, asked.head, seen))
	}
}

// cloud says what a pull request would do on Google Cloud, by what the keeper saw last.
func (r *reviewer) cloud(ctx context.Context, in *plan.Input, v view) {
	c, asked := r.proposeCloud(*in)
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
		if p, known := v.keeper.Propose(asked.base, asked.head); known {
			addCloud(in, c, p)
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

// cloudUnasked says of a plan by facts that Google Cloud is another question.
func (d *Daemon) cloudUnasked(in *plan.Input) {
	c, asked := d.proposeCloud(*in)
	if asked != nil {
		c.Unasked = untrusted.Const("only a plan that asks the clusters asks Compute Engine")
	}
	in.Cloud = c
}
