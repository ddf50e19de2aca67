package roll

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
)

// ready returns facts of a cluster that answers and has this uid.
func ready(uid string) federation.ClusterFacts {
	return federation.ClusterFacts{State: federation.ClusterReady, Synced: true, Seen: true, UID: uid}
}

func offline(uid string) federation.ClusterFacts {
	return federation.ClusterFacts{State: federation.ClusterOffline, Outage: true, Seen: uid != "", UID: uid}
}

func named(names ...string) []federation.Cluster {
	all := make([]federation.Cluster, len(names))
	for i, name := range names {
		all[i] = federation.Cluster{Name: name, Context: name}
	}
	return all
}

func TestOfJudgesEachCluster(t *testing.T) {
	type facts = map[string]federation.ClusterFacts
	for _, c := range []struct {
		name    string
		members string
		leaving string
		brought map[string]brought
		facts   facts
		servers map[string]string
		want    string
	}{
		{
			name: "clusters of their own", members: "a b", facts: facts{"a": ready("1"), "b": ready("2")},
			want: "a Write, b Write",
		},
		{
			name: "nothing is known yet", members: "a b", facts: facts{},
			want: "a Write, b Write",
		},
		{
			name: "two new names of one cluster", members: "a b", facts: facts{"a": ready("1"), "b": ready("1")},
			want: "a Write, b Duplicate of a",
		},
		{
			name: "the second was there before", members: "a b", facts: facts{"a": ready("1"), "b": ready("1")},
			brought: map[string]brought{"b": {UID: "1", Since: "old"}},
			want:    "a Duplicate of b, b Write",
		},
		{
			name: "the second only answered earlier", members: "a b", facts: facts{"a": ready("1"), "b": ready("1")},
			brought: map[string]brought{"b": {UID: "1", Since: "new"}},
			want:    "a Write, b Duplicate of a",
		},
		{
			name: "both were there before", members: "a b c", facts: facts{"a": ready("1"), "b": ready("1"), "c": ready("1")},
			brought: map[string]brought{"b": {UID: "1", Since: "old"}, "c": {UID: "1", Since: "older"}},
			want:    "a Duplicate of b, b Write, c Duplicate of b",
		},
		{
			name: "the one that was there led elsewhere", members: "a b", facts: facts{"a": ready("1"), "b": ready("1")},
			brought: map[string]brought{"b": {UID: "2", Since: "old"}},
			want:    "a Write, b Duplicate of a",
		},
		{
			name: "one server, and no uid is known", members: "a b", facts: facts{},
			servers: map[string]string{"a": "https://me:secret@10.0.0.1/", "b": "https://10.0.0.1:443"},
			want:    "a Write, b Duplicate of a",
		},
		{
			name: "one server, and the second was there before", members: "a b", facts: facts{},
			servers: map[string]string{"a": "https://10.0.0.1", "b": "https://10.0.0.1"},
			brought: map[string]brought{"b": {UID: "1", Since: "old"}},
			want:    "a Duplicate of b, b Write",
		},
		{
			name: "one host serves two clusters by path", members: "a b", facts: facts{},
			servers: map[string]string{"a": "https://gate/k8s/a", "b": "https://gate/k8s/b"},
			want:    "a Write, b Write",
		},
		{
			name: "one server by name and two uids", members: "a b", facts: facts{"a": ready("1"), "b": ready("2")},
			servers: map[string]string{"a": "https://10.0.0.1", "b": "https://10.0.0.1"},
			want:    "a Write, b Write",
		},
		{
			name: "another cluster behind a name", members: "a b", facts: facts{"a": ready("3"), "b": ready("2")},
			brought: map[string]brought{"a": {UID: "1", Since: "old"}, "b": {UID: "2", Since: "old"}},
			want:    "a Replaced, b Write",
		},
		{
			name: "it was replaced under this revision", members: "a", facts: facts{"a": ready("3")},
			brought: map[string]brought{"a": {UID: "3", Since: "new", Before: "1"}},
			want:    "a Replaced",
		},
		{
			name: "it was replaced under an earlier one", members: "a", facts: facts{"a": ready("3")},
			brought: map[string]brought{"a": {UID: "3", Since: "old", Before: "1"}},
			want:    "a Write",
		},
		{
			name: "it cannot be told whether it was replaced", members: "a", facts: facts{"a": ready("")},
			brought: map[string]brought{"a": {UID: "1", Since: "old"}},
			want:    "a Write",
		},
		{
			name: "a cluster left", members: "a", leaving: "z", facts: facts{"a": ready("1"), "z": ready("9")},
			brought: map[string]brought{"z": {UID: "9", Since: "old"}},
			want:    "a Write, z Empty",
		},
		{
			name: "a roster without uids", members: "a", leaving: "z", facts: facts{"a": ready("1"), "z": ready("9")},
			want: "a Write, z Empty",
		},
		{
			name: "it only has another name", members: "a b", leaving: "z", facts: facts{"a": ready("1"), "b": ready("9"), "z": ready("9")},
			want: "a Write, b Write, z Renamed to b",
		},
		{
			name: "it has another name, and another member does not answer", members: "a b", leaving: "z",
			facts: facts{"a": offline(""), "b": ready("9"), "z": ready("9")},
			want:  "a Write, b Write, z Renamed to b",
		},
		{
			name: "it does not answer", members: "a", leaving: "z", facts: facts{"a": ready("1"), "z": offline("")},
			want: "a Write, z Wait",
		},
		{
			name: "it went away", members: "a", leaving: "z", facts: facts{"a": ready("1"), "z": offline("9")},
			want: "a Write, z Wait",
		},
		{
			name: "its uid may not be read", members: "a", leaving: "z", facts: facts{"a": ready("1"), "z": ready("")},
			want: "a Write, z Wait",
		},
		{
			name: "a member does not answer", members: "a b", leaving: "z", facts: facts{"a": ready("1"), "b": offline(""), "z": ready("9")},
			want: "a Write, b Write, z Wait",
		},
		{
			name: "a member went away, and may return by another address", members: "a b", leaving: "z",
			facts: facts{"a": ready("1"), "b": offline("2"), "z": ready("9")},
			want:  "a Write, b Write, z Wait",
		},
		{
			name: "its context leads elsewhere now", members: "a", leaving: "z", facts: facts{"a": ready("1"), "z": ready("8")},
			brought: map[string]brought{"z": {UID: "9", Since: "old"}},
			want:    "a Write, z Wait",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{
				Members: named(strings.Fields(c.members)...), Leaving: named(strings.Fields(c.leaving)...),
				Roster: Roster{Federation: "web", Clusters: map[string]string{}, Brought: c.brought},
				Facts:  federation.Facts{Clusters: c.facts}, Servers: c.servers, Revision: "new",
			}
			r := Of(in)
			var got []string
			for _, name := range slices.Sorted(maps.Keys(r.verdicts)) {
				v := r.verdicts[name]
				text := name + " " + string(v.Action)
				switch v.Action {
				case clusterDuplicate:
					text += " of " + v.Member
				case clusterRenamed:
					text += " to " + v.Member
				case clusterWrite, clusterReplaced, clusterEmpty, clusterWait:
				}
				got = append(got, text)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("verdicts: %s\nwant:     %s", strings.Join(got, ", "), c.want)
			}
			// The second judgement, with the roster of the first, is that of a daemon
			// that was restarted in between.
			in.Roster = r.Roster
			in.Leaving = slices.DeleteFunc(in.Leaving, func(c federation.Cluster) bool { return r.verdicts[c.Name].Action == clusterRenamed })
			again := Of(in)
			for name, v := range again.verdicts {
				if v.Action != r.verdicts[name].Action || v.Member != r.verdicts[name].Member {
					t.Errorf("the second verdict on %s is %v, the first was %v", name, v, r.verdicts[name])
				}
			}
			for _, f := range r.Findings(federation.FileName) {
				if f.Message.IsZero() || f.Remedy.IsZero() || f.Cluster == "" || strings.Contains(f.Message.String(), "secret") {
					t.Errorf("finding %+v lacks something, or shows a secret", f)
				}
			}
		})
	}
}

// Whatever names, clusters and outages there are, and in whatever order the clusters
// answer: no cluster is written under two names, none is emptied that a member leads
// to, and a restart changes nothing.
func TestRollOfAnyHistory(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		leadsTo := map[string]string{} // the cluster behind each name
		for i := range 6 {
			leadsTo[fmt.Sprintf("n%d", i)] = fmt.Sprintf("u%d", r.IntN(5))
		}
		facts := federation.Facts{Clusters: map[string]federation.ClusterFacts{}}
		var members []federation.Cluster
		rost := Roster{Federation: "web"}
		for step := range 30 {
			name := fmt.Sprintf("n%d", r.IntN(6))
			push := false
			switch r.IntN(6) {
			case 0:
				leadsTo[name] = fmt.Sprintf("u%d", r.IntN(5))
				delete(facts.Clusters, name) // a new session
			case 1:
				facts.Clusters[name] = offline(facts.Clusters[name].UID)
			case 2, 3:
				facts.Clusters[name] = ready(leadsTo[name])
			case 4:
				facts.Clusters[name] = ready("") // its uid may not be read
			case 5:
				push = true
			}
			if push || step == 0 {
				members = nil
				for i := range 6 {
					if r.IntN(3) > 0 {
						members = append(members, named(fmt.Sprintf("n%d", i))...)
					}
				}
				if len(members) == 0 {
					members = named("n0")
				}
			}
			f := &federation.Federation{Name: "web", Clusters: members, OnRemove: federation.OnRemoveDelete}
			next, leaving := rost.Next(f)
			in := Input{Members: members, Leaving: leaving, Roster: next, Facts: facts, Revision: fmt.Sprint(step / 3)}
			out := Of(in)

			written, isMember := map[string]string{}, map[string]bool{}
			for _, c := range members {
				isMember[leadsTo[c.Name]] = true
				uid := facts.Clusters[c.Name].UID
				switch a := out.verdicts[c.Name].Action; a {
				case clusterWrite, clusterReplaced:
					if uid != "" && written[uid] != "" {
						t.Fatalf("seed %d step %d: %s and %s are one cluster and both written", seed, step, c.Name, written[uid])
					}
					written[uid] = c.Name
					if b := next.Brought[c.Name]; uid != "" && b.UID != "" && b.UID != uid && a != clusterReplaced {
						t.Fatalf("seed %d step %d: %s leads to another cluster and is %s", seed, step, c.Name, a)
					}
				case clusterDuplicate:
					if other := out.verdicts[c.Name].Member; facts.Clusters[other].UID != uid || out.verdicts[other].Action == clusterDuplicate {
						t.Fatalf("seed %d step %d: %s is not the same as %s", seed, step, c.Name, other)
					}
				case clusterEmpty, clusterWait, clusterRenamed:
					t.Fatalf("seed %d step %d: the member %s is %s", seed, step, c.Name, a)
				}
			}
			for _, c := range members {
				if uid := facts.Clusters[c.Name].UID; uid != "" && written[uid] == "" {
					t.Fatalf("seed %d step %d: nobody writes to the cluster %s of %s", seed, step, uid, c.Name)
				}
			}
			for _, c := range leaving {
				if out.verdicts[c.Name].Action == clusterEmpty && isMember[leadsTo[c.Name]] && facts.Clusters[c.Name].UID == leadsTo[c.Name] {
					// Only a member whose move to another cluster is not known yet can
					// be it, and none is left unknown.
					t.Fatalf("seed %d step %d: %s is emptied, and is a member", seed, step, c.Name)
				}
			}
			if again := Of(Input{Members: members, Leaving: leaving, Roster: reread(t, next), Facts: facts, Revision: in.Revision}); !reflect.DeepEqual(out.verdicts, again.verdicts) {
				t.Fatalf("seed %d step %d: a restart judges differently (-before +after):\n%s", seed, step, cmp.Diff(out.verdicts, again.verdicts))
			}
			rost = out.Roster
		}
	}
}

// reread returns a roster as a restart reads it.
func reread(t *testing.T, r Roster) Roster {
	t.Helper()
	file := RosterFile(t.TempDir(), "test")
	if err := writeJSON(file, r); err != nil {
		t.Fatal(err)
	}
	return ReadRoster(file)
}

func TestRosterOfAnEarlierVersionIsRead(t *testing.T) {
	file := RosterFile(t.TempDir(), "test")
	if err := writeJSON(file, map[string]any{"federation": "web", "clusters": map[string]string{"a": "ctx-a", "z": "ctx-z"}}); err != nil {
		t.Fatal(err)
	}
	_, leaving := ReadRoster(file).Next(&federation.Federation{Name: "web", Clusters: named("a"), OnRemove: federation.OnRemoveDelete})
	if len(leaving) != 1 || leaving[0].Name != "z" || leaving[0].Context != "ctx-z" {
		t.Errorf("leaving = %v, want z by its context", leaving)
	}
}
