package daemon

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/bell"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
)

func TestAnInboxHoldsTheNewestAndNoFailureLosesARevision(t *testing.T) {
	b := newInbox()
	snapshot := func(n int) *federation.Snapshot {
		return &federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: fmt.Sprint(n)}}
	}
	for n := range 10 {
		b.put(source.Event{Snapshot: snapshot(n)})
	}
	away := errors.New("away")
	b.put(source.Event{Err: away})
	got := <-b.C
	if got.Snapshot == nil || got.Snapshot.Revision.SHA != "9" || !errors.Is(got.Err, away) {
		t.Errorf("the box held %+v, want revision 9, and that the repository is away", got)
	}
	b.put(source.Event{Err: away})
	b.put(source.Event{Snapshot: snapshot(10)})
	if got := <-b.C; got.Err != nil || got.Snapshot == nil || got.Snapshot.Revision.SHA != "10" {
		t.Errorf("the box held %+v, want revision 10 and no failure", got)
	}
	select {
	case got := <-b.C:
		t.Errorf("the box held %+v too, want it empty", got)
	default:
	}
}

func TestAnInboxGivesItsLastRevisionHoweverBusyItsReaderIs(t *testing.T) {
	const last = 10_000
	b := newInbox()
	var putting sync.WaitGroup
	putting.Go(func() {
		for n := range last + 1 {
			b.put(source.Event{Snapshot: &federation.Snapshot{Time: time.Unix(int64(n), 0)}})
		}
	})
	before := int64(-1)
	for before != last {
		got := (<-b.C).Snapshot.Time.Unix()
		if got <= before {
			t.Fatalf("%d came after %d", got, before)
		}
		before = got
	}
	putting.Wait()
}

func TestRingsThatNobodyHeardAreOne(t *testing.T) {
	b := bell.New()
	for range 5 {
		b.Ring()
	}
	<-b
	select {
	case <-b:
		t.Error("the bell rang twice, want once")
	default:
	}
	b.Ring()
	<-b // it can be rung again
}
