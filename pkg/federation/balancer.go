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
	Name       string `file:"name,required" doc:"Its name."`
	ProviderID string `file:"providerID" doc:"Its spec.providerID, as in gce://project/zone/name."`
	Zone       string `file:"zone" doc:"Its zone, by its label."`
	// Address is empty where the node has none.
	Address  string    `file:"address" doc:"Its first internal IPv4 address."`
	Ready    bool      `file:"ready" default:"true" doc:"Whether it is Ready."`
	Since    time.Time `file:"since" doc:"When that changed last, by the cluster's clock."`
	Excluded bool      `file:"excluded" doc:"Whether no traffic may go to it: it is about to be removed, or its label keeps load balancers away."`
}

// Balancer is what is known of the load balancer of one Ingress.
type Balancer struct {
	Ingress     ObjectRef         `json:"ingress" file:"ingress,required" doc:"Its Ingress, as networking.k8s.io/Ingress/NAMESPACE/NAME."`
	App         string            `json:"app,omitempty" file:"app" doc:"The Ingress's app."`
	File        string            `json:"file,omitempty" file:"file" doc:"The Ingress's file."`
	Address     string            `json:"address,omitempty" file:"address" doc:"The address of its forwarding rule; left out while there is none."`
	AddressName string            `json:"addressName,omitempty" file:"addressName" doc:"The name of that address."`
	Complete    bool              `json:"complete" file:"complete" doc:"Whether everything is as it should be on Compute Engine."`
	Refused     untrusted.Text    `json:"refused,omitzero" file:"refused" doc:"Why it is not built, or not changed."`
	Waits       bool              `json:"waits,omitempty" file:"waits" doc:"That reason passes by itself."`
	Since       time.Time         `json:"since,omitzero" file:"since" doc:"When it was first wanted."`
	Clusters    []BalancerCluster `json:"clusters" file:"clusters" sort:"cluster" doc:"The clusters that should stand behind it."`
	// Resources are in the order of creation.
	Resources []string `json:"resources,omitempty" file:"resources" doc:"What it consists of, as in URL map NAME."`
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
	Cluster   string         `json:"cluster" file:"cluster,required" doc:"The cluster's name."`
	State     TrafficState   `json:"state" file:"state,required" enum:"Serving Waiting Unhealthy NoEndpoints Unknown Draining Drained" doc:"Whether it takes traffic."`
	Endpoints int            `json:"endpoints" file:"endpoints" doc:"How many nodes at node ports stand behind it."`
	Healthy   int            `json:"healthy" file:"healthy" doc:"How many of them are healthy."`
	Reason    untrusted.Text `json:"reason,omitzero" file:"reason" doc:"Why it takes no traffic."`
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
