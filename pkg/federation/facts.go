package federation

import "time"

// ClusterState is what the probes of a member cluster add up to.
type ClusterState string

// The states of a member cluster.
const (
	// ClusterPending has not been probed long enough to be judged.
	ClusterPending ClusterState = "Pending"
	// ClusterReady answers and lets us in.
	ClusterReady ClusterState = "Ready"
	// ClusterNotReady failed lately, not yet often enough to be Offline.
	ClusterNotReady ClusterState = "NotReady"
	// ClusterOffline failed as often as the threshold says, for a reason that
	// means absence: dns, refused, timeout or a server error.
	ClusterOffline ClusterState = "Offline"
	// ClusterUnknown may be well, but does not let us look: unauthorised,
	// forbidden, tls or a missing context. Nothing is moved because of it.
	ClusterUnknown ClusterState = "Unknown"
)

// FailureClass says why a cluster does not answer as it should.
type FailureClass string

// The classes of failure.
const (
	FailureNone         FailureClass = ""
	FailureDNS          FailureClass = "dns"
	FailureRefused      FailureClass = "refused"
	FailureTimeout      FailureClass = "timeout"
	FailureTLS          FailureClass = "tls"
	FailureUnauthorised FailureClass = "unauthorised"
	FailureForbidden    FailureClass = "forbidden"
	FailureNotReady     FailureClass = "not ready" // it answers with a server error
	FailureContext      FailureClass = "context"   // not in the kubeconfig, or unusable there
	FailureNetwork      FailureClass = "network"   // unreachable, reset, and whatever else a connection dies of
)

// Absent says whether a failure of this class means that the cluster is away,
// rather than that we may not look.
func (f FailureClass) Absent() bool {
	switch f {
	case FailureDNS, FailureRefused, FailureTimeout, FailureNotReady, FailureNetwork:
		return true
	case FailureNone, FailureTLS, FailureUnauthorised, FailureForbidden, FailureContext:
		return false
	}
	return false
}

// Facts are what the clusters report, as far as the schedule reads it.
type Facts struct {
	Clusters map[string]ClusterFacts `json:"clusters"` // by cluster name
}

// ClusterFacts are what one cluster reports.
type ClusterFacts struct {
	State   ClusterState `json:"state"`
	Failure FailureClass `json:"failure,omitempty"`
	Error   string       `json:"error,omitempty"` // the last probe's, without secrets
	Since   time.Time    `json:"since,omitzero"`  // when State began
	Version string       `json:"version,omitempty"`
	// Synced says that the inventory is known: every watch it needs has listed.
	Synced bool `json:"synced"`
	// Inventory holds the objects that bear our label in the cluster, by app,
	// sorted.
	Inventory map[string][]ObjectRef `json:"inventory,omitempty"`
}
