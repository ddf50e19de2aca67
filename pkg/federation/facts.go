package federation

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

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
	// forbidden, tls or a missing context; or what it answers is not to be used.
	// Nothing is moved because of it.
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
	FailureThrottled    FailureClass = "throttled"  // it answers that we should ask less often
	FailureServer       FailureClass = "server"     // it answers with a server error
	FailureInvalid      FailureClass = "invalid"    // it does not accept what was sent
	FailureConflict     FailureClass = "conflict"   // what was sent contradicts what is there
	FailureContext      FailureClass = "context"    // not in the kubeconfig, or unusable there
	FailureFiles        FailureClass = "files"      // a file that the kubeconfig names is missing or unusable
	FailureMisbehaves   FailureClass = "misbehaves" // it answers as no API server does: without end, or with a redirect
	FailureNetwork      FailureClass = "network"    // unreachable, reset, and whatever else a connection dies of
)

// Absent reports whether a failure of this class means that the cluster is away,
// rather than that it does not let us look.
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

// Facts are what the clusters report, as far as the schedule and the diagnosis
// read it. A cluster that is missing here is Ready and empty.
type Facts struct {
	Clusters map[string]ClusterFacts // by cluster name
	// Balancers are the load balancers that fedsync keeps on Google Cloud, sorted by
	// Ingress: what is known of them, by the last look. BalancersKnown says that there
	// has been one: before, nothing may be concluded from what is missing.
	Balancers      []Balancer
	BalancersKnown bool
}

// Of gives the facts of a cluster: those that are there, else those of a cluster
// that is Ready and runs nothing.
func (f Facts) Of(cluster string) ClusterFacts {
	if facts, ok := f.Clusters[cluster]; ok {
		return facts
	}
	return ClusterFacts{State: ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true}
}

// ClusterFacts are what one cluster reports: what it reports now, or, while it is
// out of sight, what it reported last. The tags are how a file of facts has them, and
// are explained at form; doc is also the description of the field. Lists are sorted as
// their tags say.
type ClusterFacts struct {
	// UID is empty where it is not known: not yet, or it may not be read.
	UID     string         `file:"uid" doc:"The uid of its Namespace kube-system, which tells one cluster from any other."`
	State   ClusterState   `file:"state" default:"Ready" enum:"Ready NotReady Offline Unknown Pending" doc:"What its probes add up to."`
	Failure FailureClass   `file:"failure" enum:"dns refused timeout tls unauthorised forbidden throttled server invalid conflict context files misbehaves network" doc:"The class of its last failure."`
	Error   untrusted.Text `file:"error" doc:"The last probe's error."`
	Since   time.Time      `file:"since" doc:"When its state began, as in 2026-01-02T15:04:05Z."`
	// AwaySince is the start of fedsync where the cluster never answered, and zero
	// while it answers, but for an Outage.
	AwaySince time.Time `file:"awaySince" doc:"When it stopped answering."`
	// Outage says that what is known of the cluster is from before. It ends when its
	// facts are those of now.
	Outage  bool   `file:"outage,implied" doc:"Whether it is Offline, or was and has not been seen since; true unless given where it is Offline."`
	Failed  int    `file:"failed" doc:"How many of the last probes failed."`
	Probes  int    `file:"probes" doc:"How many probes that is of."`
	Version string `file:"version" doc:"The API server's version, as in v1.37.2."`
	// Synced says that every watch that the schedule needs has listed, and none of
	// them has failed for long.
	Synced bool `file:"synced,implied" doc:"Whether the facts are those of now; true unless given where the cluster is Ready or NotReady."`
	// Seen says that the facts below are at worst old.
	Seen bool `file:"seen" default:"true" doc:"Whether they were those of now at some time since the start."`
	// Inventory has no objects of an app of which only the record is left.
	Inventory map[string][]ObjectRef `file:"inventory" sort:"" doc:"The objects of ours that are there, by app, each as [GROUP/]KIND[/NAMESPACE]/NAME."`

	// PortsKnown says that Services may be listed, and have been.
	PortsKnown bool       `file:"portsKnown" default:"true" doc:"Whether nodePorts are all that there are."`
	NodePorts  []NodePort `file:"nodePorts" sort:"port protocol namespace service servicePort" doc:"The node ports in use, of all Services."`
	Workloads  []Workload `file:"workloads" sort:"group kind namespace name" doc:"The ReplicaSets and Deployments of ours."`

	Zones      []string `file:"zones" sort:"" doc:"The zones of its nodes."`
	Regions    []string `file:"regions" sort:"" doc:"The regions of its nodes."`
	NodesKnown bool     `file:"nodesKnown" doc:"Whether nodes are all that there are."`
	Nodes      []Node   `file:"nodes" sort:"name" doc:"Its nodes, as far as traffic from outside may go to them."`

	IngressesKnown bool        `file:"ingressesKnown" default:"true" doc:"Whether ingresses are all that there are."`
	Ingresses      []Ingress   `file:"ingresses" sort:"namespace name" doc:"The Ingresses, ours or not."`
	Endpoints      []Endpoints `file:"endpoints" sort:"namespace service" doc:"The endpoints behind our Services."`
	ServicesKnown  bool        `file:"servicesKnown" doc:"Whether services are all that there are where our Ingresses stand."`
	Services       []Service   `file:"services" sort:"namespace name" doc:"The Services that an Ingress may name, ours or not."`

	IngressUID   IngressUID    `file:"ingressUID" doc:"The ConfigMap kube-system/ingress-uid; not known unless given."`
	Quotas       []Quota       `file:"quotas" sort:"namespace name" doc:"The ResourceQuotas."`
	Certificates []Certificate `file:"certificates" sort:"namespace name" doc:"The Secrets that our Ingresses name."`

	AutoscalersKnown bool         `file:"autoscalersKnown" doc:"Whether autoscalers are all that there are; where not, those in Git count as accepted."`
	Autoscalers      []Autoscaler `file:"autoscalers" sort:"namespace name" doc:"The HorizontalPodAutoscalers, ours or not."`
	// StorageClasses are looked for only while a claim of ours waits for its volume.
	StorageClassesKnown bool           `file:"storageClassesKnown" doc:"Whether storageClasses are all that there are."`
	StorageClasses      []StorageClass `file:"storageClasses" sort:"name" doc:"The StorageClasses."`
	// IngressClasses are looked for only while there are Ingresses of ours.
	IngressClassesKnown bool                `file:"ingressClassesKnown" doc:"Whether ingressClasses are all that there are."`
	IngressClasses      []IngressController `file:"ingressClasses" sort:"name" doc:"The IngressClasses."`

	Blind []Blind `file:"blind" sort:"resource" doc:"What cannot be watched."`
}

// Away says whether the cluster is Offline, or has not been seen since it was:
// whether what ran there is to be taken as gone is the schedule's to say.
func (f ClusterFacts) Away() bool { return f.Outage || f.State == ClusterOffline }

// Workload gives the facts of one workload; false where it does not run.
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
	ServicePort int32 `file:"servicePort" doc:"The Service's own port; it may be left out where the Service has one port of that protocol."`
	HealthCheck bool  `file:"healthCheck" doc:"Whether it is a healthCheckNodePort."`
}

// Holder is the Service that has the port.
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

// Workload is what a ReplicaSet or Deployment runs in one cluster.
type Workload struct {
	Object   ObjectRef `file:"" ref:"kind group namespace name"`
	Replicas int64     `file:"replicas,required" doc:"Its spec.replicas."`
	Ready    int64     `file:"ready,always" doc:"How many of its pods are Ready."`
	// Current is spec.replicas less the pods that have not been Ready for a minute or
	// longer.
	Current int64 `file:"current,implied" doc:"How many count as running; as many as are ready unless given."`
	Scaled  bool  `file:"scaled" doc:"Whether fedsync left its replicas to others, as to an autoscaler."`
	// Unschedulable pods wait now. Limited says that some have for a minute or longer.
	Unschedulable int64          `file:"unschedulable" doc:"How many of its pods wait for room."`
	Limited       bool           `file:"limited,implied" doc:"Whether that limits what the cluster can run; true unless given where pods wait for room or capacity is given."`
	Capacity      int64          `file:"capacity,implied" doc:"The most that the cluster can run, where it is limited; replicas less unschedulable unless given."`
	Reason        untrusted.Text `file:"reason" doc:"The scheduler's word on one of the pods that wait."`
}

// Ingress is an Ingress in a cluster, ours or not.
type Ingress struct {
	Namespace string    `file:"namespace" default:"default" doc:"Its namespace."`
	Name      string    `file:"name,required" doc:"Its name."`
	Ours      bool      `file:"ours" doc:"Whether it bears our label."`
	ClassName string    `file:"className" doc:"Its class, by field or annotation."`
	URLMap    string    `file:"urlMap" doc:"Its annotation ingress.kubernetes.io/url-map."`
	Created   time.Time `file:"created" doc:"When it was created, by the cluster's clock."`
	Addresses []string  `file:"addresses" sort:"" doc:"The addresses of its status."`
	Google    bool      `file:"google" doc:"Whether it bears the annotations or the finalizer of Google's controller."`
	// GoogleHeld says that the controller has not let go of it yet.
	GoogleHeld bool `file:"googleHeld" doc:"Whether it bears the finalizer of Google's controller."`
	// StatusBy is empty where nobody wrote it.
	StatusBy untrusted.Text `file:"statusBy" doc:"Who wrote its address, by the managed fields."`
}

// Ingress gives the facts of one Ingress; false where it is not there, or where
// IngressesKnown is false, not known to be.
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

// Service is a Service in a cluster, ours or not, as far as an Ingress reads it.
type Service struct {
	Namespace string `file:"namespace" default:"default" doc:"Its namespace."`
	Name      string `file:"name,required" doc:"Its name."`
	Type      string `file:"type" default:"ClusterIP" enum:"ClusterIP NodePort LoadBalancer ExternalName" doc:"Its type."`
	NEG       string `file:"neg" doc:"Its annotation cloud.google.com/neg."`
	Ports     []Port `file:"ports" doc:"Its ports, in its order."`
}

// Endpoints are those behind one Service of ours.
type Endpoints struct {
	Namespace string `json:"namespace" file:"namespace" default:"default" doc:"The Service's namespace."`
	Service   string `json:"service" file:"service,required" doc:"The Service's name."`
	Ready     int    `json:"ready" file:"ready,always" doc:"How many are Ready."`
	NotReady  int    `json:"notReady" file:"notReady" doc:"How many are not."`
	// Addresses are at most 8.
	Addresses []string `json:"addresses,omitempty" file:"addresses" sort:"" doc:"Some that are Ready, as in 10.152.1.3:8080."`
}

// IngressUID is the content of the ConfigMap kube-system/ingress-uid, by which
// Google's ingress controller names what it makes.
type IngressUID struct {
	// Known says that it may be read, and was looked for.
	Known  bool
	Exists bool `file:"exists" default:"true" doc:"Whether the ConfigMap exists."`
	// UID is what is written there; Effective returns what counts.
	UID      string `file:"uid" doc:"Its data.uid."`
	Provider string `file:"provider" doc:"Its data.provider-uid."`
}

// Effective is the UID that the controller uses: the text after the last "--".
func (u IngressUID) Effective() string {
	if i := strings.LastIndex(u.UID, "--"); i >= 0 {
		return u.UID[i+2:]
	}
	return u.UID
}

// Quota is one ResourceQuota: the limits, and what is used of them.
type Quota struct {
	Namespace string `file:"namespace" default:"default" doc:"Its namespace."`
	Name      string `file:"name,required" doc:"Its name."`
	// Hard is by resource: "services.nodeports", "pods", "count/replicasets.apps".
	Hard   map[string]int64 `file:"hard" doc:"The limits, by resource."`
	Used   map[string]int64 `file:"used" doc:"What is used of them."`
	Scoped bool             `file:"scoped" doc:"Whether it counts only the pods of its scopes."`
}

// Certificate is a Secret that an Ingress of ours names under spec.tls.
type Certificate struct {
	Namespace string `file:"namespace" default:"default" doc:"The Secret's namespace."`
	Name      string `file:"name,required" doc:"The Secret's name."`
	Exists    bool   `file:"exists" default:"true" doc:"Whether the Secret exists."`
	Type      string `file:"type" doc:"The Secret's type, as in kubernetes.io/tls."`
	// Digest is equal for equal certificates.
	Digest string `file:"digest" doc:"A digest of its tls.crt."`
}

// Blind is a resource that cannot be watched in a cluster.
type Blind struct {
	Resource string `file:"resource,required" doc:"The resource, as in ingresses.networking.k8s.io."`
	// Failure is FailureNone where the cluster does not serve the resource, or nobody
	// said why.
	Failure FailureClass   `file:"failure" enum:"dns refused timeout tls unauthorised forbidden throttled server invalid conflict context files misbehaves network" doc:"The class of the failure; left out where the cluster does not serve the resource."`
	Error   untrusted.Text `file:"error" doc:"What the cluster answered."`
}

// Refused reports whether the resource may not be watched, rather than that the
// cluster fails to let us.
func (b Blind) Refused() bool { return b.Failure == FailureNone || b.Failure == FailureForbidden }
