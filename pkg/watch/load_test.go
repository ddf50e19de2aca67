package watch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/failure"
)

// What is within the bounds of each watch may exceed those of all together.
func TestTheMemoryOfAllWatchesIsBounded(t *testing.T) {
	whole := newLoad()
	var all []*keys
	for i := range 5 {
		all = append(all, newKeys("things"+strconv.Itoa(i), whole, func(Event) {}))
	}
	n, err := 0, error(nil)
	for ; err == nil; n++ {
		err = all[n%len(all)].put(membertest.ConfigMap(strconv.Itoa(n), "u", "1"))
	}
	if _, ok := errors.AsType[*failure.Misbehaviour](err); !ok || n != objectsMost+1 || !strings.Contains(err.Error(), "shows more than 150000 objects") {
		t.Errorf("after %d objects: %v", n, err)
	}
	for _, k := range all {
		k.close()
	}
	if whole.objects.Load() != 0 || whole.bytes.Load() != 0 {
		t.Errorf("%d objects of %d bytes are left of ended watches", whole.objects.Load(), whole.bytes.Load())
	}
}

// A watch that lives for days brings far more objects than exist at a time.
func TestObjectsThatComeAndGoDoNotAccumulate(t *testing.T) {
	whole := newLoad()
	k := newKeys("pods", whole, func(Event) {})
	const alive = 1000
	for i := range 10 * objectsMost {
		if err := k.put(membertest.ConfigMap(strconv.Itoa(i), "u", strconv.Itoa(i+1))); err != nil {
			t.Fatalf("after %d objects: %v", i, err)
		}
		if i >= alive {
			if err := k.drop(membertest.ConfigMap(strconv.Itoa(i-alive), "u", strconv.Itoa(i+2))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := whole.objects.Load(); n != alive {
		t.Errorf("there are %d objects, want %d", n, alive)
	}
}

func TestAFloodOfEventsIsProcessedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole, began, taken := newLoad(), time.Now(), 0
		for _, c := range []struct {
			events      int
			least, most time.Duration
		}{
			{burstFirst, 0, 0},
			// The lists of a large cluster.
			{60_000, 2 * time.Second, 5 * time.Second},
			{eventBurst, 15 * time.Second, 25 * time.Second},
			{eventBurst + 600*eventRate, 9 * time.Minute, 11 * time.Minute},
		} {
			for ; taken < c.events; taken++ {
				if err := whole.pace(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took < c.least || took > c.most {
				t.Errorf("%d events are processed in %v, want %v to %v", c.events, took, c.least, c.most)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		cancel(enough)
		if err := whole.pace(ctx); !errors.Is(err, enough) {
			t.Errorf("with an ended context: %v", err)
		}
	})
}

// However many watches there are, a cluster with endless lists is detected after the
// pages of one list.
func TestOneEndlessListIsReadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const watches = 15
		cluster := membertest.NewPipe(t)
		var pages atomic.Int64
		cluster.Set(byRequest(answers["422"], func(w http.ResponseWriter, _ *http.Request) {
			n := pages.Add(1)
			send(w, fmt.Sprintf(`{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"5","continue":"c%d"},`+
				`"items":[{"metadata":{"name":"n%[1]d","namespace":"web","uid":"u","resourceVersion":"3"}}]}`, n))
		}, stayOpen))
		client, _ := membertest.NewClient(t, cluster.Config())
		var all []Watch
		for i := range watches {
			all = append(all, Watch{Resource: membertest.ConfigMaps, Namespace: fmt.Sprint("n", i)})
		}
		var first sync.Once
		found := make(chan int64, 1) // pages
		start(t, client, func(e Event) {
			if e.Type != Failed {
				return
			}
			if _, ok := errors.AsType[*failure.Misbehaviour](e.Err.Err); ok {
				first.Do(func() { found <- pages.Load() })
			}
		}, all...)
		if n := <-found; n < bounds.Pages || n > bounds.Pages+watches*(longFrom+1) {
			t.Errorf("%d pages were requested, want %d and no more than %d from each other watch", n, bounds.Pages, longFrom)
		}
	})
}
