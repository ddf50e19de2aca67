package federation

// Plan is what every cluster should run, and why something is left out.
type Plan struct {
	Revision Revision
	Clusters []ClusterPlan // in the order of fedsync.yaml
	Findings []Finding
}

// ClusterPlan is what one cluster should run.
type ClusterPlan struct {
	Cluster          string
	Revision         Revision
	CreateNamespaces bool // make the namespaces that objects need
	Apps             []AppPlan
}

// AppPlan is what one cluster should run of one app. An app that has left the
// federation or the cluster has a plan without objects.
type AppPlan struct {
	App      string
	Objects  []*Object
	Adoption Adoption
	Prune    PruneVerdict
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
