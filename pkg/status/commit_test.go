package status

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestCommitsHasOneContextByDefault(t *testing.T) {
	report := Report{
		Federation: "web", Revision: federation.Revision{Ref: "main", SHA: shaA}, State: Failure, Description: untrusted.New("1/2 failed: c2 …"),
		Clusters: []Cluster{
			{Name: "c1", Targeted: true, Outcome: Success, Reason: untrusted.New("2/2 ready")},
			{Name: "c2", Targeted: true, Outcome: Failure, Reason: untrusted.New("unreachable 20m")},
			{Name: "c3", Targeted: true, Lost: true},
			{Name: "c4"},
		},
	}
	whole := Commit{SHA: shaA, Context: "fedsync/web", State: Failure, Description: "1/2 failed: c2 …"}
	named := whole
	named.Context = "deploy/web"
	tests := []struct {
		name     string
		settings federation.CommitStatus
		want     []Commit
	}{
		{"by default", federation.CommitStatus{}, []Commit{whole}},
		{"named", federation.CommitStatus{Context: "deploy/web"}, []Commit{named}},
		{"per cluster", federation.CommitStatus{PerCluster: true}, []Commit{
			whole,
			{SHA: shaA, Context: "fedsync/web/c1", State: Success, Description: "2/2 ready", Cluster: "c1"},
			{SHA: shaA, Context: "fedsync/web/c2", State: Failure, Description: "unreachable 20m", Cluster: "c2"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Commits(report, tt.settings)); diff != "" {
				t.Errorf("Commits (-want +got):\n%s", diff)
			}
		})
	}
	if got := Commits(Report{State: Failure}, federation.CommitStatus{}); len(got) != 0 {
		t.Errorf("Commits of a report without a revision = %v, want none", got)
	}
}

func TestCommitsHasOneContextIfThereAreManyClusters(t *testing.T) {
	report := Report{Federation: "web", Revision: federation.Revision{SHA: shaA}, State: Success}
	for i := range 21 {
		report.Clusters = append(report.Clusters, Cluster{Name: fmt.Sprintf("c%d", i), Targeted: true, Outcome: Success})
	}
	if got := Commits(report, federation.CommitStatus{PerCluster: true}); len(got) != 1 {
		t.Errorf("%d contexts for 21 clusters, want 1", len(got))
	}
	report.Clusters = report.Clusters[:20]
	if got := Commits(report, federation.CommitStatus{PerCluster: true}); len(got) != 21 {
		t.Errorf("%d contexts for 20 clusters, want 21", len(got))
	}
}
