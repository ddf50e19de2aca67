package gcp

import (
	"context"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Input is what Build reads of the federation.
type Input struct {
	Federation *federation.Federation // GCP is not nil
	Source     string                 // digest of repository, ref and path
	Plan       federation.Plan
	Facts      federation.Facts
	Now        time.Time
	// Secrets are the certificates that the members hold, by "namespace/name"; one
	// that is missing has not been read. Errors say why in a sentence.
	Secrets map[string]KeyPair
	// Left says when endpoints of a cluster last left, for the pace at which they may:
	// memory of this process, with its start for what it does not know.
	Left map[string]time.Time
}

// KeyPair is a certificate and its key, equal in all members, or why there is none.
type KeyPair struct {
	Chain  string
	Key    Secret
	Digest string // of both
	Error  string
}

// Observed is what there is on Compute Engine. A kind is in Complete when all of it
// has been listed: only then does the absence of a resource mean anything.
type Observed struct {
	At        time.Time
	Resources map[ID]Resource // of ours, and others under names that Build may want or that use our addresses
	Complete  map[Kind]bool
	Machines  map[string]Machine // by providerID: "gce://project/zone/name"; a missing one is not known
	// Health is what getHealth said last, by backend service and group; an entry
	// without endpoints is "nothing probed yet".
	Health map[ID]map[ID]GroupHealth
	Errors []LookError
}

// LookError is something that could not be read.
type LookError struct {
	What string // "endpoint groups", "machines of zone europe-west1-b"
	Err  error  // without secrets
	// Since is when it could not be read first.
	Since time.Time
}

// Machine is a node's machine.
type Machine struct {
	Project, Zone, Name string
	Network, Subnetwork string // "projects/P/global/networks/N", "projects/P/regions/R/subnetworks/S"
	Address             string // primary internal IPv4
	Tags                []string
	// Missing says that Compute Engine has no such machine.
	Missing bool
}

// GroupHealth is how the endpoints of a group are, as the load balancer sees them.
type GroupHealth struct {
	At        time.Time
	Healthy   int
	Unhealthy int
	Unknown   int // neither, yet
}

// Wanted is what there should be.
type Wanted struct {
	Owner     Owner
	Resources map[ID]Resource
	// Held says what is to be left as it is, neither changed nor deleted, and why:
	// because what it follows from cannot be read now, or is refused.
	Held      map[ID]string
	Findings  []federation.Finding
	Balancers []Balancer
}

// Drains reports whether the connections of some cluster are given time to end.
func (w Wanted) Drains() bool {
	for _, r := range w.Resources {
		if len(r.Mark.Draining) > 0 {
			return true
		}
	}
	return false
}

// Balancer says which resources one Ingress's load balancer consists of.
type Balancer struct {
	Ingress federation.ObjectRef
	App     string
	File    string
	Address ID
	Rules   []ID
	// Services are the backend services, by the Service port that each stands for:
	// "default/nginx:80".
	Services map[string]ID
	// Clusters are those that should stand behind it, sorted; Groups may have others,
	// which leave.
	Clusters []string
	// Groups are the groups of each cluster, sorted.
	Groups map[string][]ID
	// Refused says why it is not built, or not changed; empty where it is.
	Refused string
	Waits   bool // Refused passes by itself
}

// Verb is what an action does.
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
	Reason untrusted.Text // for people
	// Want is the resource as it should be; of a deletion, as it is. Its Fingerprint
	// is the observed one.
	Want      Resource
	Endpoints []Endpoint // to attach or detach; at most 500
	// After are actions of the same plan, by index, that have to succeed first.
	After []int
}

// Planned is how to get from what there is to what there should be.
type Planned struct {
	Actions  []Action             // in an order in which they can be executed one by one
	Findings []federation.Finding // conflicts: what is not ours under a name that is wanted
	Settled  bool                 // nothing is to be done, and nothing waited for
}

// Cloud is Compute Engine, as far as the keeper needs it. *Compute is the real one.
type Cloud interface {
	// Look lists what there is. It returns what it could read, with the errors in it.
	Look(ctx context.Context, scope Scope) Observed
	// Do executes an action and waits for its operation. A repeat is harmless. Its
	// errors are *Error.
	Do(ctx context.Context, a Action) error
	// Health asks a backend service for the health of one of its groups.
	Health(ctx context.Context, service, group ID) (GroupHealth, error)
}

// Scope says what Look is to read.
type Scope struct {
	Owner Owner
	Names map[ID]bool // wanted names that may be somebody else's
	// Network is the one of the firewall rule: its name, or its URL where it is of
	// another project, as in federation.GCP.
	Network string
	Nodes   []string // providerIDs whose machines are to be known
	Earlier Observed // of the look before: what it has of machines and endpoints need not be read again unless it changed
}

// Owner returns whose resources the input is about.
func (in *Input) Owner() Owner { return Owner{in.Federation.Name, in.Source} }

// Quota is how many of something a project may have, and has.
type Quota struct {
	Metric       string // "BACKEND_SERVICES"
	Limit, Usage float64
}

// QuestionTimeout bounds one question to Compute Engine.
const QuestionTimeout = 15 * time.Second
