package federation

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// What fedsync writes into the members for the load balancers that it creates itself.
const (
	// ClassGlobal is the spec.ingressClassName of an Ingress whose load balancer
	// fedsync creates. No controller in the members serves this class, so none builds
	// a second load balancer.
	ClassGlobal = "fedsync-global"
	// ClassFedsync is the class in Git that requests fedsync's load balancer explicitly.
	ClassFedsync = "fedsync"
	// ClassGoogle is the class of Google's controller, which reads it only from
	// AnnotationClass.
	ClassGoogle     = "gce"
	AnnotationClass = "kubernetes.io/ingress.class"
	// AnnotationMove on an Ingress, with the value MoveAllowed, releases it from
	// Google's controller in each cluster that takes traffic from fedsync's load
	// balancer. It is to be set when DNS has the new address.
	AnnotationMove = "fedsync.dev/move"
	MoveAllowed    = "Allowed"
	// AddressManager is the field manager of the address in an Ingress's status.
	AddressManager = "fedsync-address"
)

// MayBalance reports whether fedsync, if it creates load balancers, creates one for an
// Ingress that has this AnnotationClass and this spec.ingressClassName in Git. The
// annotation takes precedence over the field, as in controllers.
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

// Node is a node of a cluster that may receive traffic from outside the cluster.
type Node struct {
	Name       string `file:"name,required" doc:"Its name."`
	ProviderID string `file:"providerID" doc:"Its spec.providerID, such as gce://project/zone/name."`
	Zone       string `file:"zone" doc:"Its zone, from its label."`
	// Address is empty if the node has none.
	Address  string    `file:"address" doc:"Its first internal IPv4 address."`
	Ready    bool      `file:"ready" default:"true" doc:"Whether it is Ready."`
	Since    time.Time `file:"since" doc:"When ready last changed, by the cluster's clock."`
	Excluded bool      `file:"excluded" doc:"Whether it must not receive traffic: it is about to be removed, or its label excludes it from load balancers."`
}

// Balancer is what is known about the load balancer of one Ingress.
type Balancer struct {
	Ingress     ObjectRef         `json:"ingress" file:"ingress,required" doc:"Its Ingress, in the form networking.k8s.io/Ingress/NAMESPACE/NAME."`
	App         string            `json:"app,omitempty" file:"app" doc:"The Ingress's app."`
	File        string            `json:"file,omitempty" file:"file" doc:"The Ingress's file."`
	Address     string            `json:"address,omitempty" file:"address" doc:"The address of its forwarding rule; omitted while it has none."`
	AddressName string            `json:"addressName,omitempty" file:"addressName" doc:"The name of that address."`
	Complete    bool              `json:"complete" file:"complete" doc:"Whether all its resources on Compute Engine exist and are up to date."`
	Refused     untrusted.Text    `json:"refused,omitzero" file:"refused" doc:"Why it is not created or not updated."`
	Waits       bool              `json:"waits,omitempty" file:"waits" doc:"Whether the reason in refused is temporary and needs no action."`
	Since       time.Time         `json:"since,omitzero" file:"since" doc:"When it was first requested."`
	Clusters    []BalancerCluster `json:"clusters" file:"clusters" sort:"cluster" doc:"The clusters that should be behind it."`
	// Resources are in the order of creation.
	Resources []string `json:"resources,omitempty" file:"resources" doc:"The resources that it consists of, such as URL map NAME."`
}

// Cluster returns what is known about one cluster, and reports whether it is behind
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
	Endpoints int            `json:"endpoints" file:"endpoints" doc:"How many endpoints it has behind the load balancer, each a node and a node port."`
	Healthy   int            `json:"healthy" file:"healthy" doc:"How many of these endpoints are healthy."`
	Reason    untrusted.Text `json:"reason,omitzero" file:"reason" doc:"Why it takes no traffic."`
}

// TrafficState is whether a cluster takes traffic.
type TrafficState string

// The states of a cluster behind a load balancer.
const (
	TrafficServing   TrafficState = "Serving"     // at least one endpoint of each backend service is healthy
	TrafficWaiting   TrafficState = "Waiting"     // its endpoints are being created, or not probed yet
	TrafficUnhealthy TrafficState = "Unhealthy"   // it has endpoints, and their probes fail
	TrafficNone      TrafficState = "NoEndpoints" // it has no endpoints
	TrafficUnknown   TrafficState = "Unknown"     // Compute Engine, or the cluster, cannot be read
	TrafficDraining  TrafficState = "Draining"    // it gets no new connections, and existing ones may end
	TrafficDrained   TrafficState = "Drained"     // it is no longer behind the load balancer
)
