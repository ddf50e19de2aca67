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
	Plan   federation.Plan  // what was planned by these facts
	// Differences are those of each cluster that could be compared, by name; of
	// one that could not, there is no entry.
	Differences map[string][]apply.Difference
	// Findings are those of the rendering, the plan and the comparing. The report
	// has more, about what runs.
	Findings    []federation.Finding
	Uncommitted Uncommitted
}

// ErrNoAnswer is returned when not one cluster could be asked.
var ErrNoAnswer = errors.New("no cluster answers")
