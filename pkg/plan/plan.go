// Package plan determines what a proposed change would do to the objects of every cluster, to
// node ports and to replicas, and which risks it has.
//
// It compares two revisions that were rendered and scheduled by the same facts: the branch
// and the branch with the change. Start reading at Of. In its order, objects.go compares
// objects, decisions.go compares decisions and risks.go finds risks; verdict.go makes the
// summary, and markdown.go the comment. The package is pure and sends no requests: the
// clusters' answers are part of its input.
package plan

import (
	"cmp"

	"github.com/fedsync/fedsync/internal/fields"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Side is a revision, rendered and scheduled.
type Side struct {
	// Refused reports that its fedsync.yaml is invalid. Only the Findings are set then,
	// and state why.
	Refused    bool
	Revision   federation.Revision
	Federation *federation.Federation
	Plan       federation.Plan
	Findings   []federation.Finding // of the rendering and the plan
}

// Input is everything that a Plan depends on.
type Input struct {
	Base Side                // the branch without the change
	Head Side                // the branch with the change
	From federation.Revision // where the change began
	// Conflicts are files that both sides changed and that do not merge. Both are files
	// that both sides changed and that merge.
	Conflicts, Both []string
	Facts           federation.Facts // by which both were scheduled
	// Answers are the answers of clusters to the change, by name; nil if none was queried.
	Answers map[string]Answer
	Cloud   *Cloud // nil if fedsync creates no load balancers
}

// Answer is the answer of one cluster to a dry run of the change.
type Answer struct {
	Unasked  untrusted.Text // why it could not be queried; empty if it was
	Adopted  []federation.ObjectRef
	Findings []federation.Finding // why an object could not be applied
}

// Plan is what a proposed change would do. Lists are sorted: the same input yields the same
// plan, byte for byte.
type Plan struct {
	Federation string              `json:"federation"`
	Base       federation.Revision `json:"base"` // the branch without the change
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
	Findings []federation.Finding `json:"findings"` // those that the change adds
	Mended   []federation.Finding `json:"mended"`   // those that it resolves

	Cloud *Cloud `json:"cloud,omitempty"` // nil if fedsync creates no load balancers
}

// Verdict is the outcome of a plan.
type Verdict string

// The verdicts.
const (
	Same    Verdict = "same"    // nothing would change
	Changes Verdict = "changes" // it would make the listed changes
	Unsure  Verdict = "unsure"  // it could not be checked everywhere
	Fails   Verdict = "fails"   // it would not work
)

// Cluster is what the change means to one cluster.
type Cluster struct {
	Name    string                  `json:"name"`
	State   federation.ClusterState `json:"state,omitempty"`  // empty if it is not known
	Objects int                     `json:"objects"`          // how many objects change there
	Change  string                  `json:"change,omitempty"` // "joins", "leaves"
	Asked   bool                    `json:"asked"`            // the change was tried there by a dry run
	Unasked untrusted.Text          `json:"unasked,omitzero"` // why it was not; empty if it was not to be
}

// Action is what happens to an object.
type Action string

// The actions.
const (
	Create Action = "create"
	Change Action = "change"
	Delete Action = "delete"
)

// ObjectChange is what happens to one object, in the same way in several clusters.
type ObjectChange struct {
	Action   Action               `json:"action"`
	Object   federation.ObjectRef `json:"object"`
	App      string               `json:"app"`
	File     string               `json:"file,omitempty"`
	Clusters []string             `json:"clusters"`
	Fields   []fields.Difference  `json:"fields,omitempty"` // of the object in Git, not of the live one
	// Prune is what happens to an object that is deleted from Git.
	Prune federation.PruneVerdict `json:"prune,omitempty"`
	// Both reports that its file was also changed on the base since the change began.
	Both bool `json:"both,omitempty"`
}

// PortChange is a node port whose decision changes.
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

// ReplicasChange is a workload whose division of replicas changes.
type ReplicasChange struct {
	Object    federation.ObjectRef `json:"object"`
	Before    int64                `json:"before"` // in all clusters
	After     int64                `json:"after"`
	Shares    []ShareChange        `json:"shares"` // of clusters in which the share changes
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
