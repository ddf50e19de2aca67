package main

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// replicaSet returns a ReplicaSet as a watch sees it.
func replicaSet(cluster, name string, p pods) sighting {
	return sighting{cluster: cluster, kind: replicaSets, at: time.Now(), object: &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"replicas": p.wanted},
		"status":   map[string]any{"replicas": p.made, "readyReplicas": p.ready},
	}}}
}

func TestTallyHoldsTheFewestReadyPods(t *testing.T) {
	s := &sightings{expected: map[*expectation]bool{}}
	c, stop := s.count("web")
	defer stop()
	s.see(replicaSet("a", "web", pods{3, 3, 3}))
	s.see(replicaSet("b", "web", pods{3, 3, 2}))
	s.see(replicaSet("b", "other", pods{9, 9, 9}))
	c.mark()
	for _, p := range []pods{{2, 2, 1}, {4, 4, 4}} {
		s.see(replicaSet("b", "web", p))
	}
	if got := c.fewest(); got != 4 {
		t.Errorf("the fewest were %d, want 4", got)
	}
}

func TestTallyWaitsUntilItIsSo(t *testing.T) {
	s := &sightings{expected: map[*expectation]bool{}}
	c, stop := s.count("web")
	defer stop()
	s.see(replicaSet("a", "web", pods{3, 2, 2}))
	both := []string{"a", "b"}
	if _, err := c.until(t.Context(), time.Millisecond, "make six", made(both, 6)); err == nil || !strings.Contains(err.Error(), "make six") {
		t.Errorf("error %v, want one that says what was waited for", err)
	}
	last := replicaSet("b", "web", pods{4, 4, 0})
	go s.see(last)
	at, err := c.until(t.Context(), time.Minute, "make six", made(both, 6))
	if err != nil || at.Before(last.at) {
		t.Errorf("it was so at %v (%v), want not before it was seen: %v", at, err, last.at)
	}
}

func TestReplicasAreSharedWhenAllAreReadyAndEqual(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b pods
		want bool
	}{
		{"equal", pods{3, 3, 3}, pods{2, 2, 2}, true},
		{"one is not Ready", pods{3, 3, 3}, pods{2, 2, 1}, false},
		{"one is too many", pods{3, 3, 3}, pods{3, 3, 3}, false},
		{"unequal", pods{4, 4, 4}, pods{1, 1, 1}, false},
	} {
		counts := map[string]pods{"a": c.a, "b": c.b, "away": {2, 2, 2}}
		if got := shared([]string{"a", "b"}, 5)(counts); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}

func TestGuideAsksForAllClustersAndTheFloorForOne(t *testing.T) {
	replicas := func(text string) int64 {
		var u unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		n, _ := u.Object["spec"].(map[string]any)["replicas"].(float64)
		return int64(n)
	}
	clusters := []string{"a", "b", "c"}
	if got, want := replicas(guideFiles(clusters, 0)[appPath+"/base/replicaset.yaml"]), int64(guideReplicas*len(clusters)); got != want {
		t.Errorf("Git asks for %d replicas, want %d", got, want)
	}
	f := &floor{fleet: &fleet{clusters: []*member{{name: "a"}}}}
	objects, err := f.objects()
	if err != nil {
		t.Fatal(err)
	}
	if got := replicas(string(objects["a"][replicaSets])); got != guideReplicas {
		t.Errorf("the floor asks for %d replicas, want %d", got, guideReplicas)
	}
}
