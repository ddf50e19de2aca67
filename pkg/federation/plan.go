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
	// Ingresses say who serves each Ingress whose load balancer may be fedsync's,
	// sorted by object; none where fedsync makes no load balancers.
	Ingresses []IngressDecision
}

// ClusterPlan is what one cluster should run.
type ClusterPlan struct {
	Cluster          string
	Revision         Revision
	CreateNamespaces bool // make the namespaces that objects need
	// Early says that the plan was made before the cluster's own facts were known:
	// as soon as they are, there is another.
	Early bool
	// Provisional says that the plan has only those apps of the revision that are
	// certain already, and the others as the revision before has them. What comes of
	// it is not the revision's outcome.
	Provisional bool
	// Excluded is why the cluster is not to be written at all; empty where it is.
	// There are no Apps then, which says nothing of what runs there.
	Excluded string
	Apps     []AppPlan
	// Addresses are those of fedsync's own load balancers, by Ingress: the status of
	// the cluster's Ingress is to show them, and nothing else. An Ingress that is
	// missing shows no address of fedsync's. Nil where nothing is known of the load
	// balancers: what the statuses show stays.
	Addresses map[ObjectRef]string
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
	Object ObjectRef `json:"object"`
	File   string    `json:"file,omitempty"` // within the repository
	Reason string    `json:"reason"`         // "nodePort 30036 held by Service/default/legacy"
	// Waits names the clusters whose facts the decision waits for. With none it is
	// a refusal: only Git or somebody's hand in a cluster changes it.
	Waits []string `json:"waits,omitempty"`
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
	App      string    `json:"app"`
	Service  ObjectRef `json:"service"`
	File     string    `json:"file,omitempty"`
	Protocol string    `json:"protocol"`
	Port     int32     `json:"port"`               // the Service's own
	NodePort int32     `json:"nodePort,omitempty"` // 0 where Basis is waiting or refused
	Basis    PortBasis `json:"basis"`
	Reason   string    `json:"reason"`          // why, in one line
	Waits    []string  `json:"waits,omitempty"` // the clusters whose facts are missing, sorted
	// Clashes are the clusters where somebody else has the port.
	Clashes []PortClash `json:"clashes,omitempty"`
	// Moves are the clusters where the live Service has another port, by name.
	Moves []PortMove `json:"moves,omitempty"`
}

// PortClash is a cluster in which a node port is held by another Service.
type PortClash struct {
	Cluster string    `json:"cluster"`
	Holder  ObjectRef `json:"holder"`
}

// PortMove is a cluster in which the Service's node port changes.
type PortMove struct {
	Cluster string `json:"cluster"`
	From    int32  `json:"from"`
}

// IngressDecision is who serves an Ingress in each of its clusters.
type IngressDecision struct {
	App      string         `json:"app"`
	Ingress  ObjectRef      `json:"ingress"`
	File     string         `json:"file,omitempty"`
	Clusters []IngressClass `json:"clusters"` // in the order of fedsync.yaml
}

// IngressClass is the class that an Ingress has in one cluster.
type IngressClass struct {
	Cluster string     `json:"cluster"`
	Git     string     `json:"git,omitempty"`   // the class in Git; empty for none
	Class   string     `json:"class,omitempty"` // what the cluster gets; empty for none
	Basis   ClassBasis `json:"basis"`
}

// ClassBasis says what made an Ingress's class.
type ClassBasis string

// What makes a class.
const (
	ClassOurs    ClassBasis = "ours"    // fedsync makes its load balancer
	ClassMoves   ClassBasis = "moves"   // Google's controller serves it, and it may leave now
	ClassStays   ClassBasis = "stays"   // Google's controller serves it, and it may not leave
	ClassWaits   ClassBasis = "waits"   // it may leave as soon as the cluster takes traffic behind fedsync's
	ClassUnknown ClassBasis = "unknown" // it is not known whether Google's controller serves it
)

// ReplicasDecision is how the replicas of one workload are divided.
type ReplicasDecision struct {
	App    string          `json:"app"`
	Object ObjectRef       `json:"object"`
	File   string          `json:"file,omitempty"`
	Total  int64           `json:"total"`  // spec.replicas in Git
	Shares []ReplicasShare `json:"shares"` // of the clusters that are targeted, in the order of fedsync.yaml
	// Shortfall is how many could be placed nowhere, and Reason why.
	Shortfall int64    `json:"shortfall,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Waits     []string `json:"waits,omitempty"` // the clusters whose facts are missing, sorted
}

// ReplicasShare is one cluster's part.
type ReplicasShare struct {
	Cluster  string `json:"cluster"`
	Share    int64  `json:"share"`              // what it is meant to run
	Overflow int64  `json:"overflow,omitempty"` // pending pods on top, in the hope of room
	// Replicas is what is written now: Share and Overflow, or more while pods
	// elsewhere are not Ready yet.
	Replicas int64      `json:"replicas"`
	Live     int64      `json:"live"` // spec.replicas as it is; -1 where the object does not exist
	Basis    ShareBasis `json:"basis"`
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
	ShareDrained    ShareBasis = "drained" // its traffic is taken away, and then its replicas
	ShareHeld       ShareBasis = "held"    // as many as run, until others are Ready
)
