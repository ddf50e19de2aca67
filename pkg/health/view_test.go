package health

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

var (
	shopWatch = Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, LabelSelector: "app=shop"}
	echoWatch = Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, LabelSelector: "app=echo"}
)

// observe judges the objects that have the label of an app.
func observe(cluster string) func(*unstructured.Unstructured) (federation.Observation, bool) {
	return func(u *unstructured.Unstructured) (federation.Observation, bool) {
		app := u.GetLabels()["app"]
		return Judge(cluster, app, u), app != ""
	}
}

func labelled(name, app string) *unstructured.Unstructured {
	u := configMap(name, "uid-"+name, "1")
	u.SetLabels(map[string]string{"app": app})
	return u
}

func names(list []federation.Observation) []string {
	var got []string
	for _, o := range list {
		got = append(got, o.App+":"+o.Object.Name)
	}
	return got
}

func TestViewHoldsWhatTheEventsLeave(t *testing.T) {
	changes := 0
	view := NewView(observe("c1"), func() { changes++ })
	for _, step := range []struct {
		name  string
		event Event
		want  []string
		told  bool
	}{
		{"new", Event{Watch: shopWatch, Type: Upserted, Object: labelled("b", "shop")}, []string{"shop:b"}, true},
		{"another", Event{Watch: shopWatch, Type: Upserted, Object: labelled("a", "shop")}, []string{"shop:a", "shop:b"}, true},
		{"nothing judged has changed", Event{Watch: shopWatch, Type: Upserted, Object: labelled("a", "shop")}, []string{"shop:a", "shop:b"}, false},
		{"listed", Event{Watch: shopWatch, Type: Listed}, []string{"shop:a", "shop:b"}, false},
		{"not ours", Event{Watch: shopWatch, Type: Upserted, Object: labelled("c", "")}, []string{"shop:a", "shop:b"}, false},
		{"out of sight", Event{Watch: shopWatch, Type: Failed, Err: &WatchError{}}, []string{"shop:a", "shop:b"}, false},
		{"goes to another app", Event{Watch: echoWatch, Type: Upserted, Object: labelled("a", "echo")}, []string{"echo:a", "shop:b"}, true},
		{"whose old watch says so late", Event{Watch: shopWatch, Type: Deleted, Object: labelled("a", "shop")}, []string{"echo:a", "shop:b"}, false},
		{"deleted", Event{Watch: shopWatch, Type: Deleted, Object: configMap("b", "uid-b", "2")}, []string{"echo:a"}, true},
		{"deleted twice", Event{Watch: shopWatch, Type: Deleted, Object: configMap("b", "uid-b", "2")}, []string{"echo:a"}, false},
		{"a watch of nothing ends", Event{Watch: shopWatch, Type: Stopped}, []string{"echo:a"}, false},
		{"the watch ends", Event{Watch: echoWatch, Type: Stopped}, nil, true},
	} {
		before := changes
		view.Observe(step.event)
		if got := names(view.Snapshot()); !slices.Equal(got, step.want) {
			t.Errorf("%s: Snapshot() = %q, want %q", step.name, got, step.want)
		}
		if told := changes > before; told != step.told {
			t.Errorf("%s: told of a change = %v, want %v", step.name, told, step.told)
		}
	}
}

func TestViewSnapshotsStayAsTheyAre(t *testing.T) {
	view := NewView(observe("c1"), nil)
	view.Observe(Event{Watch: shopWatch, Type: Upserted, Object: labelled("a", "shop")})
	first := view.Snapshot()
	if again := view.Snapshot(); &first[0] != &again[0] {
		t.Error("a second snapshot of the same is another slice, want the same")
	}
	view.Observe(Event{Watch: shopWatch, Type: Upserted, Object: labelled("b", "shop")})
	view.Observe(Event{Watch: shopWatch, Type: Deleted, Object: labelled("a", "shop")})
	if got := names(first); !slices.Equal(got, []string{"shop:a"}) {
		t.Errorf("the first snapshot has become %q", got)
	}
}

func TestViewIsSafeForManyGoroutines(t *testing.T) {
	view := NewView(observe("c1"), func() {})
	var running sync.WaitGroup
	for writer := range 4 {
		running.Go(func() {
			for i := range 200 {
				u := labelled(fmt.Sprintf("w%d-%d", writer, i%20), "shop")
				u.SetGeneration(int64(i))
				view.Observe(Event{Watch: shopWatch, Type: Upserted, Object: u})
				for _, o := range view.Snapshot() {
					_ = o.Object.Name
				}
			}
		})
	}
	running.Wait()
	if got := len(view.Snapshot()); got != 80 {
		t.Errorf("%d observations, want 80", got)
	}
}

// TestViewsOfAFederationAreSmall holds the views of the guide's 13 clusters with
// 300 objects each to a few megabytes.
func TestViewsOfAFederationAreSmall(t *testing.T) {
	const clusters, objects, limit = 13, 300, 8 << 20
	before := heap()
	views := make([]*View, clusters)
	for i := range views {
		views[i] = NewView(observe(fmt.Sprintf("cluster-%d", i)), nil)
		for n := range objects {
			u := liveObject(t, fmt.Appendf(nil, `{
				"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
				"metadata": {"name": "ingress-%d", "namespace": "web", "labels": {"app": "shop"},
					"annotations": {"ingress.kubernetes.io/url-map": "k8s-um-web-ingress-%[1]d", "large": "%[2]s"}},
				"spec": {"rules": [{"host": "host-%[1]d.example.com"}]},
				"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}}`, n, padding))
			views[i].Observe(Event{Watch: shopWatch, Type: Upserted, Object: u})
		}
		views[i].Snapshot()
	}
	used := heap() - before
	t.Logf("%d observations take %d KiB with their snapshots", clusters*objects, used>>10)
	if used > limit {
		t.Errorf("%d bytes, want at most %d", used, limit)
	}
	runtime.KeepAlive(views)
}
