package proposal

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/keeper"
	"github.com/fedsync/fedsync/pkg/plan"
)

// Cloud is what is asked about Google Cloud. Only the project that the base names is read,
// whatever the change states, since anybody may propose a change.
type Cloud struct {
	Base, Head gcp.Input
}

// ProposeCloud returns what the change does to the federation's settings for Google Cloud.
// If the second result is nil, there is nothing to ask, and the first one is complete. The
// source is the digest of the base's source.
func ProposeCloud(source string, in plan.Input) (*plan.Cloud, *Cloud) {
	was, is := in.Base.Federation, in.Head.Federation
	if in.Base.Refused || in.Head.Refused || !was.Balances() && !is.Balances() {
		return nil, nil
	}
	if !was.Balances() {
		return &plan.Cloud{
			Project: is.GCP.Project, Unasked: untrusted.Const("the base creates no load balancers: no project is read before the change is merged"),
			Notice: untrusted.Textf("fedsync will create load balancers in project %s", is.GCP.Project),
		}, nil
	}
	c := &plan.Cloud{Project: was.GCP.Project}
	switch {
	case !is.Balances():
		c.Notice = untrusted.Textf("fedsync will no longer maintain the load balancers in project %s: they stay unchanged", was.GCP.Project)
		return c, nil
	case is.GCP.Project != was.GCP.Project:
		c.Unasked = untrusted.Textf("project %s is not read before the change is merged", is.GCP.Project)
		c.Notice = untrusted.Textf("load balancers will be created in project %s, with other addresses; those in project %s stay unchanged and are no longer maintained", is.GCP.Project, was.GCP.Project)
		return c, nil
	}
	return c, &Cloud{
		Base: gcp.Input{Federation: was, Source: source, Plan: in.Base.Plan, Facts: in.Facts},
		Head: gcp.Input{Federation: is, Source: source, Plan: in.Head.Plan, Facts: in.Facts},
	}
}

// AddCloud adds the changes on Google Cloud to what is compared.
func AddCloud(in *plan.Input, c *plan.Cloud, p keeper.Proposed) {
	for _, change := range p.Changes {
		c.Changes = append(c.Changes, plan.CloudChange{Verb: string(change.Verb), Resource: change.ID.String(), Detail: change.Detail})
	}
	for _, a := range p.Addresses {
		c.Addresses = append(c.Addresses, plan.AddressChange{Ingress: a.Ingress, Before: a.Before, After: a.After})
	}
	c.Besides = p.Besides
	if p.Absent {
		c.Besides = 0
		c.Unasked = untrusted.Const("none of the base's resources exist: if a daemon created them, set --repo and --revision to the daemon's values, since the names depend on these")
	}
	in.Head.Findings = append(slices.Clip(in.Head.Findings), p.Brought...)
	in.Base.Findings = append(slices.Clip(in.Base.Findings), p.Ended...)
}

// CloudUnasked records, in a plan by facts, that Compute Engine was not queried.
func CloudUnasked(source string, in *plan.Input) {
	c, asked := ProposeCloud(source, *in)
	if asked != nil {
		c.Unasked = untrusted.Const("only a plan that asks the clusters asks Compute Engine")
	}
	in.Cloud = c
}
