package status

import (
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// DefaultDeadline is how long a revision may be pending when nothing else is
// said: allocating an address takes a load balancer up to a few minutes.
const DefaultDeadline = 15 * time.Minute

// Input is all that Summarise adds up. Summarise changes nothing of it; a Report
// may share its observations, the facts' endpoints and the plan's decisions, which
// must not change afterwards.
type Input struct {
	Federation *federation.Federation // nil while none could be read
	Repository string                 // URL or path, without credentials

	Snapshot  federation.Snapshot // what is being brought to the clusters; its Files are not looked at
	FirstSeen time.Time           // of the snapshot's revision
	Now       time.Time
	Source    string // the last failure to read the repository; empty when it was read

	Clusters map[string]ClusterInput // by name
	// Plan is what the clusters should run. It says which objects must be seen
	// before a revision is a success, and what Ingresses ask for. Without it
	// only what is observed counts.
	Plan     *federation.Plan
	Findings []federation.Finding // of all stages

	Deadline time.Duration // of pending; DefaultDeadline when zero
	Previous *Report       // nil for the first report
}

// ClusterInput is what is known of one cluster.
type ClusterInput struct {
	Facts   federation.ClusterFacts
	Applied federation.Revision // the cluster was last made equal to it
	Current bool                // it has been made equal to the newest plan

	Changes []federation.Change // of the last sync
	// Synced is the revision that Changes are of, when it is not the snapshot's:
	// what failed for another commit is no failure of this one.
	Synced federation.Revision

	Observations []federation.Observation
}
