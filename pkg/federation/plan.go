package federation

// Plan is what every cluster should run, and why something is left out.
type Plan struct {
	Revision Revision
	Clusters []ClusterPlan // in the order of fedsync.yaml
	Findings []Finding
	// Ports and Replicas say what was decided for each node port and each
	// replica count, and why; sorted by object.
	Ports    []PortDecision
	Replicas []ReplicasDecision
}

// ClusterPlan is what one cluster should run.
type ClusterPlan struct {
	Cluster          string
	Revision         Revision
	CreateNamespaces bool // make the namespaces that objects need
	// Early says that the plan was made before the cluster's own facts were known:
	// as soon as they are, there is another.
	Early bool
	Apps  []AppPlan
}

// AppPlan is what one cluster should run of one app. An app that has left the
// federation or the cluster has a plan without objects.
type AppPlan struct {
	App      string
	Objects  []*Object
	Adoption Adoption
	Prune    PruneVerdict
	// Withheld objects stay as they are in the cluster, if they exist there: they
	// are neither applied nor pruned, and as long as there are some the app counts
	// as not fully applied. Sorted by object.
	Withheld []Withheld
	// Broken says that the app could not be rendered for this cluster: its
	// Objects say nothing, and what runs is left and maintained as it is.
	Broken bool
}

// PruneVerdict says what happens to objects of ours that the plan no longer has.
type PruneVerdict string

// The verdicts on pruning.
const (
	PruneAllowed PruneVerdict = "Allowed" // they are deleted
	PruneOff     PruneVerdict = "Off"     // the app does not prune
	PruneHeld    PruneVerdict = "Held"    // too many at once: a person must let it pass
	PruneWaiting PruneVerdict = "Waiting" // facts that the decision needs are missing
)

// Withheld is an object that is not to be written to a cluster now.
type Withheld struct {
	Object ObjectRef
	File   string // within the repository
	Reason string // "nodePort 30036 held by Service/default/legacy"
	// Waits names the clusters whose facts the decision waits for. With none it is
	// a refusal: only Git or somebody's hand in a cluster changes it.
	Waits []string
}

// PortBasis says where a node port comes from.
type PortBasis string

// The origins of a node port.
const (
	PortPinned    PortBasis = "pinned"    // Git says it
	PortInherited PortBasis = "inherited" // the Service has it where it is live
	PortChosen    PortBasis = "chosen"    // free in every cluster, from the static band
	PortOverflow  PortBasis = "overflow"  // chosen above the band, which is full
	PortWaiting   PortBasis = "waiting"   // not chosen until facts are known
	PortRefused   PortBasis = "refused"   // it cannot be had anywhere
)

// PortDecision is what was decided for one port of one Service, for all clusters.
type PortDecision struct {
	App      string
	Service  ObjectRef
	File     string
	Protocol string
	Port     int32 // the Service's own
	NodePort int32 // 0 where Basis is waiting or refused
	Basis    PortBasis
	Reason   string   // why, in one line
	Waits    []string // the clusters whose facts are missing, sorted
	// Clashes are the clusters where somebody else has the port.
	Clashes []PortClash
	// Moves are the clusters where the live Service has another port, by name.
	Moves []PortMove
}

// PortClash is a cluster in which a node port is held by another Service.
type PortClash struct {
	Cluster string
	Holder  ObjectRef
}

// PortMove is a cluster in which the Service's node port changes.
type PortMove struct {
	Cluster string
	From    int32
}

// ReplicasDecision is how the replicas of one workload are divided.
type ReplicasDecision struct {
	App    string
	Object ObjectRef
	File   string
	Total  int64           // spec.replicas in Git
	Shares []ReplicasShare // of the clusters that are targeted, in the order of fedsync.yaml
	// Shortfall is how many could be placed nowhere, and Reason why.
	Shortfall int64
	Reason    string
	Waits     []string // the clusters whose facts are missing, sorted
}

// ReplicasShare is one cluster's part.
type ReplicasShare struct {
	Cluster  string
	Share    int64 // what it is meant to run
	Overflow int64 // pending pods on top, in the hope of room
	// Replicas is what is written now: Share and Overflow, or more while pods
	// elsewhere are not Ready yet.
	Replicas int64
	Live     int64 // spec.replicas as it is; -1 where the object does not exist
	Basis    ShareBasis
}

// ShareBasis says what made a cluster's share.
type ShareBasis string

// What makes a share.
const (
	ShareByWeight   ShareBasis = "weight"
	ShareByMin      ShareBasis = "min"
	ShareByMax      ShareBasis = "max"
	ShareByCapacity ShareBasis = "capacity"
	ShareByCurrent  ShareBasis = "current" // what runs there stays: rebalance is off
	ShareNone       ShareBasis = "none"    // the preferences do not name the cluster
	ShareOffline    ShareBasis = "offline" // its replicas are placed elsewhere
	ShareLost       ShareBasis = "lost"    // a person declared it lost
	ShareKept       ShareBasis = "kept"    // it cannot be seen, and keeps what it ran last
	ShareHeld       ShareBasis = "held"    // as many as run, until others are Ready
)
