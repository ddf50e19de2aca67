package federation

// Plan is what every cluster should run, and why anything is omitted.
type Plan struct {
	Revision Revision
	Clusters []ClusterPlan // in the order of fedsync.yaml
	Findings []Finding
	// Ports and Replicas are the decisions on node ports and replica counts, with
	// their reasons; sorted by object.
	Ports    []PortDecision
	Replicas []ReplicasDecision
	// Ingresses are the decisions on who serves each Ingress whose load balancer may be
	// fedsync's, sorted by object; none if fedsync creates no load balancers.
	Ingresses []IngressDecision
}

// ClusterPlan is what one cluster should run.
type ClusterPlan struct {
	Cluster          string
	Revision         Revision
	CreateNamespaces bool // create the namespaces that objects need
	// Early reports that the plan was made before the cluster's own facts were known.
	// A new plan follows as soon as they are.
	Early bool
	// Provisional reports that the plan has only those apps of the revision that are
	// certain already, and the other apps of the previous revision. Its result is not
	// the revision's outcome.
	Provisional bool
	// Excluded is why nothing is written to the cluster; empty otherwise. An excluded
	// cluster has no Apps, whatever runs there.
	Excluded string
	Apps     []AppPlan
	// Addresses are the addresses of fedsync's own load balancers, by Ingress. The status
	// of the cluster's Ingress is to show this address and no other. A missing Ingress
	// shows no address of fedsync's. Nil means that nothing is known about the load
	// balancers, and the statuses stay unchanged.
	Addresses map[ObjectRef]string
}

// AppPlan is what one cluster should run of one app. An app that has left the
// federation or the cluster has a plan without objects.
type AppPlan struct {
	App      string
	Objects  []*Object
	Adoption Adoption
	Prune    PruneVerdict
	// Withheld objects stay unchanged in the cluster, if they exist there: they
	// are neither applied nor pruned. While there are any, the app does not count
	// as fully applied. Sorted by object.
	Withheld []Withheld
	// Broken reports that the app could not be rendered for this cluster. Its Objects
	// are meaningless, and the objects that run there are maintained unchanged.
	Broken bool
}

// PruneVerdict decides what happens to managed objects that the plan no longer has.
type PruneVerdict string

// The verdicts on pruning.
const (
	PruneAllowed PruneVerdict = "Allowed" // they are deleted
	PruneOff     PruneVerdict = "Off"     // the app does not prune
	PruneHeld    PruneVerdict = "Held"    // too many at once: a user must allow it
	PruneWaiting PruneVerdict = "Waiting" // facts that the decision needs are missing
)

// Withheld is an object that is not to be written to a cluster now.
type Withheld struct {
	Object ObjectRef `json:"object"`
	File   string    `json:"file,omitempty"` // within the repository
	Reason string    `json:"reason"`         // "nodePort 30036 held by Service/default/legacy"
	// Waits names the clusters whose facts the decision waits for. An empty list means
	// a refusal: only a change in Git, or by hand in a cluster, resolves it.
	Waits []string `json:"waits,omitempty"`
}

// PortBasis is the origin of a node port.
type PortBasis string

// The origins of a node port.
const (
	PortPinned    PortBasis = "pinned"    // Git states it
	PortInherited PortBasis = "inherited" // the live Service has it
	PortChosen    PortBasis = "chosen"    // free in every cluster, from the static band
	PortOverflow  PortBasis = "overflow"  // chosen above the static band, which is full
	PortWaiting   PortBasis = "waiting"   // not chosen until facts are known
	PortRefused   PortBasis = "refused"   // no usable port exists
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
	// Clashes are the clusters in which another Service has the port.
	Clashes []PortClash `json:"clashes,omitempty"`
	// Moves are the clusters in which the live Service has another port, by name.
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

// IngressDecision is the decision on who serves an Ingress in each of its clusters.
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

// ClassBasis is the reason for an Ingress's class.
type ClassBasis string

// The reasons for a class.
const (
	ClassOurs    ClassBasis = "ours"    // fedsync creates its load balancer
	ClassMoves   ClassBasis = "moves"   // Google's controller serves it, and it may leave now
	ClassStays   ClassBasis = "stays"   // Google's controller serves it, and it may not leave
	ClassWaits   ClassBasis = "waits"   // it may leave as soon as the cluster takes traffic from fedsync's load balancer
	ClassUnknown ClassBasis = "unknown" // it is not known whether Google's controller serves it
)

// ReplicasDecision is how the replicas of one workload are divided.
type ReplicasDecision struct {
	App    string          `json:"app"`
	Object ObjectRef       `json:"object"`
	File   string          `json:"file,omitempty"`
	Total  int64           `json:"total"`  // spec.replicas in Git
	Shares []ReplicasShare `json:"shares"` // of the targeted clusters, in the order of fedsync.yaml
	// Shortfall is how many replicas could not be placed, and Reason is why.
	Shortfall int64    `json:"shortfall,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Waits     []string `json:"waits,omitempty"` // the clusters whose facts are missing, sorted
}

// ReplicasShare is one cluster's part.
type ReplicasShare struct {
	Cluster  string `json:"cluster"`
	Share    int64  `json:"share"`              // what it should run
	Overflow int64  `json:"overflow,omitempty"` // additional pods that stay pending until there is room
	// Replicas is what is written now: the sum of Share and Overflow, or more while pods
	// in other clusters are not Ready yet.
	Replicas int64      `json:"replicas"`
	Live     int64      `json:"live"` // the live spec.replicas; -1 if the object does not exist
	Basis    ShareBasis `json:"basis"`
}

// ShareBasis is the reason for a cluster's share.
type ShareBasis string

// The reasons for a share.
const (
	ShareByWeight   ShareBasis = "weight"
	ShareByMin      ShareBasis = "min"
	ShareByMax      ShareBasis = "max"
	ShareByCapacity ShareBasis = "capacity"
	ShareByCurrent  ShareBasis = "current" // its running replicas stay: rebalance is off
	ShareNone       ShareBasis = "none"    // the preferences do not name the cluster
	ShareOffline    ShareBasis = "offline" // its replicas are placed in other clusters
	ShareLost       ShareBasis = "lost"    // a user declared it lost
	ShareKept       ShareBasis = "kept"    // it cannot be observed, and keeps its last known replicas
	ShareDrained    ShareBasis = "drained" // its traffic is moved away, and then its replicas
	ShareHeld       ShareBasis = "held"    // it keeps its running replicas until those in other clusters are Ready
)
