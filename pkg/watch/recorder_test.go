package watch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/membertest"
)

// recorder is a sink that tests read.
type recorder struct {
	mu     sync.Mutex // protects what follows
	events []Event
	more   chan struct{} // closed at the next event
	next   int           // the first event that wait has not skipped
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{})} }

func (r *recorder) sink(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.more)
	r.more = make(chan struct{})
}

// wait skips events until one reads as wanted. It returns the skipped ones, each as "type
// name", and how long that took.
func (r *recorder) wait(t *testing.T, wanted string) ([]string, time.Duration) {
	t.Helper()
	started := time.Now()
	deadline := time.NewTimer(membertest.Patience)
	defer deadline.Stop()
	var passed []string
	for {
		r.mu.Lock()
		more := r.more
		for r.next < len(r.events) {
			event := line(r.events[r.next])
			passed = append(passed, event)
			r.next++
			if event == wanted {
				r.mu.Unlock()
				return passed, time.Since(started)
			}
		}
		r.mu.Unlock()
		select {
		case <-more:
		case <-deadline.C:
			t.Fatalf("no event %q within %v, only %q", wanted, membertest.Patience, passed)
		}
	}
}

func line(e Event) string {
	switch e.Type {
	case Upserted, Deleted:
		return fmt.Sprintf("%s %s", e.Type, e.Object.GetName())
	case Failed:
		if e.Err.NotServed {
			return "failed not served"
		}
		return fmt.Sprintf("failed %s", e.Err.Failure)
	case Listed, Restored, Stopped:
	}
	return string(e.Type)
}

// start runs a watcher until the test ends.
func start(t *testing.T, client dynamic.Interface, sink func(Event), want ...Watch) *Watcher {
	t.Helper()
	w := NewWatcher(client, sink)
	w.Want(want)
	t.Cleanup(runUntil(t, w))
	return w
}

// runUntil runs a watcher until stop is called.
func runUntil(t *testing.T, w *Watcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}
