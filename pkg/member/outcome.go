package member

import (
	"maps"
	"slices"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Order is a plan with a number, which identifies the plan in an outcome.
type Order struct {
	federation.ClusterPlan

	Number int // from 1; 0 is none
}

// Outcome is what a member reports. It is a value: its slices must not be changed.
type Outcome struct {
	Facts federation.ClusterFacts
	// Applied is the revision that the cluster last matched.
	Applied federation.Revision
	// Revision is that of the changes and of the findings about objects. It is zero
	// while nothing, or only a part of a revision, was applied to the cluster.
	Revision federation.Revision

	Handed int  // the number of the newest order
	Begun  int  // of the newest that is being carried out
	Tried  bool // everything in that order was tried, or compared
	Done   bool // the cluster matches it
	Final  bool // waiting will not change anything
	Blind  bool // some of our objects cannot be listed

	Changes      []federation.Change // made for the revision, and those that failed
	Observations []federation.Observation
	Findings     []federation.Finding // about objects of the plan
	Own          []federation.Finding // about the cluster itself

	Compared    bool               // the newest order was compared with the cluster
	Differences []apply.Difference // between that order and the cluster
}

// Current reports whether the cluster is known to match its newest plan.
func (o Outcome) Current() bool {
	return o.Handed > 0 && o.Begun == o.Handed && o.Done && o.Facts.Synced
}

// Settled reports whether waiting will not change the outcome of the newest plan.
func (o Outcome) Settled() bool {
	return o.Current() || o.Handed > 0 && o.Begun == o.Handed && o.Tried && o.Final
}

// samePlan compares objects by digest: objects of equal content are equal.
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
