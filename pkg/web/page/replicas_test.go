package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestShareCellsNoteWhatIsUnusual(t *testing.T) {
	type share = federation.ReplicasShare
	for _, c := range []struct {
		name  string
		share share
		away  bool
		want  string // tone: share, notes
	}{
		{"plain", share{Share: 2, Replicas: 2, Live: 2, Basis: federation.ShareByWeight}, false, ": 2"},
		{"stays", share{Share: 2, Replicas: 2, Live: 2, Basis: federation.ShareByCurrent}, false, ": 2, runs there already"},
		{"not there yet", share{Share: 2, Replicas: 2, Live: -1, Basis: federation.ShareByWeight}, false, "wait: 2, not there yet"},
		{"nothing to be there", share{Live: -1, Basis: federation.ShareByWeight}, false, ": 0"},
		{"on the way", share{Share: 3, Replicas: 3, Live: 2, Basis: federation.ShareByMin}, false, "wait: 3, its minimum, 2 live"},
		{"old facts", share{Share: 3, Replicas: 3, Live: 2, Basis: federation.ShareByWeight}, true, ": 3"},
		{"held", share{Share: 2, Replicas: 4, Live: 4, Basis: federation.ShareHeld}, false, "wait: 2, 4 written, until others are ready"},
		{"no room", share{Share: 1, Overflow: 2, Replicas: 3, Live: 3, Basis: federation.ShareByCapacity}, false, "warn: 1, +2 pending, no room for more"},
		{"away", share{Live: 2, Basis: federation.ShareOffline}, true, "bad: 0, placed elsewhere"},
		{"kept", share{Share: 2, Replicas: 2, Live: 2, Basis: federation.ShareKept}, true, "warn: 2, cannot be seen"},
		{"lost", share{Live: -1, Basis: federation.ShareLost}, true, "dim: 0, declared lost"},
		{"leaves", share{Live: 2, Basis: federation.ShareNone}, false, "dim: 0, not named, 2 live"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.share.Cluster = "a"
			r := &status.Report{Clusters: []status.Cluster{{Name: "a", State: federation.ClusterReady}}}
			if c.away {
				r.Clusters[0].State = federation.ClusterOffline
			}
			cell := newView(r, time.Now()).shareCell(c.share)
			got := cell.Tone + ": " + strings.Join(append([]string{cell.Share}, cell.Notes...), ", ")
			if got != c.want {
				t.Errorf("cell = %q, want %q", got, c.want)
			}
		})
	}
}

func TestSpreadDescribesHowEvenlyReplicasAreSpread(t *testing.T) {
	for want, shares := range map[string][]int64{
		"none":                    {0, 0},
		"2 in one cluster":        {0, 2},
		"2 in each of 3 clusters": {2, 0, 2, 2},
		"1 to 3 in 3 clusters":    {2, 1, 3},
	} {
		var d federation.ReplicasDecision
		for _, n := range shares {
			d.Shares = append(d.Shares, federation.ReplicasShare{Share: n})
		}
		if got := spread(d); got != want {
			t.Errorf("spread(%v) = %q, want %q", shares, got, want)
		}
	}
}

func TestReadyPodsAreCountedOnlyInVisibleClusters(t *testing.T) {
	nginx := federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "nginx"}
	r := &status.Report{Replicas: []federation.ReplicasDecision{{
		Object: nginx, Total: 4, Shares: []federation.ReplicasShare{{Cluster: "a", Share: 3}, {Cluster: "b", Share: 1}},
	}}}
	for name, state := range map[string]federation.ClusterState{"a": federation.ClusterReady, "b": federation.ClusterOffline} {
		r.Clusters = append(r.Clusters, status.Cluster{Name: name, State: state, Objects: []federation.Observation{
			{Object: nginx, Ready: 2}, {Object: federation.ObjectRef{Kind: "ReplicaSet", Name: "other"}, Ready: 7},
		}})
	}
	rows, _ := newView(r, time.Now()).workloads()
	if got := rows[0].Ready; got != "2/4" {
		t.Errorf("ready = %s, want 2/4: pods of an Offline cluster do not count", got)
	}
}

func TestOddItemsComeFirstIfItemsAreLeftOut(t *testing.T) {
	odd := func(n int) bool { return n < 0 }
	for _, c := range []struct {
		all, want []int
		left      int
	}{
		{[]int{1, -2, 3}, []int{1, -2, 3}, 0},
		{[]int{1, 2, 3, -4, 5, -6}, []int{-4, -6, 1}, 3},
		{[]int{-1, -2, -3, -4}, []int{-1, -2, -3}, 1},
		{nil, nil, 0},
	} {
		before := fmt.Sprint(c.all)
		got, left := oddFirst(c.all, 3, odd)
		if diff := cmp.Diff(c.want, got); diff != "" || left != c.left {
			t.Errorf("oddFirst(%v) leaves out %d, want %d; -want +got:\n%s", c.all, left, c.left, diff)
		}
		if fmt.Sprint(c.all) != before {
			t.Errorf("oddFirst changed its input from %s to %v", before, c.all)
		}
	}
}
