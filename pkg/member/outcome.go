package member

import (
	"maps"
	"slices"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Order is a plan with a number, by which an outcome says what it belongs to.
type Order struct {
	federation.ClusterPlan

	Number int // from 1; 0 is none
}

// Outcome is what a member reports. It is a value: its slices are not changed.
type Outcome struct {
	Facts federation.ClusterFacts
	// Applied is the revision that the cluster was last made equal to.
	Applied federation.Revision
	// Revision is the one that the changes and the findings on objects are of; zero
	// while nothing, or only a part of a revision, was brought to the cluster.
	Revision federation.Revision

	Handed int  // the number of the newest order
	Begun  int  // of the newest that is being carried out
	Tried  bool // everything of that was tried, or compared
	Done   bool // the cluster is equal to it
	Final  bool // by itself nothing more will come of it
	Blind  bool // some of what is ours cannot be listed

	Changes      []federation.Change // made for the revision, and what could not be
	Observations []federation.Observation
	Findings     []federation.Finding // on objects of the plan
	Own          []federation.Finding // on the cluster itself, whatever it should run

	Compared    bool               // the newest order was compared with the cluster
	Differences []apply.Difference // of that
}

// Current reports whether the cluster is known to be equal to its newest plan.
func (o Outcome) Current() bool {
	return o.Handed > 0 && o.Begun == o.Handed && o.Done && o.Facts.Synced
}

// Settled reports whether nothing more will come of the newest plan by itself.
func (o Outcome) Settled() bool {
	return o.Current() || o.Handed > 0 && o.Begun == o.Handed && o.Tried && o.Final
}

// samePlan compares by digests: an object of equal content is the same object.
func samePlan(a, b federation.ClusterPlan) bool {
	return a.Revision == b.Revision && a.CreateNamespaces == b.CreateNamespaces && a.Early == b.Early && a.Provisional == b.Provisional && a.Excluded == b.Excluded &&
		(a.Addresses == nil) == (b.Addresses == nil) && maps.Equal(a.Addresses, b.Addresses) &&
		slices.EqualFunc(a.Apps, b.Apps, func(a, b federation.AppPlan) bool {
			return a.App == b.App && a.Adoption == b.Adoption && a.Prune == b.Prune && a.Broken == b.Broken &&
				slices.EqualFunc(a.Withheld, b.Withheld, func(a, b federation.Withheld) bool { return a.Object == b.Object }) &&
				slices.EqualFunc(a.Objects, b.Objects, func(a, b *federation.Object) bool {
					return a == b || a.Digest == b.Digest && a.File == b.File
				})
		})
}
