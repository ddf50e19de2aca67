package federation

import "path"

// What a repository's fedsync.yaml says of itself.
const (
	APIVersion = "fedsync.dev/v1alpha1"
	Kind       = "Federation"
	// FileName is where a repository keeps its Federation.
	FileName = "fedsync.yaml"
	// AnnotationPrune on the Federation, with the value Allowed, lets the
	// deletions of that revision pass which would otherwise be held.
	AnnotationPrune = "fedsync.dev/prune"
)

// Federation is the content of fedsync.yaml: which clusters there are, and which
// apps they run. Defaults have been filled in.
type Federation struct {
	Name        string            `file:"metadata.name"`
	Folder      string            // of the repository that it lives in; empty for its root
	Annotations map[string]string `file:"metadata.annotations"`

	Clusters         []Cluster    `file:"spec.clusters"`
	Apps             []App        `file:"spec.apps"`
	CreateNamespaces bool         `file:"spec.createNamespaces" default:"true"`
	NodePorts        PortRange    `file:"spec.nodePorts.range" default:"30000-32767"`
	Failover         Failover     `file:""`
	GCP              *GCP         `file:"spec.gcp"` // nil without the block: nothing is assumed of Google Cloud
	CommitStatus     CommitStatus `file:""`
	OnRemove         OnRemove     `file:"spec.onRemove" default:"Orphan"`
}

// File is the name of the file that has the Federation, within the repository.
func (f *Federation) File() string { return path.Join(f.Folder, FileName) }

// PruneAllowed says whether this revision lets held deletions pass.
func (f *Federation) PruneAllowed() bool { return f.Annotations[AnnotationPrune] == "Allowed" }

// Cluster is one member cluster.
type Cluster struct {
	Name    string            `file:"name"`
	Context string            `file:"context"` // in the kubeconfig; the name unless the file says otherwise
	Labels  map[string]string `file:"labels"`
	Lost    bool              `file:"state" true:"Lost"` // a person took it out of the count
	// Drain takes the cluster's traffic away, and then its replicas.
	Drain bool `file:"drain"`
	// Weight is the cluster's part of the traffic, in percent of what its replicas
	// would get: 1 to 100; 100 unless the file says otherwise.
	Weight int `file:"weight" default:"100"`
	// Zone is a zone of Compute Engine near a cluster whose nodes are no machines of
	// Compute Engine: its endpoint groups are made there. Empty for all others.
	Zone string `file:"zone"`
}

// App is one folder of manifests that clusters run together.
type App struct {
	Name       string     `file:"name"`
	Path       string     `file:"path"` // of its folder, slash-separated, relative to the repository's root
	Selector   Selector   `file:"clusterSelector"`
	Adoption   Adoption   `file:"adoption" default:"Always"`
	Prune      bool       `file:"prune" default:"true"`
	PruneLimit PruneLimit `file:"pruneLimit" default:"10%"`
}

// Adoption says what happens to an object that exists before fedsync does.
type Adoption string

// The adoption policies.
const (
	AdoptAlways Adoption = "Always" // it is taken over and made to conform
	AdoptNever  Adoption = "Never"  // it is left alone, and that is an error
)

// PruneLimit is how many of an app's objects may be deleted at once: a share of
// them in percent, or a count.
type PruneLimit struct {
	Percent int
	Count   int
	IsCount bool
}

// PortRange is the clusters' --service-node-port-range, both ends included.
type PortRange struct{ First, Last int32 }

// Failover says whether replicas move by themselves.
type Failover struct {
	Mode          string   `file:"spec.failover.mode" default:"Automatic"` // or Off
	ConfirmedLost []string `file:"spec.failover.confirmLost"`              // clusters a person declared lost
}

// GCP is what Compute Engine needs to be told.
type GCP struct {
	Project      string         `file:"project"`
	Network      string         `file:"network" default:"default"` // its name, or projects/HOST/global/networks/NAME of a shared VPC
	LoadBalancer LoadBalancer   `file:"loadBalancer" default:"NodePorts"`
	Firewall     FirewallPolicy `file:"firewall" default:"Managed"`
	Addresses    AddressPolicy  `file:"addresses" default:"Reserve"`
	Tags         []string       `file:"tags" sort:""` // network tags of all nodes; none: they are found out from the machines
}

// LoadBalancer says who makes the load balancers.
type LoadBalancer string

// The ways to a load balancer.
const (
	LoadBalancerNodePorts LoadBalancer = "NodePorts" // fedsync makes it, in front of the nodes' ports
	LoadBalancerSharedUID LoadBalancer = "SharedUID" // the clusters' own controllers, by one UID
	LoadBalancerNone      LoadBalancer = "None"      // not our concern
)

// FirewallPolicy says who lets the load balancer's traffic in to the nodes.
type FirewallPolicy string

// The policies for the firewall.
const (
	FirewallManaged FirewallPolicy = "Managed" // fedsync keeps a rule
	FirewallReport  FirewallPolicy = "Report"  // it says which rule is missing
	FirewallOff     FirewallPolicy = "Off"     // it does not look
)

// AddressPolicy says what to do about an address that does not exist.
type AddressPolicy string

// The policies for addresses.
const (
	AddressReserve         AddressPolicy = "Reserve"
	AddressRequireExisting AddressPolicy = "RequireExisting"
)

// Balances reports whether fedsync itself makes the load balancers.
func (f *Federation) Balances() bool {
	return f.GCP != nil && f.GCP.LoadBalancer == LoadBalancerNodePorts
}

// CommitStatus says how the outcome is named on the forge.
type CommitStatus struct {
	Context    string `file:"spec.commitStatus.context"` // fedsync/<federation> unless the file says otherwise
	PerCluster bool   `file:"spec.commitStatus.perCluster"`
}

// OnRemove says what happens to a cluster that leaves the file.
type OnRemove string

// What can happen to a cluster that leaves the file.
const (
	OnRemoveOrphan OnRemove = "Orphan" // it is left as it is
	OnRemoveDelete OnRemove = "Delete" // it is emptied
)

// App gives the app of that name, nil where there is none.
func (f *Federation) App(name string) *App {
	for i := range f.Apps {
		if f.Apps[i].Name == name {
			return &f.Apps[i]
		}
	}
	return nil
}

// Targets says whether some app goes to the cluster.
func (f *Federation) Targets(c Cluster) bool {
	for _, app := range f.Apps {
		if app.Selector.Matches(c) {
			return true
		}
	}
	return false
}
