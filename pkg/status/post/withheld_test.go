package post

import (
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// oneCluster returns a federation of one healthy cluster that is in sync with its plan.
func oneCluster(plan federation.Plan) status.Input {
	revision := federation.Revision{Ref: "main", SHA: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return status.Input{
		Federation: &federation.Federation{
			Name: "web", Clusters: []federation.Cluster{{Name: "a"}}, Apps: []federation.App{{Name: "web"}},
		},
		Snapshot: federation.Snapshot{Revision: revision}, FirstSeen: now, Now: now,
		Clusters: map[string]status.ClusterInput{"a": {
			Facts: federation.ClusterFacts{State: federation.ClusterReady, Synced: true}, Current: true, Applied: revision, Revision: revision,
		}},
		Plan: &plan,
	}
}

func TestARevisionIsNoSuccessWhileAnObjectIsWithheld(t *testing.T) {
	service := federation.ObjectRef{Kind: "Service", Namespace: "default", Name: "web"}
	plan := federation.Plan{Clusters: []federation.ClusterPlan{{Cluster: "a", Apps: []federation.AppPlan{{
		App: "web", Withheld: []federation.Withheld{{Object: service, Reason: "waits for b, whose ports are not known"}},
	}}}}}
	in := oneCluster(plan)
	if r := status.Summarise(in); r.State != status.Pending || !strings.Contains(r.Description.String(), "waits for b") {
		t.Errorf("the report is %s %q, want it pending with the reason", r.State, r.Description)
	}
	in.Findings = []federation.Finding{{ID: "D11b", Severity: federation.SeverityError, Cluster: "a", Object: service, Message: untrusted.New("held")}}
	if r := status.Summarise(in); r.State != status.Failure || len(r.Findings) != 1 {
		t.Errorf("the report is %s with %v, want a failure because of the one finding", r.State, r.Findings)
	}
	if r := status.Summarise(oneCluster(federation.Plan{})); r.State != status.Success {
		t.Errorf("with nothing withheld the report is %s %q, want a success", r.State, r.Description)
	}
}

func TestOverflowPodsAreNotWaitedFor(t *testing.T) {
	workload := federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "web"}
	in := oneCluster(federation.Plan{Replicas: []federation.ReplicasDecision{{
		Object: workload, Total: 10,
		Shares: []federation.ReplicasShare{{Cluster: "a", Share: 10, Overflow: 7, Replicas: 17, Live: 17}},
	}}})
	c := in.Clusters["a"]
	c.Observations = []federation.Observation{{Object: workload, Health: federation.Progressing, Ready: 10, Desired: 17}}
	in.Clusters["a"] = c
	if r := status.Summarise(in); r.State != status.Success || !strings.Contains(r.Description.String(), "10/10 ready") {
		t.Errorf("the report is %s %q, want a success with 10/10 ready", r.State, r.Description)
	}
	c.Observations[0].Ready = 9
	if r := status.Summarise(in); r.State != status.Pending {
		t.Errorf("with 9 ready the report is %s %q, want it pending", r.State, r.Description)
	}
}
