package schedule

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedsync/fedsync/pkg/federation"
)

// world is a federation of three clusters and one app of n ConfigMaps, all of it
// rendered, running and known.
func world(t *testing.T, n int) Input {
	t.Helper()
	in := Input{
		Federation: &federation.Federation{
			Clusters: []federation.Cluster{
				{Name: "a", Labels: map[string]string{"tier": "prod"}},
				{Name: "b", Labels: map[string]string{"tier": "prod"}},
				{Name: "c", Labels: map[string]string{"tier": "test"}},
			},
			Apps: []federation.App{{Name: "web", Prune: true, PruneLimit: federation.PruneLimit{Percent: 10}}},
		},
		Facts: federation.Facts{Clusters: map[string]federation.ClusterFacts{}},
	}
	for _, c := range in.Federation.Clusters {
		objects := objects(t, n)
		in.Bundles = append(in.Bundles, federation.Bundle{Cluster: c.Name, App: "web", Objects: objects})
		in.Facts.Clusters[c.Name] = federation.ClusterFacts{
			State: federation.ClusterReady, Synced: true,
			Inventory: map[string][]federation.ObjectRef{"web": refs(objects)},
		}
	}
	return in
}

func objects(t *testing.T, n int) []*federation.Object {
	t.Helper()
	var all []*federation.Object
	for i := range n {
		o, err := federation.NewObject(map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": fmt.Sprintf("c%d", i), "namespace": "default"},
		}, "apps/web/all.yaml")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

func refs(objects []*federation.Object) []federation.ObjectRef {
	var all []federation.ObjectRef
	for _, o := range objects {
		all = append(all, o.Ref)
	}
	return all
}

// remove takes the last n objects out of the rendering for every cluster.
func remove(in *Input, n int) {
	for i := range in.Bundles {
		in.Bundles[i].Objects = in.Bundles[i].Objects[:len(in.Bundles[i].Objects)-n]
	}
}

func selector(t *testing.T, s string) federation.Selector {
	t.Helper()
	parsed, err := labels.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return federation.NewSelector(parsed)
}

func TestPruneVerdict(t *testing.T) {
	cases := []struct {
		name    string
		objects int
		change  func(t *testing.T, in *Input)
		want    federation.PruneVerdict
		finding string // part of the message expected
	}{
		{"nothing changes", 10, func(*testing.T, *Input) {}, federation.PruneAllowed, ""},
		{"1 of 2 objects", 2, func(_ *testing.T, in *Input) { remove(in, 1) }, federation.PruneAllowed, ""},
		{"2 of 4 objects are half", 4, func(_ *testing.T, in *Input) { remove(in, 2) }, federation.PruneHeld, "2 of 4 objects"},
		{"3 of 10 objects are few", 10, func(_ *testing.T, in *Input) { remove(in, 3) }, federation.PruneAllowed, ""},
		{"4 of 10 objects are over the limit", 10, func(_ *testing.T, in *Input) { remove(in, 4) }, federation.PruneHeld, "4 of 10 objects"},
		{"10 of 100 objects are at the limit", 100, func(_ *testing.T, in *Input) { remove(in, 10) }, federation.PruneAllowed, ""},
		{"11 of 100 objects are over it", 100, func(_ *testing.T, in *Input) { remove(in, 11) }, federation.PruneHeld, "11 of 100"},
		{"a count is exact", 10, func(_ *testing.T, in *Input) {
			in.Federation.Apps[0].PruneLimit = federation.PruneLimit{Count: 6, IsCount: true}
			remove(in, 6)
		}, federation.PruneAllowed, ""},
		{"more than the count", 10, func(_ *testing.T, in *Input) {
			in.Federation.Apps[0].PruneLimit = federation.PruneLimit{Count: 2, IsCount: true}
			remove(in, 3)
		}, federation.PruneHeld, "3 of 10"},
		{"all of them, allowed by percent", 10, func(_ *testing.T, in *Input) {
			in.Federation.Apps[0].PruneLimit = federation.PruneLimit{Percent: 100}
			remove(in, 10)
		}, federation.PruneAllowed, ""},
		{"the annotation lets it pass", 10, func(_ *testing.T, in *Input) {
			in.Federation.Annotations = map[string]string{federation.AnnotationPrune: "Allowed"}
			remove(in, 10)
		}, federation.PruneAllowed, ""},
		{"prune is off", 10, func(_ *testing.T, in *Input) {
			in.Federation.Apps[0].Prune = false
			remove(in, 1)
		}, federation.PruneOff, ""},
		{"the app leaves the file", 3, func(_ *testing.T, in *Input) {
			in.Federation.Apps, in.Bundles = nil, nil
		}, federation.PruneHeld, "3 of 3 objects"},
		{"an app of one object leaves the file", 1, func(_ *testing.T, in *Input) {
			in.Federation.Apps, in.Bundles = nil, nil
		}, federation.PruneAllowed, ""},
		{"the app leaves one cluster of three", 3, func(t *testing.T, in *Input) {
			in.Federation.Apps[0].Selector = selector(t, "tier=prod")
		}, federation.PruneAllowed, ""},
		{"the app leaves two clusters of three", 3, func(t *testing.T, in *Input) {
			in.Federation.Apps[0].Selector = selector(t, "tier=test")
		}, federation.PruneHeld, "2 of its 3 clusters"},
		{"one cluster could not be rendered", 10, func(_ *testing.T, in *Input) {
			remove(in, 1)
			in.Bundles[1].Err = errors.New("no base")
		}, federation.PruneWaiting, ""},
		{"one cluster has not been seen", 10, func(_ *testing.T, in *Input) {
			remove(in, 1)
			in.Facts.Clusters["b"] = federation.ClusterFacts{State: federation.ClusterPending}
		}, federation.PruneWaiting, "waits until it is known what runs in b"},
		{"one cluster went offline and is remembered", 10, func(_ *testing.T, in *Input) {
			remove(in, 1)
			b := in.Facts.Clusters["b"]
			b.State = federation.ClusterOffline
			in.Facts.Clusters["b"] = b
		}, federation.PruneAllowed, ""},
		{"one cluster does not let us look", 10, func(_ *testing.T, in *Input) {
			remove(in, 1)
			in.Facts.Clusters["b"] = federation.ClusterFacts{State: federation.ClusterUnknown}
		}, federation.PruneWaiting, "waits"},
		{"policy refuses an object that runs", 10, func(_ *testing.T, in *Input) {
			in.Policy = Policy{Kinds: []string{"Service"}}
		}, federation.PruneWaiting, "kind ConfigMap is not allowed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := world(t, c.objects)
			c.change(t, &in)
			plan := New().Plan(in)
			for _, cluster := range plan.Clusters {
				for _, app := range cluster.Apps {
					if app.Prune != c.want {
						t.Errorf("%s in %s: prune = %s, want %s", app.App, cluster.Cluster, app.Prune, c.want)
					}
				}
			}
			var messages []string
			for _, f := range plan.Findings {
				messages = append(messages, f.Message.String())
			}
			if got := strings.Join(messages, "; "); !strings.Contains(got, c.finding) || c.finding == "" && got != "" {
				t.Errorf("findings = %q, want %q", got, c.finding)
			}
		})
	}
}

func TestAppsGoWhereTheirSelectorsSay(t *testing.T) {
	in := world(t, 1)
	in.Federation.Apps[0].Selector = selector(t, "tier=prod")
	in.Facts = federation.Facts{}
	plan := New().Plan(in)
	want := map[string]int{"a": 1, "b": 1, "c": 0}
	for _, c := range plan.Clusters {
		if len(c.Apps) != want[c.Cluster] {
			t.Errorf("cluster %s has %d apps, want %d", c.Cluster, len(c.Apps), want[c.Cluster])
		}
	}
}

func TestAppThatLeavesAClusterHasAPlanWithoutObjectsThere(t *testing.T) {
	in := world(t, 1)
	in.Federation.Apps[0].Selector = selector(t, "tier=prod")
	plan := New().Plan(in)
	apps := plan.Clusters[2].Apps
	if len(apps) != 1 || len(apps[0].Objects) != 0 || apps[0].Broken {
		t.Errorf("plan of c = %+v, want web without objects, not broken", apps)
	}
}

func TestClusterForWhichNothingWasRenderedIsNotEmptied(t *testing.T) {
	in := world(t, 3)
	in.Bundles[1].Objects = nil // one of three: the verdict on the app is to go on
	plan := New().Plan(in)
	want := []federation.PruneVerdict{federation.PruneAllowed, federation.PruneHeld, federation.PruneAllowed}
	for i, c := range plan.Clusters {
		if got := c.Apps[0].Prune; got != want[i] {
			t.Errorf("%s: prune = %s, want %s", c.Cluster, got, want[i])
		}
	}
	if len(plan.Findings) != 1 || plan.Findings[0].Cluster != "b" {
		t.Errorf("findings = %v, want one about b", plan.Findings)
	}
	in.Bundles[2].Objects = nil // most of them: that is too much for all
	for _, c := range New().Plan(in).Clusters {
		if got := c.Apps[0].Prune; got != federation.PruneHeld {
			t.Errorf("%s: prune = %s, want Held", c.Cluster, got)
		}
	}
}

func TestClusterWhoseInventoryIsNotKnownIsNotPruned(t *testing.T) {
	in := world(t, 10)
	remove(&in, 1)
	in.Facts.Clusters["b"] = federation.ClusterFacts{State: federation.ClusterOffline}
	plan := New().Plan(in)
	if a, b := plan.Clusters[0].Apps[0].Prune, plan.Clusters[1].Apps[0].Prune; a != federation.PruneAllowed || b != federation.PruneWaiting {
		t.Errorf("prune = %s in a and %s in b, want Allowed and Waiting", a, b)
	}
}

// The record of an app is deleted after its last object, by a plan that names the app.
func TestAnAppOfWhichOnlyTheRecordIsLeftIsInThePlan(t *testing.T) {
	in := world(t, 2)
	in.Federation.Apps[0].Selector = federation.NewSelector(labels.SelectorFromSet(labels.Set{"tier": "prod"})) // no longer in c
	c := in.Facts.Clusters["c"]
	c.Inventory = map[string][]federation.ObjectRef{"web": {}, "gone": {}}
	in.Facts.Clusters["c"] = c
	got := map[string]federation.PruneVerdict{}
	for _, app := range New().Plan(in).Clusters[2].Apps {
		got[app.App] = app.Prune
	}
	want := map[string]federation.PruneVerdict{"web": federation.PruneAllowed, "gone": federation.PruneAllowed}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("apps of the plan (-want +got):\n%s", diff)
	}
}

func TestBrokenRenderingSaysNothingOfItsObjects(t *testing.T) {
	in := world(t, 2)
	in.Bundles[0] = federation.Bundle{Cluster: "a", App: "web", Err: errors.New("no base")}
	plan := New().Plan(in)
	if !plan.Clusters[0].Apps[0].Broken {
		t.Error("a's app is not broken, want broken")
	}
	if plan.Clusters[1].Apps[0].Broken {
		t.Error("b's app is broken, want it to go on")
	}
}

func TestProvisionalPlanNeverPrunes(t *testing.T) {
	in := world(t, 3)
	in.Bundles = in.Bundles[:1]
	plan := New().Provisional(in, in.Federation.Clusters[0])
	if got := plan.Apps[0]; got.Prune != federation.PruneWaiting || len(got.Objects) != 3 {
		t.Errorf("plan = %s with %d objects, want Waiting with 3", got.Prune, len(got.Objects))
	}
}

func TestPolicyNamesWhatItAllows(t *testing.T) {
	p := Policy{Namespaces: []string{"shop"}, Kinds: []string{"Service", "Ingress.networking.k8s.io", "Namespace"}}
	cases := map[string]bool{
		"Service/shop/web":                   true,
		"networking.k8s.io/Ingress/shop/web": true,
		"extensions/Ingress/shop/web":        false,
		"Service/default/web":                false,
		"Namespace/shop":                     true,
		"Namespace/other":                    false,
	}
	for s, want := range cases {
		ref, err := federation.ParseObjectRef(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.refusal(ref); (got == "") != want {
			t.Errorf("refusal(%s) = %q, want allowed: %t", s, got, want)
		}
	}
}
