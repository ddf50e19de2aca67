package federation

import (
	"maps"
	"slices"
	"strings"
)

//go:generate go run ../../internal/findingspage ../../docs/doctor.md

// The ids of findings. Each has an entry in docs/doctor.md. Ids are part of the interface:
// pages, metrics and alerts use them, so they must not change.
const (
	FindingNoContext        = "D01"                // no usable context of a kubeconfig leads to the cluster
	FindingCredentials      = "D02"                // credentials are refused, or not allowed to look
	FindingUnreachable      = "D03"                // the API server is not reachable, or not trusted
	FindingClusterTwice     = "D04"                // two names lead to one cluster, or an overlay has no cluster
	FindingNotReady         = "D05"                // the API server answers with errors, or asks for fewer requests
	FindingWatchFails       = "D06"                // a list or watch fails, and not for permission
	FindingPermission       = "D07"                // fedsync's user is not permitted to do something
	FindingQuota            = "D08"                // a ResourceQuota has too little room
	FindingNamespace        = "D09"                // a namespace is missing or being deleted
	FindingRefused          = "D10"                // the API server refused an object
	FindingNodePorts        = "D11"                // node ports differ between clusters
	FindingNodePortTaken    = "D11b"               // a node port is held, requested twice or out of range
	FindingServiceType      = "D11c"               // a load balancer cannot reach a Service of this type
	FindingController       = "D12"                // an Ingress has another controller
	FindingUID              = "D13"                // the UIDs of Google's controllers differ or are missing
	FindingBuiltWithUID     = "D15"                // an Ingress was built before the UID changed
	FindingFirewall         = "D16"                // a firewall keeps the load balancer out
	FindingAddresses        = "D17"                // an Ingress has several addresses, or one that may not last
	FindingEndpoints        = "D18"                // no ready endpoint is behind an Ingress
	FindingCertificate      = "D19"                // a TLS Secret is missing, wrong or not the same everywhere
	FindingBackend          = "D20"                // a backend does not exist
	FindingUnschedulable    = "D21"                // pods cannot be scheduled
	FindingNothingReady     = "D22"                // nothing is ready where something should be
	FindingAlreadyExists    = "AlreadyExists"      // an object already exists and is left unchanged
	FindingAddress          = "address"            // an Ingress has no address yet, or an unusable one
	FindingAddressChanged   = "address-changed"    // the address of an Ingress has changed
	FindingAdopted          = "adopted"            // an existing object was taken over
	FindingAnnotation       = "annotation"         // an annotation cannot be read
	FindingAutoscaler       = "autoscaler"         // an autoscaler that is not in Git sets replicas
	FindingAwaited          = "awaited"            // a decision waits for facts from clusters
	FindingBalancer         = "balancer"           // a load balancer is not created or not updated
	FindingBalancerConflict = "balancer-conflict"  // a required resource already exists and has another owner
	FindingBalancerFixed    = "balancer-fixed"     // a difference cannot be corrected in place
	FindingBalancerInUse    = "balancer-in-use"    // an obsolete resource is still used by another resource
	FindingBalancerMissing  = "balancer-missing"   // a resource that a user must create does not exist
	FindingBalancerUntagged = "balancer-untagged"  // a firewall rule would apply to every machine of the network
	FindingClaim            = "claim"              // the Lease of the writing instance is damaged or out of reach
	FindingCloud            = "cloud"              // Compute Engine cannot be read, or refuses a request
	FindingConfig           = "config"             // a field of fedsync.yaml is invalid
	FindingConfirmLost      = "confirm-lost"       // failover.confirmLost names a cluster that is Ready
	FindingDeleting         = "deleting"           // an object is being deleted and waits for a finalizer
	FindingDrain            = "drain"              // a cluster cannot be drained
	FindingFacts            = "facts"              // the facts name a cluster that the federation does not have
	FindingFailoverOff      = "failover-off"       // a cluster is Offline and failover is off
	FindingFederation       = "federation"         // fedsync.yaml cannot be used as a whole
	FindingFenced           = "fenced"             // another instance writes to the cluster
	FindingFight            = "fight"              // another client reverts what fedsync writes
	FindingForeign          = "foreign"            // another client writes what fedsync manages
	FindingFrozen           = "frozen"             // most clusters went away at the same time, and nothing is moved
	FindingHealth           = "health"             // an object is not healthy
	FindingHeld             = "held"               // deletions are held
	FindingInventory        = "inventory"          // the inventory of an app cannot be used
	FindingLeaving          = "leaving"            // a cluster that left the file is being emptied
	FindingMore             = "more"               // Count findings are omitted
	FindingNoShare          = "no-share"           // no replica is placed in a cluster
	FindingNodes            = "nodes"              // nodes cannot be added to the load balancer
	FindingNotSynced        = "not-synced"         // a cluster does not match the commit
	FindingOwned            = "owned"              // an object has another owner
	FindingPerClusterStatus = "per-cluster-status" // statuses per cluster cannot be posted
	FindingPolicy           = "policy"             // the operator does not allow what the repository does
	FindingPortWaiting      = "port-waiting"       // no node port is chosen yet
	FindingProbe            = "probe"              // readiness probes differ, or a load balancer cannot use them
	FindingProbes           = "probes"             // some probes of a cluster failed
	FindingPrune            = "prune"              // objects are not deleted
	FindingRender           = "render"             // a file is invalid
	FindingRendering        = "rendering"          // a revision is still being rendered after the deadline
	FindingReplaced         = "replaced"           // a name leads to another cluster than before
	FindingReplicas         = "replicas"           // totals of replicas conflict, or replicas cannot be placed
	FindingReplicasHeld     = "replicas-held"      // replicas are held until others are ready
	FindingReplicasWaiting  = "replicas-waiting"   // replicas are not divided again
	FindingReserved         = "reserved"           // the repository has an object that is reserved for fedsync
	FindingRetired          = "retired"            // a retired controller serves Ingresses
	FindingSelector         = "selector"           // a Service's selector matches no pods
	FindingSource           = "source"             // the repository cannot be read
	FindingStatus           = "status"             // a status cannot be posted to the forge
	FindingStatusBudget     = "status-budget"      // statuses are posted less often, to stay within the rate limit
	FindingStatusOutbox     = "status-outbox"      // statuses to be posted cannot be stored
	FindingStatusRejected   = "status-rejected"    // the forge rejects a status
	FindingStatusToken      = "status-token"       // the forge rejects the token
	FindingTraffic          = "traffic"            // a cluster takes no traffic
	FindingUnseen           = "unseen"             // fedsync cannot read something at the moment
	FindingWithheld         = "withheld"           // an object is withheld from a cluster, or waits
)

// findingEntry is the catalogue's entry for an id.
type findingEntry struct {
	title      string
	severities string // all with which fedsync reports it, the most severe first
}

var findingEntries = map[string]findingEntry{
	FindingNoContext:        {"No usable kubeconfig context", "EW"},
	FindingCredentials:      {"The credentials are refused", "EW"},
	FindingUnreachable:      {"The API server is not reachable, or not trusted", "EW"},
	FindingClusterTwice:     {"Two names lead to one cluster, or an overlay has no cluster", "EW"},
	FindingNotReady:         {"The API server answers with errors, or asks for fewer requests", "EW"},
	FindingWatchFails:       {"A list or watch fails", "W"},
	FindingPermission:       {"fedsync is not permitted to read or do something", "EW"},
	FindingQuota:            {"A ResourceQuota has too little room", "EI"},
	FindingNamespace:        {"A namespace is missing or being deleted", "E"},
	FindingRefused:          {"The API server refused an object", "EW"},
	FindingNodePorts:        {"Node ports differ between clusters", "EWI"},
	FindingNodePortTaken:    {"A node port is held, requested twice or out of range", "EW"},
	FindingServiceType:      {"A load balancer cannot reach a Service", "EI"},
	FindingController:       {"An Ingress has another controller", "EWI"},
	FindingUID:              {"The UIDs of Google's controllers differ or are missing", "EI"},
	FindingBuiltWithUID:     {"An Ingress was built before the UID changed", "E"},
	FindingFirewall:         {"A firewall keeps the load balancer out", "EWI"},
	FindingAddresses:        {"An Ingress has several addresses, or one that may not last", "EWI"},
	FindingEndpoints:        {"No ready endpoint behind an Ingress", "EWI"},
	FindingCertificate:      {"A TLS Secret is missing, of the wrong type, or not the same everywhere", "EI"},
	FindingBackend:          {"A backend does not exist", "EI"},
	FindingUnschedulable:    {"Pods cannot be scheduled", "W"},
	FindingNothingReady:     {"Nothing is ready where something should be", "WI"},
	FindingAlreadyExists:    {"An object already exists and is left unchanged", "E"},
	FindingAddress:          {"An Ingress has no address yet, or an unusable one", "EW"},
	FindingAddressChanged:   {"The address of an Ingress has changed", "W"},
	FindingAdopted:          {"An existing object was taken over", "I"},
	FindingAnnotation:       {"An annotation cannot be read", "EW"},
	FindingAutoscaler:       {"An autoscaler that is not in Git sets replicas", "I"},
	FindingAwaited:          {"A decision waits for facts from clusters", "W"},
	FindingBalancer:         {"A load balancer is not created or not updated", "EW"},
	FindingBalancerConflict: {"A required resource already exists and has another owner", "E"},
	FindingBalancerFixed:    {"A difference cannot be corrected in place", "E"},
	FindingBalancerInUse:    {"An obsolete resource is still used by another resource", "W"},
	FindingBalancerMissing:  {"A resource that a user must create does not exist", "E"},
	FindingBalancerUntagged: {"A firewall rule would apply to every machine of the network", "E"},
	FindingClaim:            {"The Lease of the writing instance is damaged or out of reach", "E"},
	FindingCloud:            {"Compute Engine cannot be read, or refuses a request", "EWI"},
	FindingConfig:           {"A field of fedsync.yaml is invalid", "E"},
	FindingConfirmLost:      {"failover.confirmLost names a cluster that is Ready", "W"},
	FindingDeleting:         {"An object is being deleted and waits for a finalizer", "EI"},
	FindingDrain:            {"A cluster cannot be drained", "EW"},
	FindingFacts:            {"The facts name a cluster that the federation does not have", "W"},
	FindingFailoverOff:      {"A cluster is Offline and failover is off", "W"},
	FindingFederation:       {"fedsync.yaml cannot be used", "E"},
	FindingFenced:           {"Another instance writes to the cluster", "E"},
	FindingFight:            {"Another client reverts what fedsync writes", "E"},
	FindingForeign:          {"Another client writes what fedsync manages", "W"},
	FindingFrozen:           {"Most clusters went away at the same time, and nothing is moved", "EW"},
	FindingHealth:           {"An object is not healthy", "EI"},
	FindingHeld:             {"Deletions are held", "EW"},
	FindingInventory:        {"The inventory of an app cannot be used", "W"},
	FindingLeaving:          {"A cluster that left the file is being emptied", "WI"},
	FindingMore:             {"Findings are omitted", "EWI"},
	FindingNoShare:          {"No replica is placed in a cluster", "I"},
	FindingNodes:            {"Nodes cannot be added to the load balancer", "W"},
	FindingNotSynced:        {"A cluster does not match the commit", "EW"},
	FindingOwned:            {"An object has another owner", "EW"},
	FindingPerClusterStatus: {"Statuses per cluster cannot be posted", "W"},
	FindingPolicy:           {"The operator does not allow what the repository does", "E"},
	FindingPortWaiting:      {"No node port is chosen yet", "EWI"},
	FindingProbe:            {"Readiness probes differ, or a load balancer cannot use them", "E"},
	FindingProbes:           {"How many probes of a cluster failed", "I"},
	FindingPrune:            {"Objects are not deleted", "WI"},
	FindingRender:           {"A file is invalid", "EWI"},
	FindingRendering:        {"A revision is still being rendered after the deadline", "E"},
	FindingReplaced:         {"A name leads to another cluster than before", "W"},
	FindingReplicas:         {"Totals of replicas conflict, or replicas cannot be placed", "E"},
	FindingReplicasHeld:     {"Replicas are held until others are ready", "WI"},
	FindingReplicasWaiting:  {"Replicas are not divided again", "WI"},
	FindingReserved:         {"The repository has an object that is reserved for fedsync", "E"},
	FindingRetired:          {"A retired controller serves Ingresses", "I"},
	FindingSelector:         {"A Service's selector matches no pods", "WI"},
	FindingSource:           {"The repository cannot be read", "EW"},
	FindingStatus:           {"A status cannot be posted to the forge", "W"},
	FindingStatusBudget:     {"Statuses are posted less often, to stay within the rate limit", "W"},
	FindingStatusOutbox:     {"Statuses to be posted cannot be stored", "W"},
	FindingStatusRejected:   {"The forge rejects a status", "W"},
	FindingStatusToken:      {"The forge rejects the token", "W"},
	FindingTraffic:          {"A cluster takes no traffic", "EW"},
	FindingUnseen:           {"fedsync cannot read something at the moment", "W"},
	FindingWithheld:         {"An object is withheld from a cluster, or waits", "EW"},
}

// FindingIDs returns the ids of the catalogue, sorted.
func FindingIDs() []string { return slices.Sorted(maps.Keys(findingEntries)) }

// FindingTitle returns a short title for an id; empty for an unknown id.
func FindingTitle(id string) string { return findingEntries[id].title }

// FindingSeverities returns the severities with which a finding of this id is reported,
// the most severe first. A report may lower the severity: an error of a cluster that does
// not count becomes a warning, and a problem of a superseded revision becomes a note.
func FindingSeverities(id string) []Severity {
	var all []Severity
	for s := range strings.SplitSeq(findingEntries[id].severities, "") {
		all = append(all, Severity(s))
	}
	return all
}
