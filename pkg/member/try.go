package member

import (
	"context"
	"errors"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
)

// triesAtATime is the number of concurrent requests of one Try. It is small because
// applies go first and need the rest.
const triesAtATime = 2

// errNotReady is why a cluster cannot be asked.
var errNotReady = errors.New("it does not answer now")

// Try asks the cluster what an apply of a plan would do, with dry runs over the current
// connection, and writes nothing. It delays no other work of the member. Its error
// means that the cluster could not be asked, or not about everything before ctx ended;
// the differences found until then are returned as well.
func (m *Member) Try(ctx context.Context, plan federation.ClusterPlan) ([]apply.Difference, error) {
	s := m.sessionNow()
	if s == nil || m.facts().State != federation.ClusterReady {
		return nil, errNotReady
	}
	return s.applier.DiffLimited(ctx, plan, triesAtATime)
}
