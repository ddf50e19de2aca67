package gcp

import (
	"context"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Input is the federation's state that Build reads.
type Input struct {
	Federation *federation.Federation // GCP is not nil
	Source     string                 // digest of repository, ref and path
	Plan       federation.Plan
	Facts      federation.Facts
	Now        time.Time
	// Secrets are the certificates that the members hold, by "namespace/name". A
	// missing entry has not been read.
	Secrets map[string]KeyPair
	// Left is when endpoints of a cluster last left, by cluster: it paces the next
	// ones. This process remembers it; before its first event it is the process's start.
	Left map[string]time.Time
}

// KeyPair is a certificate and its key, equal in all members, or, as Error, a sentence
// on why there is none.
type KeyPair struct {
	Chain  string
	Key    Secret
	Digest string // of both
	Error  string
}

// Observed is the state of Compute Engine. A kind is in Complete if all of its
// resources have been listed: only then does the absence of one mean anything.
type Observed struct {
	At time.Time
	// Resources are our own, and those of other owners under names that Build may want
	// or that use our addresses.
	Resources map[ID]Resource
	Complete  map[Kind]bool
	Machines  map[string]Machine // by providerID: "gce://project/zone/name"; a missing one is not known
	// Health is the last answer of getHealth, by backend service and group. An entry
	// without endpoints means that nothing has been probed yet.
	Health map[ID]map[ID]GroupHealth
	Errors []ReadError
}

// ReadError is a read that failed.
type ReadError struct {
	What string // "endpoint groups", "machines of zone europe-west1-b"
	Err  error  // without secrets
	// Since is when the read first failed.
	Since time.Time
}

// Machine is a node's machine.
type Machine struct {
	Project, Zone, Name string
	Network, Subnetwork string // "projects/P/global/networks/N", "projects/P/regions/R/subnetworks/S"
	Address             string // primary internal IPv4
	Tags                []string
	// Missing is set if Compute Engine has no such machine.
	Missing bool
}

// GroupHealth counts the endpoints of a group by their health, as the load balancer
// sees them.
type GroupHealth struct {
	At        time.Time
	Healthy   int
	Unhealthy int
	Unknown   int // not probed yet
}

// Wanted is the state that Compute Engine should have.
type Wanted struct {
	Owner     Owner
	Resources map[ID]Resource
	// Held are the resources that are neither changed nor deleted, and why: what they
	// follow from cannot be read now, or is refused.
	Held      map[ID]string
	Findings  []federation.Finding
	Balancers []Balancer
}

// Drains reports whether some cluster is being drained.
func (w Wanted) Drains() bool {
	for _, r := range w.Resources {
		if len(r.Mark.Draining) > 0 {
			return true
		}
	}
	return false
}

// Balancer lists the resources of one Ingress's load balancer.
type Balancer struct {
	Ingress federation.ObjectRef
	App     string
	File    string
	Address ID
	Rules   []ID
	// Services are the backend services, by Service port: "default/nginx:80".
	Services map[string]ID
	// Clusters are those that should be behind it, sorted. Groups may have more, which
	// are leaving.
	Clusters []string
	// Groups are the groups of each cluster, sorted.
	Groups map[string][]ID
	// Refused is why it is not built or changed; empty if it is.
	Refused string
	Waits   bool // the reason in Refused resolves itself
}

// Verb is the operation of an action.
type Verb string

// The verbs.
const (
	Create Verb = "create"
	Update Verb = "update"
	Attach Verb = "attach" // endpoints to a group
	Detach Verb = "detach"
	Delete Verb = "delete"
)

// Action is one call to Compute Engine.
type Action struct {
	Verb   Verb
	ID     ID
	Fields []string       // that an update changes, sorted
	Reason untrusted.Text // shown to users
	// Want is the wanted resource, or the observed one for a deletion. Its Fingerprint
	// is the observed one.
	Want      Resource
	Endpoints []Endpoint // to attach or detach; at most MaxEndpoints
	// After holds the indexes of the plan's actions that must succeed first.
	After []int
}

// Planned holds the actions that lead from the observed to the wanted state.
type Planned struct {
	Actions  []Action             // in an order in which they can be executed one by one
	Findings []federation.Finding // conflicts: wanted names that belong to other owners
	Settled  bool                 // nothing is to be done or waited for
}

// Cloud is the part of Compute Engine that the keeper needs. Package gce implements it.
type Cloud interface {
	// Observe reads the state of Compute Engine. It returns what it could read, and the
	// errors of what it could not.
	Observe(ctx context.Context, scope Scope) Observed
	// Do executes an action and waits for its operation. A repeat is harmless. Its
	// errors are *Error.
	Do(ctx context.Context, a Action) error
	// Health asks a backend service for the health of one of its groups.
	Health(ctx context.Context, service, group ID) (GroupHealth, error)
}

// Scope is what Observe reads.
type Scope struct {
	Owner Owner
	Names map[ID]bool // wanted names that may belong to other owners
	// Network is the firewall rule's network: its name, or its URL if it is in another
	// project, as in federation.GCP.
	Network string
	Nodes   []string // providerIDs of the machines to read
	// Earlier is the previous state: its machines and endpoints are read again only if
	// they changed.
	Earlier Observed
}

// Owner returns the owner of the federation's resources.
func (in *Input) Owner() Owner { return Owner{in.Federation.Name, in.Source} }

// Quota is how many resources of one kind a project may have, and has.
type Quota struct {
	Metric       string // "BACKEND_SERVICES"
	Limit, Usage float64
}

// QuestionTimeout bounds one read of Compute Engine.
const QuestionTimeout = 15 * time.Second
