package post

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// mirror returns a forge that receives shaA only after a while.
func mirror(late time.Duration) *forge {
	f, start := &forge{}, time.Now()
	f.answer = func(c status.Commit) error {
		if c.SHA == shaA && time.Since(start) < late {
			return fmt.Errorf("post: %w: no such commit", status.ErrRejected)
		}
		return nil
	}
	return f
}

func TestACommitThatReachesTheForgeLateGetsItsStatus(t *testing.T) {
	for _, late := range []time.Duration{time.Second, 59 * time.Second, 3 * time.Minute, 20 * time.Minute, time.Hour, 5 * time.Hour} {
		for _, state := range []status.State{status.Pending, status.Success, status.Failure} {
			synctest.Test(t, func(t *testing.T) {
				start, f := time.Now(), mirror(late)
				p, _ := run(t, f, Options{})
				p.Want(want(shaA, status.Pending, "0/3 synced"))
				advance(t, 5*time.Second)
				for time.Since(start) < late+late/2+10*time.Second {
					p.Want(want(shaA, state, "words")) // as the loop does
					advance(t, 10*time.Second)
				}
				if len(f.posted) == 0 || f.posted[len(f.posted)-1].State != state {
					t.Fatalf("%s late: posted %v, want the %s", late, f.history(start), state)
				}
				if got := p.Findings(); len(got) > 0 {
					t.Errorf("%s late: findings %v after the post", late, got)
				}
				if n := len(f.attempts); n > 50 {
					t.Errorf("%s late: %d attempts", late, n)
				}
			})
		}
	}
}

func TestAnUnknownSupersededCommitIsDroppedAfterAnHour(t *testing.T) {
	for late, known := range map[time.Duration]bool{30 * time.Minute: true, 24 * time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			f := mirror(late)
			p, _ := run(t, f, Options{})
			p.Begin(federation.Revision{SHA: shaA})
			p.Want(want(shaA, status.Failure, "1/3 failed"))
			advance(t, 5*time.Second)
			p.Begin(federation.Revision{SHA: shaB})
			advance(t, 2*time.Hour)
			if posted := len(f.posted) == 1 && strings.HasPrefix(f.posted[0].Description, superseded); posted != known {
				t.Errorf("%s late: posted %v, want a last status: %t", late, f.posted, known)
			}
			if len(p.entries) > 0 {
				t.Errorf("%s late: %d statuses are remembered", late, len(p.entries))
			}
		})
	}
}

// stubborn hangs for one commit. If it is deaf it ignores even its context, until it is
// released.
type stubborn struct {
	forge
	sha   string
	deaf  bool
	letGo chan struct{}
}

func (s *stubborn) hang(ctx context.Context) error {
	if s.deaf {
		<-s.letGo
		return errors.New("too late")
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *stubborn) Post(ctx context.Context, c status.Commit) error {
	if c.SHA == s.sha {
		return s.hang(ctx)
	}
	return s.forge.Post(ctx, c)
}

func TestARequestThatAlwaysHangsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &stubborn{sha: shaB}
		p, _ := run(t, s, Options{})
		p.Begin(federation.Revision{SHA: shaA})
		p.Want(want(shaA, status.Pending, "0/3 synced"))
		synctest.Wait()
		p.Want(want(shaB, status.Pending, "0/3 synced")) // the newest, and it hangs
		synctest.Wait()
		p.Want(want(shaA, status.Failure, "1/3 failed"))
		p.Begin(federation.Revision{SHA: shaB})
		advance(t, 10*time.Minute)
		posted := s.history(start)
		if len(posted) != 2 || !strings.Contains(posted[1], superseded) {
			t.Fatalf("posted %v next to a request that always hangs, want both statuses of the other commit", posted)
		}
		if late := s.posted[1].Time.Sub(start); late > callTimeout+2*backoffMin {
			t.Errorf("the other commit's status was delayed by %s, want one timeout", late)
		}
		if got := p.Findings(); len(got) != 1 || got[0].ID != federation.FindingStatus || got[0].Since.Sub(start) > callTimeout+backoffMin {
			t.Errorf("findings %v, want one about the waiting status, since its first failure", got)
		}
	})
}

func TestARequestThatIgnoresItsContextDoesNotPreventTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stubborn{sha: shaA, deaf: true, letGo: make(chan struct{})}
		defer close(s.letGo)
		p, stop := run(t, s, Options{})
		p.Want(want(shaA, status.Pending, "0/3 synced"))
		advance(t, 10*time.Minute)
		if got := p.Findings(); len(got) != 1 {
			t.Errorf("findings %v, want one", got)
		}
		start := time.Now()
		stop()
		if took := time.Since(start); took > 2*callGrace {
			t.Errorf("Run ended after %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		start = time.Now()
		if err := p.Flush(ctx); err == nil {
			t.Error("Flush = nil while a request hangs")
		}
		if took := time.Since(start); took > 91*time.Second {
			t.Errorf("Flush ended after %s, want its context's 90s", took)
		}
		// One request at a time, however long it takes.
		s.letGo <- struct{}{}
		s.sha = ""
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := p.Flush(ctx); err != nil || len(s.posted) != 1 {
			t.Errorf("Flush = %v with %v posted after the request has ended", err, s.posted)
		}
	})
}
