package post

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// notes is a forge that accepts several statuses at once.
type notes struct {
	forge
	batches []string // "at seconds: sha state, …"
	start   time.Time
}

func (n *notes) Interval() time.Duration { return 5 * time.Second }

func (n *notes) PostAll(ctx context.Context, commits []status.Commit) error {
	var words []string
	for _, c := range commits {
		if n.answer != nil {
			if err := n.answer(c); err != nil {
				return err
			}
		}
		words = append(words, fmt.Sprintf("%.1s %s", c.SHA, c.Description))
	}
	for _, c := range commits {
		c.Time = time.Now()
		n.posted = append(n.posted, c)
	}
	slices.Sort(words)
	n.batches = append(n.batches, fmt.Sprintf("%.0fs: %s", time.Since(n.start).Seconds(), strings.Join(words, ", ")))
	return ctx.Err()
}

func (n *notes) Post(ctx context.Context, c status.Commit) error {
	return n.PostAll(ctx, []status.Commit{c})
}

func TestABatcherGetsTheNewestStatusesOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{start: time.Now()}
		p, _ := run(t, n, Options{})
		p.Want(want(shaA, status.Pending, "1"))
		synctest.Wait()
		for i := range 4 {
			p.Want(status.Commit{SHA: shaA, Context: web, State: status.Failure, Description: fmt.Sprint("newer ", i)})
			p.Want(status.Commit{SHA: shaB, Context: web, State: status.Pending, Description: fmt.Sprint("newer ", i)})
			p.Want(status.Commit{SHA: shaB, Context: web + "/c1", State: status.Pending, Description: fmt.Sprint("c1 ", i)})
			advance(t, time.Second)
		}
		advance(t, time.Minute)
		check(t, n.batches, []string{"0s: 1 1", "5s: 1 newer 3, b c1 3, b newer 3"})
	})
}

func TestOneRejectedStatusDoesNotRejectItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{start: time.Now()}
		n.answer = func(c status.Commit) error {
			if c.SHA == shaB {
				return status.ErrRejected
			}
			return nil
		}
		p, _ := run(t, n, Options{})
		p.Want(want(shaA, status.Pending, "1"))
		p.Want(want(shaB, status.Pending, "2"))
		advance(t, time.Minute)
		if len(n.batches) != 1 || !strings.Contains(n.batches[0], "1 1") || len(p.Findings()) != 1 {
			t.Errorf("batches %v, findings %v: want the good status and one finding", n.batches, p.Findings())
		}
	})
}

// hanging answers a post only when its context ends.
type hanging struct{ forge }

func (h *hanging) Post(ctx context.Context, c status.Commit) error {
	if c.SHA == shaA {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.forge.Post(ctx, c)
}

func TestAForgeThatHangsCostsOneTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{}
		p, _ := run(t, h, Options{})
		p.Want(want(shaA, status.Pending, "1"))
		synctest.Wait()
		p.Want(want(shaB, status.Pending, "2")) // does not block
		advance(t, callTimeout+2*backoffMin)
		if len(h.posted) != 1 || h.posted[0].SHA != shaB {
			t.Errorf("posted %v, want the newer commit after one timeout", h.posted)
		}
	})
}
