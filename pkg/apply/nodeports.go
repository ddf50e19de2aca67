package apply

import (
	"context"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/write"
)

// park moves a Service to free ports, and records what came of it.
func (a *Applier) park(ctx context.Context, r *row, k write.Known, used map[int32]bool, held map[object.Port]bool, f *flight) (done bool) {
	answer, err := a.writer.Park(ctx, k, used, held)
	if err != nil {
		a.endFailed(ctx, r, f, k, write.Outcome{Verb: "apply"}, err)
		return false
	}
	v := a.table.reader.Live(answer)
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	r.flight = nil
	if f.incarnation == t.incarnation {
		r.base, r.live, r.seen, r.made, r.drift, r.last = &v, &v, time.Now(), "", nil, try{}
	}
	a.replay(r)
	return false // the circle is open now: others go first
}
