package status

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// DefaultDeadline is how long a revision may be pending by default: a load balancer needs
// up to a few minutes to allocate an address.
const DefaultDeadline = 15 * time.Minute

// Input is everything that Summarise combines. Summarise does not change it. A Report may
// share its observations, the facts' endpoints and the plan's decisions, which must not
// change afterwards.
type Input struct {
	Federation *federation.Federation // nil until one was read
	Repository string                 // URL or path, without credentials

	Snapshot federation.Snapshot // the revision being synced to the clusters; its Files are not read
	// Rendering reports that the snapshot's revision is still being rendered, so that
	// nothing can be judged as its own yet.
	Rendering bool
	// Maintained is the report of the revision in force, if the snapshot's revision is
	// refused. Its problems become notes that name it. It is nil if nothing is in force,
	// or if the snapshot's revision is.
	Maintained   *Report
	FirstSeen    time.Time // of the snapshot's revision
	Now          time.Time
	Source       untrusted.Text // the last failure to read the repository; empty if it was read
	SourceRemedy untrusted.Text // what to do about it; empty for the general advice

	Clusters map[string]ClusterInput // by name
	// Plan is what the clusters should run. It determines which objects must be seen
	// before a revision is a success, and what Ingresses request. Without it only
	// observed objects count. It is read only if it is of the snapshot's revision and
	// that is neither being rendered nor refused.
	Plan *federation.Plan
	// Balancers are the known load balancers on Google Cloud, and Cloud holds the actions
	// there. Both are nil if fedsync does not use Compute Engine.
	Balancers []federation.Balancer
	Cloud     *Cloud
	// Findings are those of all stages that hold for any revision, and those of the
	// snapshot's revision.
	Findings []federation.Finding

	Deadline time.Duration // of pending; DefaultDeadline when zero
	Previous *Report       // nil for the first report
	// Earlier is the last report of the revision that was in force before the snapshot's:
	// it carries the times since when findings exist across a push.
	Earlier *Report
}

// ClusterInput is what is known of one cluster.
type ClusterInput struct {
	Facts   federation.ClusterFacts
	Applied federation.Revision // the revision that the cluster was last in sync with
	Current bool                // it is in sync with the newest plan

	// Revision is the one that was last applied to the cluster, successfully or not: the
	// one that Changes, Findings and Observations belong to. The results of another
	// commit are no failure of this one, so they are judged only if it is the snapshot's.
	// It is zero while nothing, or only a part of a revision, was applied to the cluster.
	Revision federation.Revision
	Changes  []federation.Change  // of the last sync
	Findings []federation.Finding // on objects that the cluster should run

	Observations []federation.Observation
}
