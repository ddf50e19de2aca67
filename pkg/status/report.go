// Package status combines the findings of every stage into one Report, and defines what a
// forge must be able to do to receive it.
//
// The Report has three readers: the forge (through a [Provider]), the page and the log.
// [Summarise] is pure. Package post posts to the forge; each provider is a package below
// this one.
package status

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// State is the outcome for one revision.
type State string

// The states, as forges know them. There is no fourth state "error": what could not be
// checked is pending until a deadline, and a failure after it.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
)

// Report is the federation at one moment. It is a value: whoever holds one may keep it
// and must not change it.
type Report struct {
	Federation string              `json:"federation"`
	Folder     string              `json:"folder,omitempty"` // of the repository, where the federation is
	Repository string              `json:"repository"`       // URL or path, without credentials
	Revision   federation.Revision `json:"revision"`         // the one being synced to the clusters
	// Maintained is the revision in force, if the report's revision is refused.
	Maintained federation.Revision `json:"maintained,omitzero"`
	Subject    untrusted.Text      `json:"subject,omitzero"`
	Committed  time.Time           `json:"committed,omitzero"`
	Forced     bool                `json:"forced,omitempty"` // it does not descend from the previous revision
	FirstSeen  time.Time           `json:"firstSeen,omitzero"`
	Time       time.Time           `json:"time"` // when the report was made

	State       State          `json:"state"`
	Description untrusted.Text `json:"description"` // the outcome in one line, the reason first
	// WaitingSince is when the report began to wait for what a success needs; zero while
	// it waits for nothing. The deadline counts from here.
	WaitingSince time.Time `json:"waitingSince,omitzero"`

	// Source is the last failure to read the repository; empty if it was read.
	Source untrusted.Text `json:"source,omitzero"`

	Addresses []Address            `json:"addresses"` // of all Ingresses, sorted by address
	Clusters  []Cluster            `json:"clusters"`  // in the order of fedsync.yaml
	Findings  []federation.Finding `json:"findings"`  // errors first

	// Balancers are the load balancers that fedsync maintains on Google Cloud, sorted by
	// Ingress, and Cloud holds its actions there. Cloud is nil if fedsync does not use
	// Compute Engine: no balancer is judged then.
	Balancers []Balancer `json:"balancers"`
	Cloud     *Cloud     `json:"cloud,omitempty"`

	// Ports and Replicas are the decisions for each node port and each replica count,
	// sorted by object. They belong to the plan in force: while the report's revision is
	// refused, that is the plan of the maintained revision.
	Ports    []federation.PortDecision     `json:"ports"`
	Replicas []federation.ReplicasDecision `json:"replicas"`
}

// Address is one address of an Ingress and its clusters: the address of fedsync's own
// load balancer, with the clusters behind it, or one that clusters report.
type Address struct {
	Address  string               `json:"address"` // an IP or a hostname
	Object   federation.ObjectRef `json:"object"`
	Clusters []string             `json:"clusters"` // sorted
}

// Cluster is one member cluster in a report.
type Cluster struct {
	Name     string                  `json:"name"`
	Targeted bool                    `json:"targeted"` // some app goes there
	Lost     bool                    `json:"lost,omitempty"`
	State    federation.ClusterState `json:"state"`
	Failure  federation.FailureClass `json:"failure,omitempty"`
	Error    untrusted.Text          `json:"error,omitzero"`
	Since    time.Time               `json:"since,omitzero"`
	Version  string                  `json:"version,omitempty"`
	Probes   Probes                  `json:"probes,omitzero"`
	Zones    []string                `json:"zones,omitempty"`   // of the nodes, sorted
	Regions  []string                `json:"regions,omitempty"` // of the nodes, sorted

	// Applied is the revision that the cluster was last in sync with.
	Applied federation.Revision `json:"applied,omitzero"`
	// Current reports that it is in sync with the report's revision.
	Current bool   `json:"current"`
	Health  Health `json:"health"`
	// Outcome is what the cluster contributes to the report's state, and Reason explains
	// it in one line. A cluster that does not count has neither.
	Outcome State          `json:"outcome,omitempty"`
	Reason  untrusted.Text `json:"reason,omitzero"`

	// Ready and Desired count the ready and the wanted pods of workloads. Ready is zero
	// for a cluster that is not visible.
	Ready   int64 `json:"ready"`
	Desired int64 `json:"desired"`

	// Objects are sorted by reference. Those of a cluster that is not visible are as last
	// seen.
	Objects []federation.Observation `json:"objects"`
	Changes []Change                 `json:"changes"` // of the last sync, without the unchanged
	// Endpoints are those behind each Service of ours, sorted. A cluster whose facts are
	// not current has no endpoints, zones or regions.
	Endpoints []federation.Endpoints `json:"endpoints,omitempty"`
}

// Visible reports whether the data about the cluster is current.
func (c Cluster) Visible() bool {
	return c.State == federation.ClusterReady || c.State == federation.ClusterNotReady
}

// Probes counts the recent probes of a cluster.
type Probes struct {
	Failed int `json:"failed"`
	Of     int `json:"of"`
}

// Health is the worst health of a cluster's objects.
type Health = federation.Health

// Change is a federation.Change in a form that encodes.
type Change struct {
	federation.Change
	Error untrusted.Text `json:"error,omitzero"`
}
