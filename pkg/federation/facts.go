package federation

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// ClusterState is the state of a member cluster, by its probes.
type ClusterState string

// The states of a member cluster.
const (
	// ClusterPending means that there are too few probes for any other state.
	ClusterPending ClusterState = "Pending"
	// ClusterReady means that the cluster answers and accepts fedsync's credentials.
	ClusterReady ClusterState = "Ready"
	// ClusterNotReady means that recent probes failed, but too few for Offline.
	ClusterNotReady ClusterState = "NotReady"
	// ClusterOffline means that as many probes failed as the threshold demands, for a
	// reason that means absence: dns, refused, timeout, network or a server error.
	ClusterOffline ClusterState = "Offline"
	// ClusterUnknown means that the cluster may be healthy but cannot be read:
	// unauthorised, forbidden, tls, a missing context or unusable answers. Nothing is
	// moved because of this state.
	ClusterUnknown ClusterState = "Unknown"
)

// FailureClass is the reason why a cluster's answer is missing or unusable.
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
	FailureThrottled    FailureClass = "throttled"  // the cluster asks for fewer requests
	FailureServer       FailureClass = "server"     // the cluster answers with a server error
	FailureInvalid      FailureClass = "invalid"    // the cluster rejects the request's content
	FailureConflict     FailureClass = "conflict"   // the request conflicts with the existing object
	FailureContext      FailureClass = "context"    // the context is missing from the kubeconfig, or unusable
	FailureFiles        FailureClass = "files"      // a file that the kubeconfig names is missing or unusable
	FailureMisbehaves   FailureClass = "misbehaves" // the answer is not an API server's: endless, or a redirect
	FailureNetwork      FailureClass = "network"    // unreachable, reset, or another error of the connection
)

// Absent reports whether a failure of this class means that the cluster is away,
// rather than that it refuses access.
func (f FailureClass) Absent() bool {
	switch f {
	case FailureDNS, FailureRefused, FailureTimeout, FailureServer, FailureNetwork:
		return true
	case FailureNone, FailureTLS, FailureUnauthorised, FailureForbidden, FailureThrottled,
		FailureInvalid, FailureConflict, FailureContext, FailureFiles, FailureMisbehaves:
		return false
	}
	return false
}

// Facts are what the clusters report, limited to what the schedule and the diagnosis
// need. A cluster without an entry is Ready and empty.
type Facts struct {
	Clusters map[string]ClusterFacts // by cluster name
	// Balancers are the load balancers that fedsync maintains on Google Cloud, as last
	// read; sorted by Ingress. Until BalancersKnown is true they have not been read, and
	// a missing one means nothing.
	Balancers      []Balancer
	BalancersKnown bool
}

// Of returns the facts of a cluster. Without an entry, it is Ready and runs nothing.
func (f Facts) Of(cluster string) ClusterFacts {
	if facts, ok := f.Clusters[cluster]; ok {
		return facts
	}
	return ClusterFacts{State: ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true}
}

// ClusterFacts are what one cluster reports, or last reported while it cannot be read.
// The tags define the file format and are explained at form. A doc tag also documents
// its field here. Lists are sorted by the keys in their sort tags.
type ClusterFacts struct {
	// UID is empty if it is not known yet or may not be read.
	UID     string         `file:"uid" doc:"The UID of its Namespace kube-system, which identifies the cluster."`
	State   ClusterState   `file:"state" default:"Ready" enum:"Ready NotReady Offline Unknown Pending" doc:"Its state, by its probes."`
	Failure FailureClass   `file:"failure" enum:"dns refused timeout tls unauthorised forbidden throttled server invalid conflict context files misbehaves network" doc:"The class of its last failure."`
	Error   untrusted.Text `file:"error" doc:"The last probe's error."`
	Since   time.Time      `file:"since" doc:"When its state began, such as 2026-01-02T15:04:05Z."`
	// AwaySince is the start of fedsync if the cluster never answered. It is zero
	// while the cluster answers, except during an Outage.
	AwaySince time.Time `file:"awaySince" doc:"When it stopped answering."`
	// Outage reports that the facts are from before the cluster went away. It ends when
	// they are current again.
	Outage  bool   `file:"outage,implied" doc:"Whether it is Offline, or was Offline and has not been read since. The default is true if it is Offline."`
	Failed  int    `file:"failed" doc:"How many of its last probes failed."`
	Probes  int    `file:"probes" doc:"How many probes failed counts from."`
	Version string `file:"version" doc:"The version of its API server, such as v1.37.2."`
	// Synced reports that every watch that the schedule needs has listed, and that none
	// of them has failed for long.
	Synced bool `file:"synced,implied" doc:"Whether the facts are current. The default is true if the cluster is Ready or NotReady."`
	// Seen reports that the facts below are known, although they may be old.
	Seen bool `file:"seen" default:"true" doc:"Whether the facts have been current at any time since fedsync started."`
	// Inventory omits the objects of an app of which only the record is left.
	Inventory map[string][]ObjectRef `file:"inventory" sort:"" doc:"The existing objects that fedsync manages, by app, each as [GROUP/]KIND[/NAMESPACE]/NAME."`

	// PortsKnown reports that Services may be listed, and have been.
	PortsKnown bool       `file:"portsKnown" default:"true" doc:"Whether nodePorts is complete."`
	NodePorts  []NodePort `file:"nodePorts" sort:"port protocol namespace service servicePort" doc:"The node ports in use, of all Services."`
	Workloads  []Workload `file:"workloads" sort:"group kind namespace name" doc:"The ReplicaSets and Deployments that fedsync manages."`

	Zones      []string `file:"zones" sort:"" doc:"The zones of its nodes."`
	Regions    []string `file:"regions" sort:"" doc:"The regions of its nodes."`
	NodesKnown bool     `file:"nodesKnown" doc:"Whether nodes is complete."`
	Nodes      []Node   `file:"nodes" sort:"name" doc:"The nodes that may receive traffic from outside the cluster."`

	IngressesKnown bool        `file:"ingressesKnown" default:"true" doc:"Whether ingresses is complete."`
	Ingresses      []Ingress   `file:"ingresses" sort:"namespace name" doc:"All Ingresses, managed by fedsync or not."`
	Endpoints      []Endpoints `file:"endpoints" sort:"namespace service" doc:"The endpoints of the Services that fedsync manages."`
	ServicesKnown  bool        `file:"servicesKnown" doc:"Whether services is complete in the namespaces of Ingresses that fedsync manages."`
	Services       []Service   `file:"services" sort:"namespace name" doc:"The Services that an Ingress may name, managed by fedsync or not."`

	IngressUID   IngressUID    `file:"ingressUID" doc:"The ConfigMap kube-system/ingress-uid; not known if omitted."`
	Quotas       []Quota       `file:"quotas" sort:"namespace name" doc:"The ResourceQuotas."`
	Certificates []Certificate `file:"certificates" sort:"namespace name" doc:"The Secrets that Ingresses managed by fedsync name."`

	AutoscalersKnown bool         `file:"autoscalersKnown" doc:"Whether autoscalers is complete; if not, those in Git count as accepted by the cluster."`
	Autoscalers      []Autoscaler `file:"autoscalers" sort:"namespace name" doc:"All HorizontalPodAutoscalers, managed by fedsync or not."`
	// StorageClasses are read only while a managed claim waits for its volume.
	StorageClassesKnown bool           `file:"storageClassesKnown" doc:"Whether storageClasses is complete."`
	StorageClasses      []StorageClass `file:"storageClasses" sort:"name" doc:"The StorageClasses."`
	// IngressClasses are read only while there are managed Ingresses.
	IngressClassesKnown bool                `file:"ingressClassesKnown" doc:"Whether ingressClasses is complete."`
	IngressClasses      []IngressController `file:"ingressClasses" sort:"name" doc:"The IngressClasses."`

	Blind []Blind `file:"blind" sort:"resource" doc:"The resources that cannot be watched."`
}

// Away reports whether the cluster is Offline, or has not been read since it was. The
// schedule decides whether what ran there counts as gone.
func (f ClusterFacts) Away() bool { return f.Outage || f.State == ClusterOffline }

// Workload returns the facts of one workload, and reports whether it exists.
func (f ClusterFacts) Workload(ref ObjectRef) (Workload, bool) {
	i, found := slices.BinarySearchFunc(f.Workloads, ref, func(w Workload, ref ObjectRef) int { return w.Object.Compare(ref) })
	if !found {
		return Workload{}, false
	}
	return f.Workloads[i], true
}

// NodePort is one node port in use.
type NodePort struct {
	Protocol  string `file:"protocol" default:"TCP" enum:"TCP UDP SCTP" doc:"The port's protocol."`
	Port      int32  `file:"port,required" doc:"The node port."`
	Namespace string `file:"namespace" default:"default" doc:"The namespace of the Service that has it."`
	Service   string `file:"service,required" doc:"The Service that has it."`
	// ServicePort is 0 for a healthCheckNodePort, which has none.
	ServicePort int32 `file:"servicePort" doc:"The Service's own port; it may be omitted if the Service has only one port of this protocol."`
	HealthCheck bool  `file:"healthCheck" doc:"Whether it is a healthCheckNodePort."`
}

// Holder returns the Service that has the port.
func (p NodePort) Holder() ObjectRef {
	return ObjectRef{Kind: "Service", Namespace: p.Namespace, Name: p.Service}
}

// Compare orders node ports by number, protocol and holder.
func (p NodePort) Compare(o NodePort) int {
	return cmp.Or(
		cmp.Compare(p.Port, o.Port),
		strings.Compare(p.Protocol, o.Protocol),
		strings.Compare(p.Namespace, o.Namespace),
		strings.Compare(p.Service, o.Service),
		cmp.Compare(p.ServicePort, o.ServicePort),
	)
}

// Workload is the state of a ReplicaSet or Deployment in one cluster.
type Workload struct {
	Object   ObjectRef `file:"" ref:"kind group namespace name"`
	Replicas int64     `file:"replicas,required" doc:"Its spec.replicas."`
	Ready    int64     `file:"ready,always" doc:"How many of its pods are Ready."`
	// Current is spec.replicas less the pods that have not been Ready for a minute or
	// longer.
	Current int64 `file:"current,implied" doc:"How many of its pods count as running. The default is ready."`
	Scaled  bool  `file:"scaled" doc:"Whether fedsync leaves its replica count to another controller, such as an autoscaler."`
	// Unschedulable pods are pending now. Limited reports that some have been for a
	// minute or longer.
	Unschedulable int64          `file:"unschedulable" doc:"How many of its pods are unschedulable."`
	Limited       bool           `file:"limited,implied" doc:"Whether unschedulable pods limit what the cluster can run. The default is true if there are any or capacity is given."`
	Capacity      int64          `file:"capacity,implied" doc:"The most pods that the cluster can run, if it is limited. The default is replicas minus unschedulable."`
	Reason        untrusted.Text `file:"reason" doc:"The scheduler's message about one of the unschedulable pods."`
}

// Ingress is an Ingress in a cluster, managed by fedsync or not.
type Ingress struct {
	Namespace string    `file:"namespace" default:"default" doc:"Its namespace."`
	Name      string    `file:"name,required" doc:"Its name."`
	Ours      bool      `file:"ours" doc:"Whether it has fedsync's label."`
	ClassName string    `file:"className" doc:"Its class, by field or annotation."`
	URLMap    string    `file:"urlMap" doc:"Its annotation ingress.kubernetes.io/url-map."`
	Created   time.Time `file:"created" doc:"When it was created, by the cluster's clock."`
	Addresses []string  `file:"addresses" sort:"" doc:"The addresses in its status."`
	Google    bool      `file:"google" doc:"Whether it has annotations or the finalizer of Google's controller."`
	// GoogleHeld reports that the controller has not released it yet.
	GoogleHeld bool `file:"googleHeld" doc:"Whether it has the finalizer of Google's controller."`
	// StatusBy is empty if it has no address.
	StatusBy untrusted.Text `file:"statusBy" doc:"The field manager that wrote the address in its status."`
}

// Ingress returns the facts of one Ingress, and reports whether it is known. If
// IngressesKnown is false, an unknown Ingress may exist.
func (f ClusterFacts) Ingress(namespace, name string) (Ingress, bool) {
	i, found := slices.BinarySearchFunc(f.Ingresses, 0, func(in Ingress, _ int) int {
		return byName(in.Namespace, in.Name, namespace, name)
	})
	if !found {
		return Ingress{}, false
	}
	return f.Ingresses[i], true
}

func byName(namespace, name, otherNamespace, otherName string) int {
	return cmp.Or(strings.Compare(namespace, otherNamespace), strings.Compare(name, otherName))
}

// Service is a Service in a cluster, managed by fedsync or not, with the fields that
// matter to an Ingress.
type Service struct {
	Namespace string `file:"namespace" default:"default" doc:"Its namespace."`
	Name      string `file:"name,required" doc:"Its name."`
	Type      string `file:"type" default:"ClusterIP" enum:"ClusterIP NodePort LoadBalancer ExternalName" doc:"Its type."`
	NEG       string `file:"neg" doc:"Its annotation cloud.google.com/neg."`
	Ports     []Port `file:"ports" doc:"Its ports, in its order."`
}

// Endpoints are the endpoints of one managed Service.
type Endpoints struct {
	Namespace string `json:"namespace" file:"namespace" default:"default" doc:"The Service's namespace."`
	Service   string `json:"service" file:"service,required" doc:"The Service's name."`
	Ready     int    `json:"ready" file:"ready,always" doc:"How many endpoints are Ready."`
	NotReady  int    `json:"notReady" file:"notReady" doc:"How many endpoints are not Ready."`
	// Addresses has at most 8 entries.
	Addresses []string `json:"addresses,omitempty" file:"addresses" sort:"" doc:"Some of the Ready endpoints, such as 10.152.1.3:8080."`
}

// IngressUID is the content of the ConfigMap kube-system/ingress-uid, from which
// Google's ingress controller derives the names of what it creates.
type IngressUID struct {
	// Known reports that the ConfigMap may be read, and that this was tried.
	Known  bool
	Exists bool `file:"exists" default:"true" doc:"Whether the ConfigMap exists."`
	// UID is the value in the ConfigMap. Effective returns the part that counts.
	UID      string `file:"uid" doc:"Its data.uid."`
	Provider string `file:"provider" doc:"Its data.provider-uid."`
}

// Effective returns the UID that the controller uses: the text after the last "--".
func (u IngressUID) Effective() string {
	if i := strings.LastIndex(u.UID, "--"); i >= 0 {
		return u.UID[i+2:]
	}
	return u.UID
}

// Quota is one ResourceQuota: its limits and its usage.
type Quota struct {
	Namespace string `file:"namespace" default:"default" doc:"Its namespace."`
	Name      string `file:"name,required" doc:"Its name."`
	// Hard is by resource: "services.nodeports", "pods", "count/replicasets.apps".
	Hard   map[string]int64 `file:"hard" doc:"The limits, by resource."`
	Used   map[string]int64 `file:"used" doc:"The usage, by resource."`
	Scoped bool             `file:"scoped" doc:"Whether it counts only pods in its scopes."`
}

// Certificate is a Secret that a managed Ingress names under spec.tls.
type Certificate struct {
	Namespace string `file:"namespace" default:"default" doc:"The Secret's namespace."`
	Name      string `file:"name,required" doc:"The Secret's name."`
	Exists    bool   `file:"exists" default:"true" doc:"Whether the Secret exists."`
	Type      string `file:"type" doc:"The Secret's type, such as kubernetes.io/tls."`
	// Digest is the same for equal certificates.
	Digest string `file:"digest" doc:"A digest of its tls.crt."`
}

// Blind is a resource that cannot be watched in a cluster.
type Blind struct {
	Resource string `file:"resource,required" doc:"The resource, such as ingresses.networking.k8s.io."`
	// Failure is FailureNone if the cluster does not serve the resource, or if the
	// reason is not known.
	Failure FailureClass   `file:"failure" enum:"dns refused timeout tls unauthorised forbidden throttled server invalid conflict context files misbehaves network" doc:"The class of the failure; omitted if the cluster does not serve the resource."`
	Error   untrusted.Text `file:"error" doc:"The cluster's answer."`
}

// Refused reports whether watching the resource is not possible or not permitted,
// rather than failing at the moment.
func (b Blind) Refused() bool { return b.Failure == FailureNone || b.Failure == FailureForbidden }
