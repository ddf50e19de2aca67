package facts

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
	"github.com/fedsync/fedsync/pkg/watch"
)

var (
	shopWatch = watch.Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, LabelSelector: "app=shop"}
	echoWatch = watch.Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, LabelSelector: "app=echo"}
)

// observe judges the objects that have the label of an app.
func observe(cluster string) func(*unstructured.Unstructured) (federation.Observation, bool) {
	return func(u *unstructured.Unstructured) (federation.Observation, bool) {
		app := u.GetLabels()["app"]
		return health.Judge(cluster, app, u), app != ""
	}
}

func labelled(name, app string) *unstructured.Unstructured {
	u := membertest.ConfigMap(name, "uid-"+name, "1")
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

func TestViewAppliesEvents(t *testing.T) {
	changes := 0
	view := NewView(observe("c1"), func() { changes++ })
	for _, step := range []struct {
		name     string
		event    watch.Event
		want     []string
		notified bool
	}{
		{"new", watch.Event{Watch: shopWatch, Type: watch.Upserted, Object: labelled("b", "shop")}, []string{"shop:b"}, true},
		{"another", watch.Event{Watch: shopWatch, Type: watch.Upserted, Object: labelled("a", "shop")}, []string{"shop:a", "shop:b"}, true},
		{"nothing judged has changed", watch.Event{Watch: shopWatch, Type: watch.Upserted, Object: labelled("a", "shop")}, []string{"shop:a", "shop:b"}, false},
		{"listed", watch.Event{Watch: shopWatch, Type: watch.Listed}, []string{"shop:a", "shop:b"}, false},
		{"not ours", watch.Event{Watch: shopWatch, Type: watch.Upserted, Object: labelled("c", "")}, []string{"shop:a", "shop:b"}, false},
		{"out of sight", watch.Event{Watch: shopWatch, Type: watch.Failed, Err: &watch.Error{}}, []string{"shop:a", "shop:b"}, false},
		{"goes to another app", watch.Event{Watch: echoWatch, Type: watch.Upserted, Object: labelled("a", "echo")}, []string{"echo:a", "shop:b"}, true},
		{"whose old watch reports it late", watch.Event{Watch: shopWatch, Type: watch.Deleted, Object: labelled("a", "shop")}, []string{"echo:a", "shop:b"}, false},
		{"deleted", watch.Event{Watch: shopWatch, Type: watch.Deleted, Object: membertest.ConfigMap("b", "uid-b", "2")}, []string{"echo:a"}, true},
		{"deleted twice", watch.Event{Watch: shopWatch, Type: watch.Deleted, Object: membertest.ConfigMap("b", "uid-b", "2")}, []string{"echo:a"}, false},
		{"a watch of nothing ends", watch.Event{Watch: shopWatch, Type: watch.Stopped}, []string{"echo:a"}, false},
		{"the watch ends", watch.Event{Watch: echoWatch, Type: watch.Stopped}, nil, true},
	} {
		before := changes
		view.Observe(step.event)
		if got := names(view.Snapshot()); !slices.Equal(got, step.want) {
			t.Errorf("%s: Snapshot() = %q, want %q", step.name, got, step.want)
		}
		if notified := changes > before; notified != step.notified {
			t.Errorf("%s: notified of a change = %v, want %v", step.name, notified, step.notified)
		}
	}
}

func TestViewSnapshotsAreImmutable(t *testing.T) {
	view := NewView(observe("c1"), nil)
	view.Observe(watch.Event{Watch: shopWatch, Type: watch.Upserted, Object: labelled("a", "shop")})
	first := view.Snapshot()
	if again := view.Snapshot(); &first[0] != &again[0] {
		t.Error("a second snapshot of the same is another slice, want the same")
	}
	view.Observe(watch.Event{Watch: shopWatch, Type: watch.Upserted, Object: labelled("b", "shop")})
	view.Observe(watch.Event{Watch: shopWatch, Type: watch.Deleted, Object: labelled("a", "shop")})
	if got := names(first); !slices.Equal(got, []string{"shop:a"}) {
		t.Errorf("the first snapshot changed to %q", got)
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
				view.Observe(watch.Event{Watch: shopWatch, Type: watch.Upserted, Object: u})
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

// TestViewsOfAFederationAreSmall limits the memory for the views of the guide's 13
// clusters with 300 objects each to a few megabytes.
func TestViewsOfAFederationAreSmall(t *testing.T) {
	const clusters, objects, limit = 13, 300, 8 << 20
	before := membertest.Heap()
	views := make([]*View, clusters)
	for i := range views {
		views[i] = NewView(observe(fmt.Sprintf("cluster-%d", i)), nil)
		for n := range objects {
			u := membertest.LiveObject(t, fmt.Appendf(nil, `{
				"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
				"metadata": {"name": "ingress-%d", "namespace": "web", "labels": {"app": "shop"},
					"annotations": {"ingress.kubernetes.io/url-map": "k8s-um-web-ingress-%[1]d", "large": "%[2]s"}},
				"spec": {"rules": [{"host": "host-%[1]d.example.com"}]},
				"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}}`, n, membertest.Padding))
			views[i].Observe(watch.Event{Watch: shopWatch, Type: watch.Upserted, Object: u})
		}
		views[i].Snapshot()
	}
	used := membertest.Heap() - before
	t.Logf("%d observations take %d KiB with their snapshots", clusters*objects, used>>10)
	if used > limit {
		t.Errorf("%d bytes, want at most %d", used, limit)
	}
	runtime.KeepAlive(views)
}
