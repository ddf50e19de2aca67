package federation

import "path"

// The header of fedsync.yaml, its file name and its annotation.
const (
	APIVersion = "fedsync.dev/v1alpha1"
	Kind       = "Federation"
	// FileName is the base name of the file that holds the Federation.
	FileName = "fedsync.yaml"
	// AnnotationPrune on the Federation, with the value Allowed, releases the
	// deletions of that revision that would otherwise be held.
	AnnotationPrune = "fedsync.dev/prune"
)

// Federation is the content of fedsync.yaml: the clusters, and the apps that they
// run. Defaults are filled in.
type Federation struct {
	Name        string            `file:"metadata.name"`
	Folder      string            // the folder of the repository that holds it; empty for the root
	Annotations map[string]string `file:"metadata.annotations"`

	Clusters         []Cluster    `file:"spec.clusters"`
	Apps             []App        `file:"spec.apps"`
	CreateNamespaces bool         `file:"spec.createNamespaces" default:"true"`
	NodePorts        PortRange    `file:"spec.nodePorts.range" default:"30000-32767"`
	Failover         Failover     `file:""`
	GCP              *GCP         `file:"spec.gcp"` // nil if the block is missing: nothing is assumed about Google Cloud
	CommitStatus     CommitStatus `file:""`
	OnRemove         OnRemove     `file:"spec.onRemove" default:"Orphan"`
}

// File is the name of the file that holds the Federation, within the repository.
func (f *Federation) File() string { return path.Join(f.Folder, FileName) }

// PruneAllowed reports whether this revision releases held deletions.
func (f *Federation) PruneAllowed() bool { return f.Annotations[AnnotationPrune] == "Allowed" }

// Cluster is one member cluster.
type Cluster struct {
	Name    string            `file:"name"`
	Context string            `file:"context"` // in the kubeconfig; the name unless the file says otherwise
	Labels  map[string]string `file:"labels"`
	Lost    bool              `file:"state" true:"Lost"` // a user declared it lost: it does not count
	// Drain moves the cluster's traffic away, and then its replicas.
	Drain bool `file:"drain"`
	// Weight is the cluster's part of the traffic, in percent of what its replicas
	// would get: 1 to 100; 100 unless the file says otherwise.
	Weight int `file:"weight" default:"100"`
	// Zone is a zone of Compute Engine near a cluster whose nodes are not machines of
	// Compute Engine: its endpoint groups are created there. Empty for all other clusters.
	Zone string `file:"zone"`
}

// App is a folder of manifests that is deployed to one or more clusters.
type App struct {
	Name       string     `file:"name"`
	Path       string     `file:"path"` // its folder, slash-separated, relative to the repository's root
	Selector   Selector   `file:"clusterSelector"`
	Adoption   Adoption   `file:"adoption" default:"Always"`
	Prune      bool       `file:"prune" default:"true"`
	PruneLimit PruneLimit `file:"pruneLimit" default:"10%"`
}

// Adoption decides what happens to an object that already exists in a cluster and
// was not created by fedsync.
type Adoption string

// The adoption policies.
const (
	AdoptAlways Adoption = "Always" // it is taken over and made equal to Git
	AdoptNever  Adoption = "Never"  // it is left unchanged, and that is an error
)

// PruneLimit is how many of an app's objects one revision may delete: a percentage
// of them, or a count.
type PruneLimit struct {
	Percent int
	Count   int
	IsCount bool
}

// PortRange is the clusters' --service-node-port-range, both ends included.
type PortRange struct{ First, Last int32 }

// Failover decides whether replicas move automatically.
type Failover struct {
	Mode          string   `file:"spec.failover.mode" default:"Automatic"` // or Off
	ConfirmedLost []string `file:"spec.failover.confirmLost"`              // clusters that a user declared lost
}

// GCP holds the settings for Google Cloud.
type GCP struct {
	Project      string         `file:"project"`
	Network      string         `file:"network" default:"default"` // its name, or projects/HOST/global/networks/NAME of a shared VPC
	LoadBalancer LoadBalancer   `file:"loadBalancer" default:"NodePorts"`
	Firewall     FirewallPolicy `file:"firewall" default:"Managed"`
	Addresses    AddressPolicy  `file:"addresses" default:"Reserve"`
	Tags         []string       `file:"tags" sort:""` // network tags of all nodes; without any, they are read from the machines
}

// LoadBalancer decides who creates the load balancers.
type LoadBalancer string

// The values of LoadBalancer.
const (
	LoadBalancerNodePorts LoadBalancer = "NodePorts" // fedsync creates it, with the nodes' ports as its backends
	LoadBalancerSharedUID LoadBalancer = "SharedUID" // the clusters' own controllers share one, by a common UID
	LoadBalancerNone      LoadBalancer = "None"      // fedsync ignores load balancers
)

// FirewallPolicy decides who opens the firewall for the load balancer's traffic to
// the nodes.
type FirewallPolicy string

// The policies for the firewall.
const (
	FirewallManaged FirewallPolicy = "Managed" // fedsync maintains a rule
	FirewallReport  FirewallPolicy = "Report"  // fedsync reports which rule is missing
	FirewallOff     FirewallPolicy = "Off"     // fedsync does not check the firewall
)

// AddressPolicy decides what happens if an address does not exist.
type AddressPolicy string

// The policies for addresses.
const (
	AddressReserve         AddressPolicy = "Reserve"
	AddressRequireExisting AddressPolicy = "RequireExisting"
)

// Balances reports whether fedsync itself creates the load balancers.
func (f *Federation) Balances() bool {
	return f.GCP != nil && f.GCP.LoadBalancer == LoadBalancerNodePorts
}

// CommitStatus is how the outcome is posted to the forge.
type CommitStatus struct {
	Context    string `file:"spec.commitStatus.context"` // fedsync/<federation> unless the file says otherwise
	PerCluster bool   `file:"spec.commitStatus.perCluster"`
}

// OnRemove decides what happens to a cluster that leaves the file.
type OnRemove string

// The values of OnRemove.
const (
	OnRemoveOrphan OnRemove = "Orphan" // its objects stay
	OnRemoveDelete OnRemove = "Delete" // its objects are deleted
)

// App returns the app of that name, or nil if there is none.
func (f *Federation) App(name string) *App {
	for i := range f.Apps {
		if f.Apps[i].Name == name {
			return &f.Apps[i]
		}
	}
	return nil
}

// Targets reports whether any app is deployed to the cluster.
func (f *Federation) Targets(c Cluster) bool {
	for _, app := range f.Apps {
		if app.Selector.Matches(c) {
			return true
		}
	}
	return false
}
