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
	"github.com/fedsync/fedsync/pkg/status"
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

func TestReportsOfOldRevisionsAreForgottenAndThoseBeforeTheNewestAreShort(t *testing.T) {
	rs := newReports()
	report := func(sha string) *status.Report {
		return &status.Report{
			Revision: federation.Revision{Ref: "main", SHA: sha},
			Clusters: []status.Cluster{{
				Name: "a", Objects: []federation.Observation{{}}, Endpoints: []federation.Endpoints{{}},
			}},
			Ports: []federation.PortDecision{{}}, Replicas: []federation.ReplicasDecision{{}},
		}
	}
	sha := func(n int) string { return string(rune('a'+n/26)) + string(rune('a'+n%26)) }
	for n := range 3 * keptReports {
		rs.keep(report(sha(n)))
		rs.keep(report(sha(n))) // again, as at every change
	}
	if got := len(rs.revisions()); got != keptReports || len(rs.bySHA) != keptReports {
		t.Errorf("%d revisions and %d reports are kept, want %d", got, len(rs.bySHA), keptReports)
	}
	if _, ok := rs.of(sha(0)); ok {
		t.Error("the first revision is kept, want it forgotten")
	}
	newest, _ := rs.of(sha(3*keptReports - 1))
	if got := sizes(newest); got != [4]int{1, 1, 1, 1} {
		t.Errorf("the newest report has %v objects, endpoints, ports and replicas, want one of each", got)
	}
	before, _ := rs.of(sha(3*keptReports - 2))
	if got := sizes(before); got != [4]int{} {
		t.Errorf("the report before has %v objects, endpoints, ports and replicas, want it short", got)
	}
	// A revision that comes back is the newest again.
	rs.keep(report(sha(3*keptReports - 10)))
	if rs.newest().Revision.SHA != sha(3*keptReports-10) {
		t.Error("the newest report is another")
	}
	if got := rs.revisions()[0].SHA; got != sha(3*keptReports-10) {
		t.Errorf("the first revision listed is %s, want the one that came back", got)
	}
}

// sizes counts what a report may have much of.
func sizes(r *status.Report) [4]int {
	c := r.Clusters[0]
	return [4]int{len(c.Objects), len(c.Endpoints), len(r.Ports), len(r.Replicas)}
}
