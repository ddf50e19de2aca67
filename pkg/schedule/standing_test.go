package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/replicas"
)

func TestGuardFreezesWhenMostOfTheFederationGoesAtOnce(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	cases := []struct {
		name      string
		clusters  int
		left      []time.Duration // after noon
		confirmed []string
		want      []string
	}{
		{"nobody left", 13, nil, nil, nil},
		{"1 of 1", 1, []time.Duration{0}, nil, []string{"c00"}},
		{"1 of 2 moves", 2, []time.Duration{0}, nil, nil},
		{"2 of 2 freeze", 2, []time.Duration{0, 0}, nil, []string{"c00", "c01"}},
		{"1 of 3 moves", 3, []time.Duration{0}, nil, nil},
		{"2 of 3 freeze", 3, []time.Duration{0, time.Second}, nil, []string{"c00", "c01"}},
		{"6 of 13 move", 13, make([]time.Duration, 6), nil, nil},
		{"7 of 13 freeze", 13, make([]time.Duration, 7), nil, []string{"c00", "c01", "c02", "c03", "c04", "c05", "c06"}},
		{"2 of 3, a minute apart, freeze", 3, []time.Duration{0, time.Minute}, nil, []string{"c00", "c01"}},
		{"the second of 3 leaves later: 1 of the 2 that were Ready then", 3, []time.Duration{0, 61 * time.Second}, nil, nil},
		{"one by one, none freezes until 1 is left of 1", 3, []time.Duration{0, 61 * time.Second, 122 * time.Second}, nil, []string{"c02"}},
		{"all are confirmed", 3, []time.Duration{0, 0}, []string{"c00", "c01"}, nil},
		{"to confirm one says nothing of the other", 3, []time.Duration{0, 0}, []string{"c00"}, []string{"c01"}},
		{"an old outage does not count with a new one", 13, append(make([]time.Duration, 6), time.Hour), nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := &federation.Federation{Apps: []federation.App{{Name: "web"}}, Failover: federation.Failover{ConfirmedLost: c.confirmed}}
			facts := federation.Facts{Clusters: map[string]federation.ClusterFacts{}}
			for i := range c.clusters {
				name := fmt.Sprintf("c%02d", i)
				f.Clusters = append(f.Clusters, federation.Cluster{Name: name})
				its := federation.ClusterFacts{State: federation.ClusterReady, Synced: true}
				if i < len(c.left) {
					its.State, its.AwaySince = federation.ClusterOffline, noon.Add(c.left[i])
				}
				facts.Clusters[name] = its
			}
			if got := frozen(f, facts); !slices.Equal(got, c.want) {
				t.Errorf("frozen = %v, want %v", got, c.want)
			}
		})
	}
}

func TestStandingOfAClusterFollowsWhatIsSeenOfIt(t *testing.T) {
	now := time.Now()
	cases := []struct {
		name    string
		facts   federation.ClusterFacts
		mode    string
		confirm bool
		want    replicas.Standing
	}{
		{"Ready and listed", federation.ClusterFacts{State: federation.ClusterReady, Synced: true, Seen: true}, "", false, replicas.Up},
		{"one or two probes lost", federation.ClusterFacts{State: federation.ClusterNotReady, Synced: true, Seen: true, AwaySince: now}, "", false, replicas.Up},
		{"not probed yet", federation.ClusterFacts{State: federation.ClusterPending}, "", false, replicas.Unknown},
		{"Ready and not listed yet, after the start", federation.ClusterFacts{State: federation.ClusterReady}, "", false, replicas.Unknown},
		{"Offline", federation.ClusterFacts{State: federation.ClusterOffline, Seen: true, AwaySince: now}, "", false, replicas.Offline},
		{"Offline since the start", federation.ClusterFacts{State: federation.ClusterOffline, AwaySince: now}, "", false, replicas.Offline},
		{"back, and not listed anew yet", federation.ClusterFacts{State: federation.ClusterReady, Seen: true, Outage: true, AwaySince: now}, "", false, replicas.Offline},
		{"back, and lost again", federation.ClusterFacts{State: federation.ClusterNotReady, Seen: true, Outage: true, AwaySince: now}, "", false, replicas.Offline},
		{"back, with a certificate that is not trusted", federation.ClusterFacts{State: federation.ClusterUnknown, Seen: true, Outage: true, AwaySince: now}, "", false, replicas.Offline},
		{"an expired token, confirmed", federation.ClusterFacts{State: federation.ClusterUnknown, Seen: true, Synced: true}, "", true, replicas.Lost},
		{"an expired token", federation.ClusterFacts{State: federation.ClusterUnknown, Seen: true, Synced: true}, "", false, replicas.Kept},
		{"an expired token since the start", federation.ClusterFacts{State: federation.ClusterUnknown}, "", false, replicas.Unknown},
		{"a new connection, not listed yet", federation.ClusterFacts{State: federation.ClusterReady, Seen: true}, "", false, replicas.Kept},
		{"Offline with failover Off", federation.ClusterFacts{State: federation.ClusterOffline, Seen: true, AwaySince: now}, "Off", false, replicas.Kept},
		{"Offline with failover Off, confirmed", federation.ClusterFacts{State: federation.ClusterOffline, Seen: true, AwaySince: now}, "Off", true, replicas.Lost},
		{"confirmed and back", federation.ClusterFacts{State: federation.ClusterReady, Synced: true, Seen: true}, "", true, replicas.Up},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := &federation.Federation{Clusters: []federation.Cluster{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
			f.Failover.Mode = c.mode
			if c.confirm {
				f.Failover.ConfirmedLost = []string{"a"}
			}
			p := &pass{Input: Input{Federation: f, Facts: federation.Facts{Clusters: map[string]federation.ClusterFacts{"a": c.facts}}}}
			p.assessClusters()
			if got := p.clusters[0].standing; got != c.want {
				t.Errorf("standing = %d, want %d", got, c.want)
			}
		})
	}
}
