package history

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestReportsOfOldRevisionsAreForgottenAndEarlierOnesAreShort(t *testing.T) {
	rs := New()
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
		rs.Add(report(sha(n)))
		rs.Add(report(sha(n))) // again, as at every change
	}
	if got := len(rs.Revisions()); got != keptReports || len(rs.bySHA) != keptReports {
		t.Errorf("%d revisions and %d reports are remembered, want %d", got, len(rs.bySHA), keptReports)
	}
	if _, ok := rs.Of(sha(0)); ok {
		t.Error("the first revision is remembered, want it forgotten")
	}
	newest, _ := rs.Of(sha(3*keptReports - 1))
	if got := sizes(newest); got != [4]int{1, 1, 1, 1} {
		t.Errorf("the newest report has %v objects, endpoints, ports and replicas, want one of each", got)
	}
	before, _ := rs.Of(sha(3*keptReports - 2))
	if got := sizes(before); got != [4]int{} {
		t.Errorf("the previous report has %v objects, endpoints, ports and replicas, want it short", got)
	}
	// A revision that returns is the newest again.
	rs.Add(report(sha(3*keptReports - 10)))
	if rs.Newest().Revision.SHA != sha(3*keptReports-10) {
		t.Error("another report is the newest")
	}
	if got := rs.Revisions()[0].SHA; got != sha(3*keptReports-10) {
		t.Errorf("the first revision listed is %s, want the one that returned", got)
	}
}

// sizes counts the large parts of a report.
func sizes(r *status.Report) [4]int {
	c := r.Clusters[0]
	return [4]int{len(c.Objects), len(c.Endpoints), len(r.Ports), len(r.Replicas)}
}
