package preview

import (
	"errors"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// Comparison is what every cluster runs, and what an apply of the revision would
// change there.
type Comparison struct {
	Report *status.Report
	Facts  federation.Facts // what the clusters reported
	Plan   federation.Plan  // the plan by these facts
	// Differences are the differences in each cluster, by name. A cluster that could
	// not be compared has no entry.
	Differences map[string][]apply.Difference
	// Findings are those of the rendering, the plan and the comparison. The report
	// has more, about what runs.
	Findings    []federation.Finding
	Uncommitted Uncommitted
}

// ErrNoAnswer is returned if no cluster could be queried.
var ErrNoAnswer = errors.New("no cluster answers")
