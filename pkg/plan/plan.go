// Package plan says what a proposed change would do: to the objects of every cluster, to
// node ports and replicas, and what of it is dangerous.
//
// It compares two revisions that were rendered and scheduled by the same facts: the branch
// as it is, and the branch with the change. Of tells it in order: objects.go, decisions.go,
// risks.go; verdict.go makes one line of it, and markdown.go a comment. It is pure, and
// asks nobody: what clusters say to it comes in as Answers.
package plan

import (
	"cmp"

	"github.com/fedsync/fedsync/internal/fields"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Side is a revision, rendered and scheduled.
type Side struct {
	// Refused says that its fedsync.yaml cannot be followed: nothing is known of it but
	// the Findings, which say why.
	Refused    bool
	Revision   federation.Revision
	Federation *federation.Federation
	Plan       federation.Plan
	Findings   []federation.Finding // of the rendering and the plan
}

// Input is all that a Plan depends on.
type Input struct {
	Base Side                // the branch as it is
	Head Side                // the branch with the change
	From federation.Revision // where the change began
	// Conflicts are files that both sides changed and that do not merge, and Both those
	// that do.
	Conflicts, Both []string
	Facts           federation.Facts // by which both were scheduled
	// Answers are what clusters said to the change, by name; nil where none was asked.
	Answers map[string]Answer
	Cloud   *Cloud // nil where fedsync makes no load balancers
}

// Answer is what one cluster said to a dry run of the change.
type Answer struct {
	Unasked  untrusted.Text // why it could not be asked; empty where it was
	Adopted  []federation.ObjectRef
	Findings []federation.Finding // why an object could not be applied
}

// Plan is what a proposed change would do. Lists are sorted: the same input gives the same
// plan, to the byte.
type Plan struct {
	Federation string              `json:"federation"`
	Base       federation.Revision `json:"base"` // the branch as it is
	Head       federation.Revision `json:"head"` // the newest commit of the change
	From       federation.Revision `json:"from"` // where the change began
	Verdict    Verdict             `json:"verdict"`
	Summary    untrusted.Text      `json:"summary"` // one line, the reason first
	Clusters   []Cluster           `json:"clusters"`
	Conflicts  []string            `json:"conflicts"`

	Risks    []Risk               `json:"risks"` // the worst first
	Objects  []ObjectChange       `json:"objects"`
	Ports    []PortChange         `json:"ports"`
	Replicas []ReplicasChange     `json:"replicas"`
	Findings []federation.Finding `json:"findings"` // those that the change brings
	Mended   []federation.Finding `json:"mended"`   // those that it ends

	Cloud *Cloud `json:"cloud,omitempty"` // nil where fedsync makes no load balancers
}

// Verdict is the outcome of a plan.
type Verdict string

// The verdicts.
const (
	Same    Verdict = "same"    // nothing would change
	Changes Verdict = "changes" // it would do what it says
	Unsure  Verdict = "unsure"  // it could not be checked everywhere
	Fails   Verdict = "fails"   // it would not work
)

// Cluster says what the change means to one cluster.
type Cluster struct {
	Name    string                  `json:"name"`
	State   federation.ClusterState `json:"state,omitempty"`  // empty where nobody knows
	Objects int                     `json:"objects"`          // that change there
	Change  string                  `json:"change,omitempty"` // "joins", "leaves"
	Asked   bool                    `json:"asked"`            // the change was tried there, without writing
	Unasked untrusted.Text          `json:"unasked,omitzero"` // why it was not; empty where nobody meant to
}

// Action is what happens to an object.
type Action string

// The actions.
const (
	Create Action = "create"
	Change Action = "change"
	Delete Action = "delete"
)

// ObjectChange is what happens to one object, alike in some clusters.
type ObjectChange struct {
	Action   Action               `json:"action"`
	Object   federation.ObjectRef `json:"object"`
	App      string               `json:"app"`
	File     string               `json:"file,omitempty"`
	Clusters []string             `json:"clusters"`
	Fields   []fields.Difference  `json:"fields,omitempty"` // of what Git says, not of what is live
	// Prune says what becomes of an object that is deleted from Git.
	Prune federation.PruneVerdict `json:"prune,omitempty"`
	// Both says that its file was changed on the base, too, since the change began.
	Both bool `json:"both,omitempty"`
}

// PortChange is a node port that is decided otherwise.
type PortChange struct {
	Service  federation.ObjectRef   `json:"service"`
	Protocol string                 `json:"protocol"`
	Port     int32                  `json:"port"`   // the Service's own
	Before   int32                  `json:"before"` // 0 for none
	After    int32                  `json:"after"`  // 0 for none
	Basis    federation.PortBasis   `json:"basis,omitempty"`
	Reason   untrusted.Text         `json:"reason,omitzero"`
	Clashes  []federation.PortClash `json:"clashes,omitempty"`
}

// ReplicasChange is a workload whose replicas are divided otherwise.
type ReplicasChange struct {
	Object    federation.ObjectRef `json:"object"`
	Before    int64                `json:"before"` // in all clusters
	After     int64                `json:"after"`
	Shares    []ShareChange        `json:"shares"` // of clusters where it changes
	Shortfall int64                `json:"shortfall,omitempty"`
	Reason    untrusted.Text       `json:"reason,omitzero"` // of the shortfall
}

// ShareChange is one cluster's part of it.
type ShareChange struct {
	Cluster string `json:"cluster"`
	Before  int64  `json:"before"`
	After   int64  `json:"after"`
}

// Of compares the two sides.
func Of(in Input) *Plan {
	p := &Plan{
		Federation: cmp.Or(in.Head.Federation.Name, in.Base.Federation.Name),
		Base:       in.Base.Revision, Head: in.Head.Revision, From: in.From,
		Conflicts: append([]string{}, in.Conflicts...), Cloud: in.Cloud.shortened(),
	}
	p.Findings, p.Mended = findingChanges(in)
	if in.Head.Refused {
		p.Clusters, p.Risks, p.Objects, p.Ports, p.Replicas = []Cluster{}, []Risk{}, []ObjectChange{}, []PortChange{}, []ReplicasChange{}
		p.decide()
		return p
	}
	order := clusterOrder(in)
	p.Objects = objectChanges(in, order)
	p.Ports = portChanges(in.Base.Plan.Ports, in.Head.Plan.Ports)
	p.Replicas = replicasChanges(in.Base.Plan.Replicas, in.Head.Plan.Replicas)
	p.Clusters = clusterChanges(in, order, p.Objects)
	p.Risks = risks(in, p)
	p.decide()
	return p
}
