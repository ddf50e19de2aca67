// Package status adds up what every stage found into one Report, and says what a forge
// has to be able to do for it.
//
// The Report has three readers: the forge (through a [Provider]), the page and the log.
// [Summarise] is pure. Package post tells the forge; the providers have packages of their
// own below this one.
package status

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// State is the outcome for one revision.
type State string

// The states, as forges know them. There is no fourth that says "error": what
// could not be asked is pending until a deadline, and a failure after it.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
)

// Report is the federation at one moment. It is a value: whoever holds one may
// keep it and must not change it.
type Report struct {
	Federation string              `json:"federation"`
	Folder     string              `json:"folder,omitempty"` // of the repository, that it lives in
	Repository string              `json:"repository"`       // URL or path, without credentials
	Revision   federation.Revision `json:"revision"`         // the one being brought to the clusters
	// Maintained is the revision in force, where the report's is refused.
	Maintained federation.Revision `json:"maintained,omitzero"`
	Subject    untrusted.Text      `json:"subject,omitzero"`
	Committed  time.Time           `json:"committed,omitzero"`
	Forced     bool                `json:"forced,omitempty"` // it does not descend from the one before
	FirstSeen  time.Time           `json:"firstSeen,omitzero"`
	Time       time.Time           `json:"time"` // when the report was made

	State       State          `json:"state"`
	Description untrusted.Text `json:"description"` // the outcome in one line, the reason first
	// WaitingSince is when the report began to wait for what it needs for a
	// success; zero while it waits for nothing. The deadline counts from here.
	WaitingSince time.Time `json:"waitingSince,omitzero"`

	// Source is the last failure to read the repository; empty when it was read.
	Source untrusted.Text `json:"source,omitzero"`

	Addresses []Address            `json:"addresses"` // of all Ingresses, sorted by address
	Clusters  []Cluster            `json:"clusters"`  // in the order of fedsync.yaml
	Findings  []federation.Finding `json:"findings"`  // errors first

	// Balancers are the load balancers that fedsync keeps on Google Cloud, sorted by
	// Ingress, and Cloud what it does there. Cloud is nil where nobody asks Compute
	// Engine: nothing of the balancers is judged then.
	Balancers []Balancer `json:"balancers"`
	Cloud     *Cloud     `json:"cloud,omitempty"`

	// Ports and Replicas are what was decided for each node port and each replica
	// count, sorted by object. They are those of the plan in force: while the
	// report's revision is refused, that is the plan of the one that is maintained.
	Ports    []federation.PortDecision     `json:"ports"`
	Replicas []federation.ReplicasDecision `json:"replicas"`
}

// Address is one address that an Ingress has, and where: that of fedsync's own load
// balancer, with the clusters behind it, or one that clusters report.
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

	// Applied is the revision that the cluster was last made equal to.
	Applied federation.Revision `json:"applied,omitzero"`
	// Current says that it has been made equal to the report's revision.
	Current bool   `json:"current"`
	Health  Health `json:"health"`
	// Outcome is what the cluster contributes to the report's state, and Reason
	// says it in one line. A cluster that does not count has none.
	Outcome State          `json:"outcome,omitempty"`
	Reason  untrusted.Text `json:"reason,omitzero"`

	// Ready and Desired count the pods of workloads that are ready and wanted.
	// A cluster that cannot be seen has none that is known to be ready.
	Ready   int64 `json:"ready"`
	Desired int64 `json:"desired"`

	// Objects are sorted by reference; those of a cluster that cannot be seen
	// are as they were seen last.
	Objects []federation.Observation `json:"objects"`
	Changes []Change                 `json:"changes"` // of the last sync, without the unchanged
	// Endpoints are those behind each Service of ours, sorted. A cluster whose
	// facts are not those of now has none, as it has no zones and no regions.
	Endpoints []federation.Endpoints `json:"endpoints,omitempty"`
}

// Visible says whether what is told of the cluster holds now.
func (c Cluster) Visible() bool {
	return c.State == federation.ClusterReady || c.State == federation.ClusterNotReady
}

// Probes are the last ones of a cluster.
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
