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
// out of sight, what it reported last.
type ClusterFacts struct {
	// UID is that of the Namespace kube-system, which tells one cluster from any
	// other. Empty where it is not known: not yet, or it may not be read.
	UID     string
	State   ClusterState
	Failure FailureClass
	Error   untrusted.Text // the last probe's
	Since   time.Time      // when State began
	// Outage says that the cluster is Offline, or was and has not been seen since:
	// what is known of it is from before. It ends when its facts are those of now.
	Outage bool
	// AwaySince is when the cluster stopped answering, or the start of fedsync
	// where it never did; zero while it answers, but for an Outage.
	AwaySince time.Time
	// Failed of the last Probes probes failed.
	Failed, Probes int
	Version        string // of the API server: "v1.37.2"
	// Synced says that the facts below are those of now: every watch that the
	// schedule needs has listed, and none of them has failed for long.
	Synced bool
	// Seen says that Synced was true at some time since the start: the facts below
	// are at worst old.
	Seen bool
	// Inventory holds the objects that bear our label in the cluster, by app,
	// sorted. An app of which only the record is left has none.
	Inventory map[string][]ObjectRef

	// PortsKnown says that NodePorts are all that there are: Services may be
	// listed, and have been.
	PortsKnown bool
	NodePorts  []NodePort // of all Services, ours too; sorted by Compare
	Workloads  []Workload // ours, sorted by object

	Zones, Regions []string // of the nodes, sorted
	// NodesKnown says that Nodes are all that there are: they may be listed, and
	// have been.
	NodesKnown bool
	Nodes      []Node // sorted by name
	// IngressesKnown says that Ingresses are all that there are: they may be listed,
	// and have been.
	IngressesKnown bool
	Ingresses      []Ingress   // sorted by namespace and name
	Endpoints      []Endpoints // of our Services, sorted
	// ServicesKnown says that Services are all that there are in the namespaces
	// where Ingresses of ours stand.
	ServicesKnown bool
	Services      []Service // ours or not, sorted by namespace and name
	IngressUID    IngressUID
	Quotas        []Quota       // sorted by namespace and name
	Certificates  []Certificate // Secrets that our Ingresses name, sorted
	// AutoscalersKnown says that Autoscalers are all that there are: they may be
	// listed, and have been.
	AutoscalersKnown bool
	Autoscalers      []Autoscaler // ours or not, sorted by namespace and name
	// StorageClassesKnown says that StorageClasses are all that there are. They are
	// looked for only while a claim of ours waits for its volume.
	StorageClassesKnown bool
	StorageClasses      []StorageClass // sorted by name
	// IngressClassesKnown says that IngressClasses are all that there are. They are
	// looked for only while there are Ingresses of ours.
	IngressClassesKnown bool
	IngressClasses      []IngressController // sorted by class
	Blind               []Blind             // what cannot be watched, sorted by resource
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
	Protocol string // TCP, UDP or SCTP
	Port     int32  // the node port
	// Namespace and Service name the holder.
	Namespace, Service string
	// ServicePort is the Service's own port; 0 where it is not known, or for a
	// healthCheckNodePort, which has none.
	ServicePort int32
	// HealthCheck marks a healthCheckNodePort.
	HealthCheck bool
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
	Object   ObjectRef
	Replicas int64 // spec.replicas
	Ready    int64 // pods that are Ready now
	// Current is what counts as running: spec.replicas less the pods that have
	// not been Ready for a minute or longer.
	Current int64
	// Scaled says that fedsync applied the workload and left Replicas to others, as to
	// an autoscaler.
	Scaled bool
	// Limited says that pods could not be scheduled for a minute or longer, and
	// Capacity is then the most that the cluster can run.
	Limited  bool
	Capacity int64
	// Unschedulable pods wait for room now, and Reason is the scheduler's word on
	// one of them.
	Unschedulable int64
	Reason        untrusted.Text
}

// Ingress is an Ingress in a cluster, ours or not.
type Ingress struct {
	Namespace, Name string
	Ours            bool
	ClassName       string    // by field or annotation; empty for none
	URLMap          string    // the annotation ingress.kubernetes.io/url-map
	Created         time.Time // by the cluster's clock
	Addresses       []string  // sorted
	// Google says that Google's controller serves it, or did: it bears the
	// controller's annotations or finalizer. With the finalizer it is GoogleHeld:
	// the controller has not let go of it yet.
	Google, GoogleHeld bool
	// StatusBy is who wrote the address, by the managed fields of the status; empty
	// where nobody did.
	StatusBy untrusted.Text
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

// Service is a Service in a cluster, ours or not, as far as an Ingress reads it.
type Service struct {
	Namespace, Name string
	Type            string // "ClusterIP", "NodePort", "LoadBalancer" or "ExternalName"
	NEG             string // the annotation cloud.google.com/neg
	Ports           []Port // in the object's order
}

// Endpoints are those behind one Service of ours.
type Endpoints struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Ready     int    `json:"ready"`
	NotReady  int    `json:"notReady"`
	// Addresses of the first Ready ones, as "10.152.1.3:8080", sorted; at most 8.
	Addresses []string `json:"addresses,omitempty"`
}

// IngressUID is the content of the ConfigMap kube-system/ingress-uid, by which
// Google's ingress controller names what it makes.
type IngressUID struct {
	Known    bool // it may be read, and was looked for
	Exists   bool
	UID      string // as it stands there; Effective gives what counts
	Provider string // provider-uid
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
	Namespace, Name string
	Hard, Used      map[string]int64 // by resource: "services.nodeports", "pods", "count/replicasets.apps"
	Scoped          bool             // it counts only some of the pods: those of its scopes
}

// Certificate is a Secret that an Ingress of ours names under spec.tls.
type Certificate struct {
	Namespace, Name string
	Exists          bool
	Type            string // "kubernetes.io/tls"
	Digest          string // of tls.crt; equal digests are equal certificates
}

// Blind is a resource that cannot be watched in a cluster.
type Blind struct {
	Resource string       // "services", "ingresses.networking.k8s.io"
	Failure  FailureClass // why; none where the cluster does not serve it, or nobody said
	Error    untrusted.Text
}

// Refused reports whether the resource may not be watched, rather than that the
// cluster fails to let us.
func (b Blind) Refused() bool { return b.Failure == FailureNone || b.Failure == FailureForbidden }
