package status

import (
	"errors"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// twoRevisions returns the input while the previous revision is in force in a cluster
// with failures. They must not be reported for the next revision.
func twoRevisions() (before, next federation.Revision, in Input) {
	before, next = federation.Revision{Ref: "main", SHA: shaA}, federation.Revision{Ref: "main", SHA: shaB}
	web := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "web"}
	wrong := federation.Finding{ID: "D10", Severity: federation.SeverityError, Cluster: "c1", Object: web, Message: untrusted.New("refused")}
	in = Input{
		Federation: &federation.Federation{
			Name: "web", Clusters: []federation.Cluster{{Name: "c1"}}, Apps: []federation.App{{Name: "nginx"}},
		},
		Snapshot: federation.Snapshot{Revision: next}, FirstSeen: firstSeen, Now: firstSeen,
		Clusters: map[string]ClusterInput{"c1": {
			Facts:   federation.ClusterFacts{State: federation.ClusterReady, Synced: true},
			Applied: before, Revision: before, Current: true,
			Changes: []federation.Change{{
				Cluster: "c1", Object: federation.ObjectRef{Kind: "Service", Name: "a"}, Action: federation.ActionFailed, Err: errors.New("invalid"),
			}},
			Findings: []federation.Finding{wrong},
			Observations: []federation.Observation{
				{Cluster: "c1", App: "nginx", Object: web, Health: federation.Degraded, Message: untrusted.New("broken")},
			},
		}},
	}
	return before, next, in
}

func TestFailuresOfTheLastRevisionAreNotReportedForTheNext(t *testing.T) {
	before, next, in := twoRevisions()

	// For the previous revision itself it is a failure.
	in.Snapshot.Revision = before
	earlier := Summarise(in)
	if earlier.State != Failure || len(earlier.Findings) != 2 {
		t.Fatalf("%s: %v, want a failure with two findings", earlier.State, earlier.Findings)
	}
	in.Snapshot.Revision = next

	in.Rendering = true
	r := Summarise(in)
	if r.State != Pending || r.Description.String() != "0/1 synced, rendering" || len(r.Findings) > 0 {
		t.Errorf("while it is rendered: %s %q %v, want it pending without findings", r.State, r.Description, r.Findings)
	}
	in.Rendering = false
	if r = Summarise(in); r.State != Pending || r.Description.String() != "0/1 synced" || len(r.Findings) > 0 {
		t.Errorf("before it is applied: %s %q %v, want it pending without findings", r.State, r.Description, r.Findings)
	}

	// When the cluster runs the revision, the times of its findings are carried across
	// the push.
	c := in.Clusters["c1"]
	c.Revision = next
	in.Clusters["c1"] = c
	in.Now = in.Now.Add(3 * DefaultDeadline)
	in.Previous, in.Earlier = &r, &earlier
	if r = Summarise(in); r.State != Failure || len(r.Findings) != 2 || !r.Findings[0].Since.Equal(firstSeen) {
		t.Errorf("when it is applied: %s %v, want a failure with two findings since %s", r.State, r.Findings, firstSeen)
	}
}

func TestARefusedRevisionNamesTheOneInForce(t *testing.T) {
	before, next, in := twoRevisions()
	in.Snapshot.Revision = before
	maintained := Summarise(in)
	in.Snapshot.Revision, in.Maintained = next, &maintained
	in.Findings = []federation.Finding{{
		ID: "federation", Severity: federation.SeverityError, File: federation.FileName, Line: 8, Message: untrusted.New("oops"),
	}}
	r := Summarise(in)
	if r.State != Failure || r.Description.String() != "failed: fedsync.yaml:8 oops" || r.Maintained != before {
		t.Errorf("%s %q maintained %s, want a failure only for fedsync.yaml, and %s", r.State, r.Description, r.Maintained, before)
	}
	for _, f := range r.Findings {
		own := f.ID == "federation"
		if !own && (f.Severity != federation.SeverityNote || !strings.HasPrefix(f.Message.String(), before.String()+", which is in force: ")) {
			t.Errorf("finding %s %v, want a note that names %s", f.Severity, f, before)
		}
	}
	if len(r.Findings) != 3 {
		t.Errorf("findings %v, want three", r.Findings)
	}
}

func TestARenderingThatTakesTooLongFailsAtTheDeadline(t *testing.T) {
	_, _, in := twoRevisions()
	in.Rendering = true
	first := Summarise(in)
	in.Previous, in.Now = &first, in.Now.Add(DefaultDeadline)
	if r := Summarise(in); r.State != Failure || !strings.Contains(r.Description.String(), "is still being rendered") {
		t.Errorf("%s %q, want a failure with that reason", r.State, r.Description)
	}
}
