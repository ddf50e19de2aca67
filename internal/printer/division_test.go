package printer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestEqualSharesAreCombined(t *testing.T) {
	type share = federation.ReplicasShare
	equal := func(n int, s share) []share {
		all := make([]share, n)
		for i := range all {
			all[i] = s
			all[i].Cluster = fmt.Sprintf("c%02d", i+1)
		}
		return all
	}
	two := share{Share: 2, Replicas: 2, Live: 2, Basis: federation.ShareByWeight}
	at := func(name string, s share) share { s.Cluster = name; return s }
	for _, c := range []struct {
		name     string
		decision federation.ReplicasDecision
		away     string // a cluster that is not visible
		want     string
	}{
		{"all alike", federation.ReplicasDecision{Total: 26, Shares: equal(13, two)}, "", "26 = 2 in each of 13 clusters"},
		{"one cluster", federation.ReplicasDecision{Total: 2, Shares: equal(1, two)}, "", "2 = 2 in c01"},
		{
			"one is different",
			federation.ReplicasDecision{Total: 7, Shares: append(equal(3, two),
				share{Cluster: "east", Share: 1, Replicas: 1, Live: 1, Basis: federation.ShareByWeight})},
			"",
			"7 = 1 in east; 2 in each of 3 others",
		},
		{
			"no two alike",
			federation.ReplicasDecision{Total: 3, Shares: []share{
				at("a", two), {Cluster: "b", Share: 1, Replicas: 1, Live: 1, Basis: federation.ShareByWeight},
			}},
			"",
			"3 = 2 in a; 1 in b",
		},
		{
			"no room",
			federation.ReplicasDecision{Total: 6, Shortfall: 1, Reason: "no more capacity in b", Shares: []share{
				at("a", two), {Cluster: "b", Share: 1, Overflow: 1, Replicas: 2, Live: 2, Basis: federation.ShareByCapacity}, at("c", two),
			}},
			"",
			"6 = 1 (+1 pending, it has room for no more) in b; 2 in each of 2 others; 1 nowhere: no more capacity in b",
		},
		{
			"on the way",
			federation.ReplicasDecision{Total: 4, Shares: []share{
				{Cluster: "a", Share: 2, Replicas: 3, Live: 3, Basis: federation.ShareHeld},
				{Cluster: "b", Share: 2, Replicas: 2, Live: -1, Basis: federation.ShareByWeight},
			}},
			"",
			"4 = 2 (3 written, held until others are Ready) in a; 2 (0 live) in b",
		},
		{
			"out of sight",
			federation.ReplicasDecision{Total: 4, Waits: []string{"b"}, Shares: []share{
				at("a", two), {Cluster: "b", Share: 2, Replicas: 2, Live: 9, Basis: federation.ShareByWeight},
			}},
			"b",
			"4 = 2 in each of 2 clusters; waits for b",
		},
		{
			"too many names",
			federation.ReplicasDecision{Total: 0, Shares: append(equal(maxNamed+5, share{Basis: federation.ShareNone}),
				equal(maxNamed+3, two)...)},
			"",
			"0 = 2 in " + strings.Join(numbered(maxNamed), ", ") + " and 3 more; 0 (the preferences do not name it) in each of 25 others",
		},
		{
			"no cluster",
			federation.ReplicasDecision{Total: 3, Shortfall: 3, Reason: "no cluster is selected"},
			"",
			"3 = 3 nowhere: no cluster is selected",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			visible := map[string]bool{}
			for _, s := range c.decision.Shares {
				visible[s.Cluster] = s.Cluster != c.away
			}
			if got := division(c.decision, visible); got != c.want {
				t.Errorf("division = %q, want %q", got, c.want)
			}
		})
	}
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("c%02d", i+1)
	}
	return names
}

func TestStatusPrintsReplicasAfterTheClusters(t *testing.T) {
	r := &status.Report{
		Federation: "web", State: status.Success,
		Clusters: []status.Cluster{{Name: "a", Targeted: true, State: federation.ClusterReady, Current: true}},
		Findings: []federation.Finding{{ID: "held", Severity: federation.SeverityNote, Message: untrusted.New("held")}},
		Replicas: []federation.ReplicasDecision{{
			Object: federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "nginx"}, Total: 1,
			Shares: []federation.ReplicasShare{{Cluster: "a", Share: 1, Replicas: 1, Live: 1, Basis: federation.ShareByWeight}},
		}},
	}
	var b strings.Builder
	Report(&b, r)
	want := "\na  Ready  current\n\nREPLICAS\napps/ReplicaSet/default/nginx  1 = 1 in a\n\nI held held\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("Report wrote\n%s\nwant it to end with\n%s", b.String(), want)
	}
	r.Replicas, b = nil, strings.Builder{}
	Report(&b, r)
	if strings.Contains(b.String(), "REPLICAS") {
		t.Errorf("Report wrote\n%s\nwant nothing on replicas where none are divided", b.String())
	}
}
