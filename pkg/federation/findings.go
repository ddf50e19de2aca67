package federation

import (
	"maps"
	"slices"
	"strings"
)

//go:generate go run ../../internal/findingspage ../../docs/doctor.md

// The ids of findings, each an entry of docs/doctor.md. An id is an interface: pages,
// metrics and alerts have it, so it stays as it is.
const (
	FindingNoContext        = "D01"                // no usable context of a kubeconfig leads to the cluster
	FindingCredentials      = "D02"                // credentials are refused, or not allowed to look
	FindingUnreachable      = "D03"                // the API server is not reachable, or not trusted
	FindingClusterTwice     = "D04"                // two names are one cluster, or an overlay has no cluster
	FindingNotReady         = "D05"                // the API server answers with errors, or asks for fewer requests
	FindingWatchFails       = "D06"                // a list or watch fails, and not for permission
	FindingPermission       = "D07"                // fedsync's user may not do something
	FindingQuota            = "D08"                // a ResourceQuota has too little room
	FindingNamespace        = "D09"                // a namespace is missing or being deleted
	FindingRefused          = "D10"                // the API server refused an object
	FindingNodePorts        = "D11"                // node ports differ between clusters
	FindingNodePortTaken    = "D11b"               // a node port is held, asked for twice or out of range
	FindingServiceType      = "D11c"               // a load balancer cannot reach a Service of this type
	FindingController       = "D12"                // an Ingress has another controller
	FindingUID              = "D13"                // the UIDs of Google's controllers differ or are missing
	FindingBuiltWithUID     = "D15"                // an Ingress was built before the UID changed
	FindingFirewall         = "D16"                // a firewall keeps the load balancer out
	FindingAddresses        = "D17"                // an Ingress has several addresses, or one that may not last
	FindingEndpoints        = "D18"                // no ready endpoint is behind an Ingress
	FindingCertificate      = "D19"                // a TLS Secret is missing, wrong or not the same everywhere
	FindingBackend          = "D20"                // a backend does not exist
	FindingUnschedulable    = "D21"                // pods find no node
	FindingNothingReady     = "D22"                // nothing is ready where something should be
	FindingAlreadyExists    = "AlreadyExists"      // an object existed before and is left alone
	FindingAddress          = "address"            // an Ingress has no address yet, or not one that can be used
	FindingAddressChanged   = "address-changed"    // an Ingress has another address than before
	FindingAdopted          = "adopted"            // an object that existed before was taken over
	FindingAnnotation       = "annotation"         // an annotation cannot be read
	FindingAutoscaler       = "autoscaler"         // an autoscaler that is not in Git sets replicas
	FindingAwaited          = "awaited"            // a decision waits for what clusters report
	FindingBalancer         = "balancer"           // a load balancer is not built, or not changed
	FindingBalancerConflict = "balancer-conflict"  // what is wanted exists and is somebody else's
	FindingBalancerFixed    = "balancer-fixed"     // what differs cannot be changed in place
	FindingBalancerInUse    = "balancer-in-use"    // what is left over is used by somebody else
	FindingBalancerMissing  = "balancer-missing"   // what a person has to make does not exist
	FindingBalancerUntagged = "balancer-untagged"  // a firewall rule would be for every machine of the network
	FindingClaim            = "claim"              // the Lease of the writing instance is damaged or out of reach
	FindingCloud            = "cloud"              // Compute Engine cannot be read or refuses
	FindingConfig           = "config"             // a file of settings is wrong
	FindingConfirmLost      = "confirm-lost"       // failover.confirmLost names a cluster that is Ready
	FindingDeleting         = "deleting"           // an object is being deleted and waits for a finalizer
	FindingDrain            = "drain"              // a cluster is not drained
	FindingFacts            = "facts"              // the facts name a cluster that the federation does not have
	FindingFailoverOff      = "failover-off"       // a cluster is Offline and failover is off
	FindingFederation       = "federation"         // fedsync.yaml is wrong
	FindingFenced           = "fenced"             // another instance writes to the cluster
	FindingFight            = "fight"              // somebody takes back what fedsync writes
	FindingForeign          = "foreign"            // somebody else writes what is fedsync's
	FindingFrozen           = "frozen"             // most clusters went away at once, and nothing is moved
	FindingHealth           = "health"             // an object is not healthy
	FindingHeld             = "held"               // deletions are held
	FindingInventory        = "inventory"          // the inventory of an app cannot be used
	FindingLeaving          = "leaving"            // a cluster left the file and is being emptied
	FindingMore             = "more"               // Count others, which are left out
	FindingNoShare          = "no-share"           // no replica is placed in a cluster
	FindingNodes            = "nodes"              // nodes cannot be put behind the load balancer
	FindingNotSynced        = "not-synced"         // a cluster is not equal to the commit
	FindingOwned            = "owned"              // an object is somebody else's
	FindingPerClusterStatus = "per-cluster-status" // statuses per cluster cannot be posted
	FindingPolicy           = "policy"             // the operator does not let the repository do that
	FindingPortWaiting      = "port-waiting"       // no node port is chosen yet
	FindingProbe            = "probe"              // readiness probes differ, or no load balancer can ask them
	FindingProbes           = "probes"             // a cluster did not answer some of its probes
	FindingPrune            = "prune"              // deletions are not made
	FindingRender           = "render"             // a file is wrong
	FindingRendering        = "rendering"          // a revision is still being rendered after the deadline
	FindingReplaced         = "replaced"           // another cluster answers by a name than before
	FindingReplicas         = "replicas"           // totals of replicas contradict, or find no place
	FindingReplicasHeld     = "replicas-held"      // replicas are held until others are ready
	FindingReplicasWaiting  = "replicas-waiting"   // replicas are not divided anew
	FindingReserved         = "reserved"           // the repository has an object that is fedsync's own
	FindingRetired          = "retired"            // a controller that is retired serves Ingresses
	FindingSelector         = "selector"           // a Service's selector takes no pods
	FindingSource           = "source"             // the repository cannot be read
	FindingStatus           = "status"             // the forge cannot be told
	FindingStatusBudget     = "status-budget"      // statuses are posted less often, to stay within the limit
	FindingStatusOutbox     = "status-outbox"      // what is to be posted cannot be kept
	FindingStatusRejected   = "status-rejected"    // the forge does not take a status
	FindingStatusToken      = "status-token"       // the forge refuses the token
	FindingTraffic          = "traffic"            // a cluster takes no traffic
	FindingUnseen           = "unseen"             // fedsync cannot see something now
	FindingWithheld         = "withheld"           // an object is not given to a cluster, or waits
)

// findingEntry is what the catalogue says of an id.
type findingEntry struct {
	title      string
	severities string // those with which a part of fedsync makes it, the heaviest first
}

var findingEntries = map[string]findingEntry{
	FindingNoContext:        {"No usable kubeconfig context", "EW"},
	FindingCredentials:      {"The credentials are refused", "EW"},
	FindingUnreachable:      {"The API server is not reachable, or not trusted", "EW"},
	FindingClusterTwice:     {"Two names are one cluster, or an overlay has no cluster", "EW"},
	FindingNotReady:         {"The API server answers with errors, or asks for fewer requests", "EW"},
	FindingWatchFails:       {"A list or watch fails", "W"},
	FindingPermission:       {"fedsync may not see or do something", "EW"},
	FindingQuota:            {"A ResourceQuota has too little room", "EI"},
	FindingNamespace:        {"A namespace is missing or being deleted", "E"},
	FindingRefused:          {"The API server refused an object", "EW"},
	FindingNodePorts:        {"Node ports differ between clusters", "EWI"},
	FindingNodePortTaken:    {"A node port is held, asked for twice or out of range", "EW"},
	FindingServiceType:      {"A load balancer cannot reach a Service", "EI"},
	FindingController:       {"An Ingress has another controller", "EWI"},
	FindingUID:              {"The UIDs of Google's controllers differ or are missing", "EI"},
	FindingBuiltWithUID:     {"An Ingress was built before the UID changed", "E"},
	FindingFirewall:         {"A firewall keeps the load balancer out", "EWI"},
	FindingAddresses:        {"An Ingress has several addresses, or one that may not last", "EWI"},
	FindingEndpoints:        {"No ready endpoint behind an Ingress", "EWI"},
	FindingCertificate:      {"A TLS Secret is missing, of the wrong type, or not the same everywhere", "EI"},
	FindingBackend:          {"A backend does not exist", "EI"},
	FindingUnschedulable:    {"Pods find no node", "W"},
	FindingNothingReady:     {"Nothing is ready where something should be", "WI"},
	FindingAlreadyExists:    {"An object existed before and is left alone", "E"},
	FindingAddress:          {"An Ingress has no address yet, or not one that can be used", "EW"},
	FindingAddressChanged:   {"An Ingress has another address than before", "W"},
	FindingAdopted:          {"An object that existed before was taken over", "I"},
	FindingAnnotation:       {"An annotation cannot be read", "EW"},
	FindingAutoscaler:       {"An autoscaler that is not in Git sets replicas", "I"},
	FindingAwaited:          {"A decision waits for what clusters report", "W"},
	FindingBalancer:         {"A load balancer is not built, or not changed", "EW"},
	FindingBalancerConflict: {"What is wanted exists and is somebody else's", "E"},
	FindingBalancerFixed:    {"What differs cannot be changed in place", "E"},
	FindingBalancerInUse:    {"What is left over is used by somebody else", "W"},
	FindingBalancerMissing:  {"What a person has to make does not exist", "E"},
	FindingBalancerUntagged: {"A firewall rule would be for every machine of the network", "E"},
	FindingClaim:            {"The Lease of the writing instance is damaged or out of reach", "E"},
	FindingCloud:            {"Compute Engine cannot be read or refuses", "EWI"},
	FindingConfig:           {"A file of settings is wrong", "E"},
	FindingConfirmLost:      {"failover.confirmLost names a cluster that is Ready", "W"},
	FindingDeleting:         {"An object is being deleted and waits for a finalizer", "EI"},
	FindingDrain:            {"A cluster is not drained", "EW"},
	FindingFacts:            {"The facts name a cluster that the federation does not have", "W"},
	FindingFailoverOff:      {"A cluster is Offline and failover is off", "W"},
	FindingFederation:       {"fedsync.yaml is wrong", "E"},
	FindingFenced:           {"Another instance writes to the cluster", "E"},
	FindingFight:            {"Somebody takes back what fedsync writes", "E"},
	FindingForeign:          {"Somebody else writes what is fedsync's", "W"},
	FindingFrozen:           {"Most clusters went away at once, and nothing is moved", "EW"},
	FindingHealth:           {"An object is not healthy", "EI"},
	FindingHeld:             {"Deletions are held", "EW"},
	FindingInventory:        {"The inventory of an app cannot be used", "W"},
	FindingLeaving:          {"A cluster left the file and is being emptied", "WI"},
	FindingMore:             {"Others are left out", "EWI"},
	FindingNoShare:          {"No replica is placed in a cluster", "I"},
	FindingNodes:            {"Nodes cannot be put behind the load balancer", "W"},
	FindingNotSynced:        {"A cluster is not equal to the commit", "EW"},
	FindingOwned:            {"An object is somebody else's", "EW"},
	FindingPerClusterStatus: {"Statuses per cluster cannot be posted", "W"},
	FindingPolicy:           {"The operator does not let the repository do that", "E"},
	FindingPortWaiting:      {"No node port is chosen yet", "EWI"},
	FindingProbe:            {"Readiness probes differ, or no load balancer can ask them", "E"},
	FindingProbes:           {"How often a cluster did not answer", "I"},
	FindingPrune:            {"Deletions are not made", "WI"},
	FindingRender:           {"A file is wrong", "EWI"},
	FindingRendering:        {"A revision is still being rendered after the deadline", "E"},
	FindingReplaced:         {"Another cluster answers by a name than before", "W"},
	FindingReplicas:         {"Totals of replicas contradict, or find no place", "E"},
	FindingReplicasHeld:     {"Replicas are held until others are ready", "WI"},
	FindingReplicasWaiting:  {"Replicas are not divided anew", "WI"},
	FindingReserved:         {"The repository has an object that is fedsync's own", "E"},
	FindingRetired:          {"A controller that is retired serves Ingresses", "I"},
	FindingSelector:         {"A Service's selector takes no pods", "WI"},
	FindingSource:           {"The repository cannot be read", "EW"},
	FindingStatus:           {"The forge cannot be told", "W"},
	FindingStatusBudget:     {"Statuses are posted less often, to stay within the limit", "W"},
	FindingStatusOutbox:     {"What is to be posted cannot be kept", "W"},
	FindingStatusRejected:   {"The forge does not take a status", "W"},
	FindingStatusToken:      {"The forge refuses the token", "W"},
	FindingTraffic:          {"A cluster takes no traffic", "EW"},
	FindingUnseen:           {"fedsync cannot see something now", "W"},
	FindingWithheld:         {"An object is not given to a cluster, or waits", "EW"},
}

// FindingIDs returns the ids of the catalogue, sorted.
func FindingIDs() []string { return slices.Sorted(maps.Keys(findingEntries)) }

// FindingTitle says in a few words what an id stands for; empty where it is no id.
func FindingTitle(id string) string { return findingEntries[id].title }

// FindingSeverities returns the severities with which a finding of this id is made, the
// heaviest first. A report may have it lighter: an error of a cluster that does not count
// is a warning, and what is wrong with a revision that a newer one replaced is a note.
func FindingSeverities(id string) []Severity {
	var all []Severity
	for s := range strings.SplitSeq(findingEntries[id].severities, "") {
		all = append(all, Severity(s))
	}
	return all
}
