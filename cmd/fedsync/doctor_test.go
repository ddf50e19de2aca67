package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/doctor"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/status"
)

// examined returns an examination of two clusters with these findings.
func examined(findings ...federation.Finding) *doctor.Examination {
	plan := decided()
	return &doctor.Examination{
		Federation: &federation.Federation{
			Name:     "web",
			Clusters: []federation.Cluster{{Name: "asia"}, {Name: "europe"}},
			Apps:     []federation.App{{Name: "nginx"}},
		},
		Snapshot: federation.Snapshot{Revision: plan.Revision},
		Plan:     plan,
		Comparison: &preview.Comparison{Report: &status.Report{Clusters: []status.Cluster{
			{Name: "asia", State: federation.ClusterReady}, {Name: "europe", State: federation.ClusterOffline},
		}}},
		Permitted: 1,
		Findings:  findings,
	}
}

func TestDoctorGroupsItsFindings(t *testing.T) {
	d := newDiagnosis(examined(
		federation.Finding{ID: "config", Severity: federation.SeverityError, File: "fedsync.yaml", Line: 3, Message: untrusted.New("no\nsuch thing"), Remedy: untrusted.New("correct it")},
		federation.Finding{ID: "D11b", Severity: federation.SeverityError, Cluster: "asia", Object: nginxService, Message: untrusted.New("nodePort 30036 is held by Service/default/legacy"), Remedy: untrusted.New("take another\nport")},
		federation.Finding{ID: "D10", Severity: federation.SeverityError, Cluster: "asia", Message: untrusted.New("refused")},
		federation.Finding{ID: "D21", Severity: federation.SeverityWarning, Cluster: "asia", Object: nginxPods, Message: untrusted.New("7 pods wait")},
		federation.Finding{ID: "D13", Severity: federation.SeverityNote, Cluster: "europe", Message: untrusted.New("has no UID")},
	))
	var b strings.Builder
	d.write(&b)
	want := `web  main@1a2b3c4

ERRORS
  everywhere
    config fedsync.yaml:3: no such thing
          → correct it
  asia
    D11b  Service/web/nginx: nodePort 30036 is held by Service/default/legacy
          → take another port
    D10   refused

WARNINGS
  asia
    D21   apps/ReplicaSet/web/nginx: 7 pods wait

NOTES
  europe
    D13   has no UID

3 errors, 1 warning
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("doctor (-want +got):\n%s", diff)
	}
	if d.Errors != 3 || d.Warnings != 1 {
		t.Errorf("%d errors and %d warnings, want 3 and 1", d.Errors, d.Warnings)
	}
}

func TestDoctorSaysWhatItCheckedWhenNothingIsWrong(t *testing.T) {
	var b strings.Builder
	newDiagnosis(examined()).write(&b)
	want := "web  main@1a2b3c4\nnothing is wrong: 1 of 2 clusters answer, permissions checked in 1, 1 object rendered of 1 app\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("doctor (-want +got):\n%s", diff)
	}
}
