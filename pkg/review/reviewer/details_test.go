package reviewer

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/review"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestTheCheckOfAPlanRemarksOnLines(t *testing.T) {
	const head, its = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "fedsync/web/plan"
	finding := federation.Finding{
		ID: "D11b", Severity: federation.SeverityError, Cluster: "eu", File: "apps/web/service.yaml", Line: 9,
		Message: untrusted.Const("node port 30036 is held by legacy/old"),
	}
	planned := review.State{
		Open: []status.PullRequest{{Number: 7, Head: head}},
		Made: map[string]review.Made{head: {
			Head: head, Verdict: plan.Changes, Text: "### fedsync plan",
			Findings: []federation.Finding{finding, {ID: "render", Message: untrusted.Const("of no line")}},
		}},
	}
	r := &Reviewer{its: its, checks: planned.Tell().Checks}
	want := status.Details{Summary: "### fedsync plan", Annotations: []status.Annotation{
		{File: finding.File, Line: 9, Level: status.LevelError, Title: "D11b", Message: "eu: node port 30036 is held by legacy/old"},
	}}
	got, _ := r.Details(status.Commit{SHA: head, Context: its})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	if got, known := r.Details(status.Commit{SHA: head, Context: "fedsync/web"}); known {
		t.Errorf("the federation's own check shows %q, want nothing of the plan", got.Summary)
	}
}
