package replicas

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// well is a cluster that runs n Ready pods.
func well(name string, n int64) Cluster {
	return Cluster{Name: name, Exists: true, Live: n, Ready: n, Current: n}
}

// empty is one that lacks the object.
func empty(name string) Cluster { return Cluster{Name: name} }

// crowded has room for n of its pods, and so many more are pending.
func crowded(name string, n, pending int64) Cluster {
	return Cluster{Name: name, Exists: true, Live: n + pending, Ready: n, Current: n, Limited: true, Capacity: n}
}

// starting has raised its count to live, with pods that are not Ready yet.
func starting(name string, live, ready int64) Cluster {
	return Cluster{Name: name, Exists: true, Live: live, Ready: ready, Current: live}
}

func (c Cluster) as(s Standing) Cluster {
	c.Standing = s
	return c
}

func TestDecide(t *testing.T) {
	moving := Preferences{Rebalance: true, Clusters: map[string]ClusterPreferences{Everywhere: {Max: Unbounded, Weight: 1}}}
	staying := Preferences{}
	bounded := Preferences{Clusters: map[string]ClusterPreferences{Everywhere: {Max: 3, Weight: 1}}}
	least := Preferences{Clusters: map[string]ClusterPreferences{Everywhere: {Min: 20, Max: Unbounded}}}
	fivefold := Preferences{Clusters: map[string]ClusterPreferences{"a": {Max: Unbounded, Weight: 1}, "b": {Max: Unbounded, Weight: 5}}}
	onlyA := Preferences{Clusters: map[string]ClusterPreferences{"a": {Max: Unbounded, Weight: 1}}}

	drained := func(c Cluster) Cluster { c.Drained = true; return c }
	cases := []struct {
		name     string
		total    int64
		prefs    Preferences
		frozen   bool
		clusters []Cluster
		want     string // cluster share+overflow→replicas basis
		short    string
		waits    string
	}{
		{
			name: "a new workload", total: 6, clusters: []Cluster{empty("a"), empty("b"), empty("c")},
			want: "a 2+0→2 weight, b 2+0→2 weight, c 2+0→2 weight",
		},
		{
			name: "nobody selects it", total: 6,
			short: "6: no cluster is selected",
		},
		{
			name: "an offline cluster's replicas are placed elsewhere at once", total: 6,
			clusters: []Cluster{well("a", 2), well("b", 2), well("c", 2).as(Offline)},
			want:     "a 3+0→3 weight, b 3+0→3 weight, c 0+0→2 offline",
		},
		{
			name: "so are those of a lost one", total: 6,
			clusters: []Cluster{well("a", 2), well("b", 2), empty("c").as(Lost)},
			want:     "a 3+0→3 weight, b 3+0→3 weight, c 0+0→0 lost",
		},
		{
			name: "a drained cluster is lowered when others are raised and Ready", total: 6, prefs: staying,
			clusters: []Cluster{well("a", 2), well("b", 2), drained(well("c", 2))},
			want:     "a 3+0→3 weight, b 3+0→3 weight, c 0+0→2 held",
		},
		{
			name: "then it runs nothing", total: 6, prefs: staying,
			clusters: []Cluster{well("a", 3), well("b", 3), drained(well("c", 2))},
			want:     "a 3+0→3 current, b 3+0→3 current, c 0+0→0 drained",
		},
		{
			name: "what a drained cluster lacks is made empty there", total: 4,
			clusters: []Cluster{well("a", 4), drained(empty("b"))},
			want:     "a 4+0→4 current, b 0+0→0 drained",
		},
		{
			name: "a drained cluster keeps what the others have no room for", total: 6, prefs: moving,
			clusters: []Cluster{crowded("a", 3, 1), drained(well("b", 3))},
			want:     "a 3+3→6 capacity, b 0+0→3 held",
			short:    "3: no more capacity in a",
		},
		{
			name: "pods that wait for room are given up where it is drained", total: 6, prefs: staying,
			clusters: []Cluster{starting("a", 6, 1), drained(crowded("b", 2, 1))},
			want:     "a 6+0→6 current, b 0+0→2 held",
		},
		{
			name: "the last is not drained", total: 3,
			clusters: []Cluster{drained(well("a", 2)), drained(well("b", 1)), well("c", 3).as(Offline)},
			want:     "a 2+0→2 current, b 1+0→1 current, c 0+0→3 offline",
		},
		{
			name: "the last that may run it is not drained", total: 3, prefs: onlyA,
			clusters: []Cluster{drained(well("a", 3)), empty("b")},
			want:     "a 3+0→3 current, b 0+0→0 none",
		},
		{
			name: "none is left", total: 6,
			clusters: []Cluster{well("a", 3).as(Offline), well("b", 3).as(Lost)},
			want:     "a 0+0→3 offline, b 0+0→3 lost",
			short:    "6: no cluster is left; out of reach: a, b",
		},
		{
			name: "it returns and may not rebalance: what runs shrinks by weight", total: 6, prefs: staying,
			clusters: []Cluster{well("a", 3), well("b", 3), well("c", 2)},
			want:     "a 2+0→2 weight, b 2+0→2 weight, c 2+0→2 current",
		},
		{
			name: "it returns with nothing and may not rebalance", total: 6, prefs: staying,
			clusters: []Cluster{well("a", 3), well("b", 3), starting("c", 0, 0)},
			want:     "a 3+0→3 current, b 3+0→3 current, c 0+0→0 current",
		},
		{
			name: "it returns with nothing and may rebalance: first it is raised", total: 6, prefs: moving,
			clusters: []Cluster{well("a", 3), well("b", 3), starting("c", 0, 0)},
			want:     "a 2+0→3 held, b 2+0→3 held, c 2+0→2 weight",
		},
		{
			name: "then the others are lowered by what is Ready there", total: 6, prefs: moving,
			clusters: []Cluster{well("a", 3), well("b", 3), starting("c", 2, 2)},
			want:     "a 2+0→2 weight, b 2+0→2 weight, c 2+0→2 weight",
		},
		{
			name: "a cluster out of sight keeps what it ran", total: 9, prefs: moving,
			clusters: []Cluster{well("a", 2), well("b", 2), well("c", 5).as(Kept)},
			want:     "a 2+0→2 weight, b 2+0→2 weight, c 5+0→5 kept",
		},
		{
			name: "a restart with nothing changed changes nothing", total: 26, prefs: staying,
			clusters: []Cluster{well("a", 13), well("b", 5), empty("c").as(Unknown)},
			want:     "a 13+0→13 current, b 6+0→5 weight, c 7+0→7 kept",
			waits:    "c",
		},
		{
			name: "what is unknown lowers nothing", total: 6, prefs: moving,
			clusters: []Cluster{well("a", 6), well("b", 1), empty("c").as(Unknown)},
			want:     "a 2+0→6 held, b 2+0→2 weight, c 2+0→2 kept",
			waits:    "c",
		},
		{
			name: "what is unknown creates all the same", total: 6, prefs: staying,
			clusters: []Cluster{empty("b"), well("a", 1), empty("d").as(Unknown), empty("c").as(Unknown)},
			want:     "b 1+0→1 weight, a 2+0→1 weight, d 2+0→2 kept, c 1+0→1 kept",
			waits:    "c d",
		},
		{
			name: "frozen: nothing is raised for what is away, nor lowered", total: 9, prefs: moving, frozen: true,
			clusters: []Cluster{well("a", 1), well("b", 4), well("c", 4).as(Kept), well("d", 0).as(Kept)},
			want:     "a 3+0→1 weight, b 2+0→4 held, c 4+0→4 kept, d 0+0→0 kept",
		},
		{
			name: "frozen: a lower total counts only what is in sight", total: 5, prefs: moving, frozen: true,
			clusters: []Cluster{well("a", 4), well("b", 4), well("c", 4).as(Kept), well("d", 4).as(Kept), well("e", 4).as(Kept)},
			want:     "a 0+0→4 held, b 0+0→1 held, c 4+0→4 kept, d 4+0→4 kept, e 4+0→4 kept",
		},
		{
			name: "frozen: a higher total is placed", total: 10, prefs: moving, frozen: true,
			clusters: []Cluster{well("a", 2), well("b", 3).as(Kept), well("c", 3).as(Kept)},
			want:     "a 4+0→4 weight, b 3+0→3 kept, c 3+0→3 kept",
		},
		{
			name: "a lower total in Git", total: 4, prefs: staying,
			clusters: []Cluster{well("a", 4), well("b", 4)},
			want:     "a 2+0→2 weight, b 2+0→2 weight",
		},
		{
			name: "max", total: 10, prefs: bounded, clusters: []Cluster{well("a", 3), empty("b")},
			want:  "a 3+0→3 max, b 3+0→3 max",
			short: "4: every cluster has reached its maximum",
		},
		{
			name: "max and no room", total: 10, prefs: bounded, clusters: []Cluster{well("a", 3), crowded("b", 1, 1)},
			want:  "a 3+0→3 max, b 1+2→3 capacity",
			short: "6: no more capacity in b; every other cluster has reached its maximum",
		},
		{
			name: "no room anywhere", total: 10, prefs: moving, clusters: []Cluster{crowded("a", 3, 1), crowded("b", 1, 1)},
			want:  "a 3+2→5 capacity, b 1+4→5 capacity",
			short: "6: no more capacity in a, b",
		},
		{
			name: "nobody that is named is placed", total: 2, prefs: onlyA, clusters: []Cluster{empty("b")},
			want:  "b 0+0→0 none",
			short: "2: the preferences name no reachable cluster",
		},
		{
			name: "min is all there is", total: 50, prefs: least, clusters: []Cluster{empty("a"), empty("b")},
			want:  "a 20+0→20 min, b 20+0→20 min",
			short: "10: no reachable cluster has a weight",
		},
		{
			name: "pending pods are placed where the object is created", total: 60, prefs: fivefold,
			clusters: []Cluster{empty("a"), crowded("b", 10, 40)},
			want:     "a 50+0→50 weight, b 10+0→10 capacity",
		},
		{
			name: "one is left pending where the object exists elsewhere", total: 60, prefs: fivefold,
			clusters: []Cluster{well("a", 10), crowded("b", 10, 40)},
			want:     "a 50+0→50 weight, b 10+1→11 capacity",
		},
		{
			name: "until those raised elsewhere are Ready", total: 60, prefs: fivefold,
			clusters: []Cluster{starting("a", 50, 10), crowded("b", 10, 1)},
			want:     "a 50+0→50 current, b 10+0→11 held",
		},
		{
			name: "then none", total: 60, prefs: fivefold,
			clusters: []Cluster{well("a", 50), crowded("b", 10, 1)},
			want:     "a 50+0→50 current, b 10+0→10 current",
		},
		{
			name: "one is left pending where min asks for more", total: 50, prefs: least,
			clusters: []Cluster{crowded("a", 10, 10), well("b", 20), well("c", 20)},
			want:     "a 10+1→11 capacity, b 20+0→20 min, c 20+0→20 min",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := Workload{Key: "default/web", Total: c.total, Preferences: c.prefs, Frozen: c.frozen, Clusters: slices.Clone(c.clusters)}
			w.KeepLast()
			d := Decide(w)
			var got []string
			for i, s := range d.Shares {
				got = append(got, fmt.Sprintf("%s %d+%d→%d %s", s.Cluster, s.Share, s.Overflow, s.Replicas, s.Basis))
				if want := c.clusters[i].running(); s.Live != want {
					t.Errorf("%s is live %d, want %d", s.Cluster, s.Live, want)
				}
			}
			if got := strings.Join(got, ", "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			short := ""
			if d.Shortfall != 0 || d.Reason != "" {
				short = fmt.Sprintf("%d: %s", d.Shortfall, d.Reason)
			}
			if short != c.short {
				t.Errorf("short %q, want %q", short, c.short)
			}
			if got := strings.Join(d.Waits, " "); got != c.waits {
				t.Errorf("waits for %q, want %q", got, c.waits)
			}
		})
	}
}

func TestADecisionSaysWhatItIsAbout(t *testing.T) {
	ref := federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "web"}
	got := Decide(Workload{
		App: "web", Object: ref, File: "apps/web/replicaset.yaml", Key: "default/web", Total: 3,
		Clusters: []Cluster{well("b", 2), empty("a")},
	})
	want := federation.ReplicasDecision{
		App: "web", Object: ref, File: "apps/web/replicaset.yaml", Total: 3,
		Shares: []federation.ReplicasShare{
			{Cluster: "b", Share: 2, Replicas: 2, Live: 2, Basis: federation.ShareByCurrent},
			{Cluster: "a", Share: 1, Replicas: 1, Live: absent, Basis: federation.ShareByWeight},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decide = %+v, want %+v", got, want)
	}
}

func TestADecisionDoesNotDependOnTheOrderOfClusters(t *testing.T) {
	r := rng(t)
	for range 5_000 {
		w := Workload{Key: "default/web", Total: r.Int64N(40), Frozen: r.IntN(4) == 0, Preferences: Preferences{Rebalance: r.IntN(2) == 0}}
		for i := range r.IntN(8) {
			live := r.Int64N(10)
			c := Cluster{
				Name: fmt.Sprintf("c%d", i), Standing: Standing(r.IntN(5)), Exists: r.IntN(3) > 0,
				Live: live, Ready: r.Int64N(live + 1), Current: r.Int64N(live + 1),
			}
			if c.Exists && r.IntN(3) == 0 {
				c.Limited, c.Capacity = true, r.Int64N(live+1)
			}
			w.Clusters = append(w.Clusters, c)
		}
		before := Decide(w)
		if err := judge(w, before); err != nil {
			t.Fatalf("%+v: %v", w, err)
		}
		r.Shuffle(len(w.Clusters), func(i, j int) { w.Clusters[i], w.Clusters[j] = w.Clusters[j], w.Clusters[i] })
		after := Decide(w)
		for _, s := range after.Shares {
			if !slices.Contains(before.Shares, s) {
				t.Fatalf("%+v: %+v is not in %+v", w, s, before.Shares)
			}
		}
	}
}

func BenchmarkWorkloads(b *testing.B) {
	for _, kind := range []string{"alike", "each of its own"} {
		b.Run(kind, func(b *testing.B) {
			workloads := manyWorkloads(100, 1000, kind == "alike")
			b.ReportAllocs()
			for b.Loop() {
				for i := range workloads {
					Decide(workloads[i])
				}
			}
		})
	}
}

// manyWorkloads gives workloads over clusters that run half of what they should.
// Where they are not alike, every cluster has its own weight and bounds, and some
// have no room.
func manyWorkloads(count, clusters int, alike bool) []Workload {
	r := rand.New(rand.NewPCG(1, 1))
	all := make([]Workload, count)
	for i := range all {
		w := &all[i]
		w.Key, w.Total = fmt.Sprintf("default/web-%d", i), int64(10*clusters)
		w.Preferences.Rebalance = i%2 == 0
		if !alike {
			w.Preferences.Clusters = map[string]ClusterPreferences{}
		}
		for k := range clusters {
			c := well(fmt.Sprintf("gce-europe-west1b-%03d", k), r.Int64N(10))
			if !alike {
				low := r.Int64N(5)
				w.Preferences.Clusters[c.Name] = ClusterPreferences{Min: low, Max: low + r.Int64N(40), Weight: r.Int64N(100)}
				if k%10 == 0 {
					c.Limited, c.Capacity = true, c.Live
					c.Live += 2
				}
			}
			w.Clusters = append(w.Clusters, c)
		}
	}
	return all
}
