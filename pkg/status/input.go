package status

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
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

	Snapshot federation.Snapshot // what is being brought to the clusters; its Files are not looked at
	// Rendering says that the snapshot's revision is still being rendered: there is
	// nothing yet that could be judged as its own.
	Rendering bool
	// Maintained is the report of the revision in force, where the snapshot's is
	// refused: what is wrong with that one is told as notes that name it. It is nil
	// where nothing is in force, or the snapshot's revision is.
	Maintained   *Report
	FirstSeen    time.Time // of the snapshot's revision
	Now          time.Time
	Source       untrusted.Text // the last failure to read the repository; empty when it was read
	SourceRemedy untrusted.Text // what to do about that; empty where nothing special helps

	Clusters map[string]ClusterInput // by name
	// Plan is what the clusters should run. It says which objects must be seen
	// before a revision is a success, and what Ingresses ask for. Without it
	// only what is observed counts. It is not read unless it is of the snapshot's
	// revision, which is neither being rendered nor refused.
	Plan *federation.Plan
	// Balancers are what is known of the load balancers on Google Cloud, and Cloud what
	// is done there; nil where nobody asks Compute Engine.
	Balancers []federation.Balancer
	Cloud     *Cloud
	// Findings are those of all stages that hold whatever the revision, and those of
	// the snapshot's revision.
	Findings []federation.Finding

	Deadline time.Duration // of pending; DefaultDeadline when zero
	Previous *Report       // nil for the first report
	// Earlier is the last report of the revision that was in force before the
	// snapshot's: since when something stands is told across a push.
	Earlier *Report
}

// ClusterInput is what is known of one cluster.
type ClusterInput struct {
	Facts   federation.ClusterFacts
	Applied federation.Revision // the cluster was last made equal to it
	Current bool                // it has been made equal to the newest plan

	// Revision is the one that the cluster was last made to run, well or not: the one
	// that Changes, Findings and Observations speak of. What came of another commit is
	// no failure of this one, so nothing of them is judged unless it is the snapshot's.
	// Zero while nothing, or only a part of a revision, was brought to the cluster.
	Revision federation.Revision
	Changes  []federation.Change  // of the last sync
	Findings []federation.Finding // on objects that the cluster should run

	Observations []federation.Observation
}
