package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// decide sets the verdict and the summary.
func (p *Plan) decide() {
	var reasons []string
	for _, r := range p.Risks {
		if r.Severity == federation.SeverityError {
			reasons = append(reasons, r.String())
		}
	}
	for _, f := range p.Merged(slices.DeleteFunc(slices.Clone(p.Findings), p.covers)) {
		if f.Severity == federation.SeverityError {
			reasons = append(reasons, f.String())
		}
	}
	var unasked []string
	for _, c := range p.Clusters {
		if !c.Unasked.IsZero() && c.Objects > 0 && c.Change == "" {
			unasked = append(unasked, c.Name)
		}
	}
	switch {
	case len(reasons) > 0:
		p.Verdict, p.Summary = Fails, untrusted.Excerpt(reasons[0])
		if n := len(reasons) - 1; n > 0 {
			p.Summary = untrusted.Textf("%s; and %d more", p.Summary, n)
		}
	case len(unasked) > 0:
		p.Verdict, p.Summary = Unsure, untrusted.Textf("could not query %s; %s", untrusted.Some(unasked, 3), p.counts())
	case len(p.Objects) == 0 && len(p.Ports) == 0 && len(p.Replicas) == 0 && p.Cloud.count() == 0 && !p.reshapes():
		p.Verdict, p.Summary = Same, untrusted.Const("no cluster changes")
	default:
		p.Verdict, p.Summary = Changes, untrusted.New(p.counts())
		for _, r := range p.Risks {
			if r.Severity == federation.SeverityWarning {
				p.Summary = untrusted.Textf("%s; %s", r, p.Summary)
				break
			}
		}
	}
}

// reshapes reports whether clusters join or leave.
func (p *Plan) reshapes() bool {
	return slices.ContainsFunc(p.Clusters, func(c Cluster) bool { return c.Change != "" })
}

// covers reports whether a risk reports the same as a finding: a clash of ports is both.
func (p *Plan) covers(f federation.Finding) bool {
	return slices.ContainsFunc(p.Risks, func(r Risk) bool {
		return r.Severity == federation.SeverityError && r.Object == f.Object && f.Object != federation.ObjectRef{} &&
			(f.Cluster == "" || len(r.Clusters) == 0 || slices.Contains(r.Clusters, f.Cluster))
	})
}

// counts returns "1 to create, 2 to change, 1 to delete in 3 of 13 clusters".
func (p *Plan) counts() string {
	objects := map[Action]map[federation.ObjectRef]bool{Create: {}, Change: {}, Delete: {}}
	clusters := 0
	for _, o := range p.Objects {
		objects[o.Action][o.Object] = true
	}
	for _, c := range p.Clusters {
		if c.Objects > 0 {
			clusters++
		}
	}
	var parts []string
	for _, a := range []Action{Create, Change, Delete} {
		if n := len(objects[a]); n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, a))
		}
	}
	if len(parts) > 0 {
		parts = []string{fmt.Sprintf("%s in %d of %d clusters", strings.Join(parts, ", "), clusters, len(p.Clusters))}
	}
	if n := len(p.Replicas); n > 0 {
		parts = append(parts, fmt.Sprintf("replicas of %s", some(p.Replicas)))
	}
	if n := p.Cloud.count(); n > 0 {
		parts = append(parts, changes(n)+" on Google Cloud")
	}
	if len(parts) == 0 {
		return "clusters join or leave"
	}
	return strings.Join(parts, "; ")
}

// some returns the names of workloads with the totals that change.
func some(all []ReplicasChange) string {
	var names []string
	for _, r := range all {
		if r.Before == r.After {
			names = append(names, r.Object.Name+" divided differently")
			continue
		}
		names = append(names, fmt.Sprintf("%s %d → %d", r.Object.Name, r.Before, r.After))
	}
	return untrusted.Some(names, 3)
}

// String returns a risk on one line.
func (r Risk) String() string {
	var where []string
	if r.Object != (federation.ObjectRef{}) {
		where = append(where, r.Object.String())
	} else if len(r.Clusters) == 1 {
		where = append(where, r.Clusters[0])
	}
	if len(where) == 0 {
		return r.Message.String()
	}
	return strings.Join(where, " ") + ": " + r.Message.String()
}
