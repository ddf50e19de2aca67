package member

import (
	"context"
	"errors"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
)

// triesAtATime is how many requests of one Try are under way: what is tried stands back
// behind what is applied, which has the rest.
const triesAtATime = 2

// errNotThere is why a cluster cannot be asked.
var errNotThere = errors.New("it does not answer now")

// Try asks the cluster what an apply of a plan would do, by dry runs over the connection
// that there is, and writes nothing. It holds up nothing that the member does. Its error
// says that the cluster could not be asked, or not about everything before ctx ended: what
// it said until then is returned as well.
func (m *Member) Try(ctx context.Context, plan federation.ClusterPlan) ([]apply.Difference, error) {
	s := m.sessionNow()
	if s == nil || m.facts().State != federation.ClusterReady {
		return nil, errNotThere
	}
	return s.applier.DiffBeside(ctx, plan, triesAtATime)
}
