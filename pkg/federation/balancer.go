package federation

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// What fedsync writes into the members for the load balancers that it makes itself.
const (
	// ClassGlobal is the spec.ingressClassName of an Ingress whose load balancer
	// fedsync makes: no controller in the members knows it, so none builds another.
	ClassGlobal = "fedsync-global"
	// ClassFedsync is the class by which Git may ask for that by name.
	ClassFedsync = "fedsync"
	// ClassGoogle is the class of Google's controller, which reads it in
	// AnnotationClass alone.
	ClassGoogle     = "gce"
	AnnotationClass = "kubernetes.io/ingress.class"
	// AnnotationMove on an Ingress, with the value MoveAllowed, lets it leave
	// Google's controller in each cluster that takes traffic behind fedsync's load
	// balancer: set it when DNS has the new address.
	AnnotationMove = "fedsync.dev/move"
	MoveAllowed    = "Allowed"
	// AddressManager is the field manager of the address in an Ingress's status.
	AddressManager = "fedsync-address"
)

// MayBalance reports whether an Ingress with this AnnotationClass and this
// spec.ingressClassName, as Git has them, is one whose load balancer fedsync makes,
// where it makes any. The annotation counts before the field, as controllers have it.
func MayBalance(annotation, field string) bool {
	class := annotation
	if class == "" {
		class = field
	}
	switch class {
	case "", ClassGoogle, ClassFedsync, ClassGlobal:
		return true
	}
	return false
}

// Node is one node of a cluster, as far as traffic from outside may go to it.
type Node struct {
	Name       string
	ProviderID string    // "gce://project/zone/name" of a machine of Compute Engine
	Zone       string    // by its label
	Address    string    // the first internal IPv4 address; empty where it has none
	Ready      bool      // it says so
	Since      time.Time // when Ready changed last, by the cluster's clock
	// Excluded says that no traffic may go to it: it is about to be removed by the
	// autoscaler, or bears the label that excludes it from load balancers.
	Excluded bool
}

// Balancer is what is known of the load balancer of one Ingress.
type Balancer struct {
	Ingress ObjectRef `json:"ingress"`
	App     string    `json:"app,omitempty"`
	File    string    `json:"file,omitempty"` // within the repository
	// Address is that of its forwarding rule; empty while there is none.
	Address     string `json:"address,omitempty"`
	AddressName string `json:"addressName,omitempty"`
	// Complete says that everything is as it should be on Compute Engine.
	Complete bool `json:"complete"`
	// Refused says why it is not built, or not changed; empty where it is.
	Refused untrusted.Text `json:"refused,omitzero"`
	// Waits says that Refused passes by itself, as when a cluster has been read.
	Waits bool `json:"waits,omitempty"`
	// Since is when it was first seen to be wanted by this process.
	Since    time.Time         `json:"since,omitzero"`
	Clusters []BalancerCluster `json:"clusters"` // that should stand behind it, by name
	// Resources are the names of what it consists of, as "URL map NAME", in the order
	// of creation.
	Resources []string `json:"resources,omitempty"`
}

// Cluster gives what is known of one cluster; false where it does not stand behind
// the load balancer.
func (b Balancer) Cluster(name string) (BalancerCluster, bool) {
	for _, c := range b.Clusters {
		if c.Cluster == name {
			return c, true
		}
	}
	return BalancerCluster{}, false
}

// BalancerCluster is one cluster behind a load balancer.
type BalancerCluster struct {
	Cluster   string         `json:"cluster"`
	State     TrafficState   `json:"state"`
	Endpoints int            `json:"endpoints"` // nodes at node ports, over all its backend services
	Healthy   int            `json:"healthy"`   // of them, by the load balancer's health checks
	Reason    untrusted.Text `json:"reason,omitzero"`
}

// TrafficState says whether a cluster takes traffic.
type TrafficState string

// The states of a cluster behind a load balancer.
const (
	TrafficServing   TrafficState = "Serving"     // at least one endpoint of each backend service is healthy
	TrafficWaiting   TrafficState = "Waiting"     // being made, or not probed yet
	TrafficUnhealthy TrafficState = "Unhealthy"   // it has endpoints, and the probes fail
	TrafficNone      TrafficState = "NoEndpoints" // it has none
	TrafficUnknown   TrafficState = "Unknown"     // Compute Engine, or the cluster, cannot be read
	TrafficDraining  TrafficState = "Draining"    // it gets nothing new, and what runs may end
	TrafficDrained   TrafficState = "Drained"     // it stands behind it no more
)
