package watch

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
	"github.com/fedsync/fedsync/pkg/probe"
)

func ours(m *membertest.Member) Watch {
	return Watch{Resource: membertest.ConfigMaps, Namespace: m.Namespace, LabelSelector: "app=shop"}
}

// soon is a second on a busy machine. Without a poke the pause would be up to 30 s.
const soon = 3 * time.Second

func TestWatcherFollowsTheObjectsOfALabel(t *testing.T) {
	m := membertest.NewMember(t, lab.Shared(t))
	shop := map[string]string{"app": "shop"}
	m.Create(t, "a", shop)
	m.Create(t, "foreign", nil)

	events := newRecorder()
	w := start(t, m.Client, events.sink, ours(m))
	got, _ := events.wait(t, "listed")
	membertest.Want(t, "first list", got, []string{"upserted a", "listed"})
	if !w.State(ours(m)).Synced {
		t.Error("Synced = false after the list, want true")
	}

	m.Create(t, "b", shop)
	got, took := events.wait(t, "upserted b")
	t.Logf("an object was seen %v after its creation was answered", took)
	membertest.Want(t, "created", got, []string{"upserted b"})

	m.Label(t, "a", map[string]string{"app": "shop", "x": "y"})
	m.Label(t, "b", nil) // it still exists, but is no longer ours
	m.Delete(t, "a")
	got, _ = events.wait(t, "deleted a")
	membertest.Want(t, "changed, label removed, deleted", got, []string{"upserted a", "deleted b", "deleted a"})

	w.Want(nil)
	got, _ = events.wait(t, "stopped")
	membertest.Want(t, "no longer wanted", got, []string{"stopped"})
	if w.State(ours(m)).Synced {
		t.Error("Synced = true for a watch that is not wanted, want false")
	}

	w.Want([]Watch{ours(m)})
	m.Create(t, "c", shop)
	events.wait(t, "upserted c")
}

func TestWatcherListsMissedChanges(t *testing.T) {
	m := membertest.NewMember(t, lab.Shared(t))
	shop := map[string]string{"app": "shop"}
	for _, name := range []string{"stays", "goes", "changes", "renewed"} {
		m.Create(t, name, shop)
	}
	var wire membertest.Wire
	client, _ := membertest.NewClient(t, wire.Config(m.Cfg))
	events := newRecorder()
	w := start(t, client, events.sink, ours(m))
	events.wait(t, "listed")

	wire.Set(membertest.Cut)
	got, _ := events.wait(t, "failed network")
	membertest.Want(t, "cut", got, []string{"failed network"})
	if w.State(ours(m)).Synced {
		t.Error("Synced = true while the wire is cut, want false")
	}
	m.Delete(t, "goes")
	m.Label(t, "changes", map[string]string{"app": "shop", "x": "y"})
	m.Delete(t, "renewed")
	m.Create(t, "renewed", shop)
	m.Create(t, "comes", shop)

	wire.Set(membertest.Whole)
	w.Poke()
	got, took := events.wait(t, "listed")
	t.Logf("listed %v after the poke", took)
	slices.Sort(got)
	membertest.Want(t, "restored", got, []string{
		"deleted goes", "deleted renewed", "listed", "upserted changes", "upserted comes", "upserted renewed",
	})
	if took > soon {
		t.Errorf("listed %v after the poke, want within %v", took, soon)
	}
	if !w.State(ours(m)).Synced {
		t.Error("Synced = false after the recovery, want true")
	}
}

func TestWatcherReportsAForbiddenKindAndContinuesWithTheRest(t *testing.T) {
	s := lab.Shared(t)
	m := membertest.NewMember(t, s)
	secrets := Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, Namespace: m.Namespace}
	grant(t, m, "configmaps")

	var requests membertest.Counter
	client, _ := membertest.NewClient(t, requests.Wrap(s.Restricted(m.Name)))
	allowed, forbidden := newRecorder(), newRecorder()
	w := start(t, client, func(e Event) {
		if e.Watch == secrets {
			forbidden.sink(e)
		} else {
			allowed.sink(e)
		}
	}, ours(m), secrets)

	allowed.wait(t, "listed")
	got, _ := forbidden.wait(t, "failed forbidden")
	membertest.Want(t, "events of the forbidden kind", got, []string{"failed forbidden"})
	blocked := forbidden.events[0].Err
	if !blocked.Blocked() {
		t.Errorf("Blocked() = false for %v, want true", blocked)
	}
	const message = `cannot watch resource "secrets"`
	if !strings.Contains(blocked.Error(), message) || !strings.HasPrefix(blocked.Error(), "watch secrets in "+m.Namespace+": ") {
		t.Errorf("error = %q, want the watch and %q", blocked, message)
	}
	if !w.State(ours(m)).Synced || w.State(secrets).Synced {
		t.Errorf("Synced = %v for the allowed kind and %v for the forbidden, want true and false", w.State(ours(m)).Synced, w.State(secrets).Synced)
	}
	m.Create(t, "a", map[string]string{"app": "shop"})
	allowed.wait(t, "upserted a")

	<-time.After(3 * time.Second)
	membertest.Want(t, "requests", sortedCopy(requests.List()), []string{
		"WATCH /api/v1/namespaces/" + m.Namespace + "/configmaps",
		"WATCH /api/v1/namespaces/" + m.Namespace + "/secrets",
	})

	grant(t, m, "secrets")
	w.Poke()
	forbidden.wait(t, "listed")
	if !w.State(secrets).Synced {
		t.Error("Synced = false for the kind that is allowed now, want true")
	}
}

func TestWatcherWaitsForAKindThatIsNotServedYet(t *testing.T) {
	t.Parallel()
	s := lab.Own(t, 1) // a definition belongs to no namespace
	m := membertest.NewMember(t, s)
	shops := Watch{Resource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "shops"}}
	events := newRecorder()
	w := start(t, m.Client, events.sink, shops)
	got, _ := events.wait(t, "failed not served")
	membertest.Want(t, "events", got, []string{"failed not served"})
	if err := events.events[0].Err; err.Error() != "watch shops.example.com: the cluster does not serve this kind" || !err.Blocked() {
		t.Errorf("error = %q, Blocked() = %v", err, err.Blocked())
	}

	define(t, m, "shops", "Shop")
	w.Poke()
	_, took := events.wait(t, "listed")
	t.Logf("the kind was watched %v after its definition was applied", took)
	createShop(t, m, "corner")
	events.wait(t, "upserted corner")
}

// TestWatcherIsIdleWhenTheClusterIs verifies that watching costs no requests: by our own
// requests, and by the API server's count for a user that no other client uses.
func TestWatcherIsIdleWhenTheClusterIs(t *testing.T) {
	t.Parallel()
	s := lab.Own(t, 1)
	m := membertest.NewMember(t, s)
	watches := []Watch{ours(m)}
	for _, resource := range []string{"services", "pods", "secrets", "configmaps"} {
		grant(t, m, resource)
		watches = append(watches, Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: resource}, Namespace: m.Namespace})
	}

	var requests membertest.Counter
	client, _ := membertest.NewClient(t, requests.Wrap(s.Restricted(m.Name)))
	events := newRecorder()
	before := membertest.Served(t, m.Cfg)
	w := start(t, client, events.sink, watches...)
	for range watches {
		events.wait(t, "listed")
	}
	begun, sent := membertest.Served(t, m.Cfg), requests.List()
	if len(sent) != len(watches) || begun-before != len(watches) {
		t.Errorf("%d requests sent, %d served for %d watches: %q; want one each", len(sent), begun-before, len(watches), sent)
	}

	<-time.After(time.Minute)
	if now := requests.List(); len(now) != len(sent) {
		t.Errorf("requests while nothing happened: %q, want none", now[len(sent):])
	}
	if now := membertest.Served(t, m.Cfg); now != begun {
		t.Errorf("the API server got %d requests while nothing happened, want none", now-begun)
	}
	for _, watch := range watches {
		if !w.State(watch).Synced {
			t.Errorf("Synced(%v) = false, want true", watch)
		}
	}
	m.Create(t, "a", map[string]string{"app": "shop"})
	events.wait(t, "upserted a")
}

// TestWatcherSurvivesAnAPIServerThatIsKilledOrPaused connects prober and watcher as the
// daemon does.
func TestWatcherSurvivesAnAPIServerThatIsKilledOrPaused(t *testing.T) {
	t.Parallel()
	m := membertest.NewMember(t, lab.Own(t, 1))
	shop := map[string]string{"app": "shop"}
	m.Create(t, "a", shop)

	client, connections := membertest.NewClient(t, m.Cfg)
	events := newRecorder()
	w := start(t, client, events.sink, ours(m))
	probes := probing(t, m.Cfg, func(p probe.Probe) {
		switch p.State {
		case federation.ClusterOffline:
			connections.Close()
		case federation.ClusterReady:
			w.Poke()
		case federation.ClusterPending, federation.ClusterNotReady, federation.ClusterUnknown:
		}
	})
	probes.wait(t, federation.ClusterReady, federation.FailureNone)
	events.wait(t, "listed")

	t.Log("killed")
	began := time.Now()
	m.Sandbox.Kill(t, m.Name)
	events.wait(t, "failed refused")
	probes.wait(t, federation.ClusterOffline, federation.FailureRefused)
	t.Logf("Offline %v after it was killed", time.Since(began))
	m.Sandbox.Start(t, m.Name)
	began = time.Now()
	probes.wait(t, federation.ClusterReady, federation.FailureNone)
	t.Logf("Ready %v after it was ready", time.Since(began))
	got, took := events.wait(t, "listed")
	t.Logf("listed %v after the probe", took)
	// Unchanged objects are not reported again.
	if slices.Contains(got, "upserted a") || slices.Contains(got, "deleted a") {
		t.Errorf("events = %q, want nothing about a", got)
	}
	if took > soon {
		t.Errorf("listed %v after the probe reported Ready, want within %v", took, soon)
	}
	m.Create(t, "b", shop)
	events.wait(t, "upserted b")

	t.Log("paused until Offline")
	began = time.Now()
	m.Sandbox.Pause(t, m.Name)
	probes.wait(t, federation.ClusterOffline, federation.FailureTimeout)
	t.Logf("Offline %v after it was paused", time.Since(began))
	m.Sandbox.Resume(t, m.Name)
	began = time.Now()
	probes.wait(t, federation.ClusterReady, federation.FailureNone)
	t.Logf("Ready %v after it was resumed", time.Since(began))
	m.Create(t, "c", shop)
	got, took = events.wait(t, "upserted c")
	if !slices.Contains(got, "listed") {
		events.wait(t, "listed") // c was in the list
	}
	t.Logf("an event %v after its creation was answered", took)
	if took > soon {
		t.Errorf("an event %v after the probe reported Ready, want within %v", took, soon)
	}

	t.Log("paused for a moment")
	m.Sandbox.Pause(t, m.Name)
	probes.wait(t, federation.ClusterNotReady, federation.FailureTimeout)
	m.Sandbox.Resume(t, m.Name)
	m.Create(t, "d", shop)
	got, took = events.wait(t, "upserted d")
	t.Logf("an event %v after its creation was answered", took)
	membertest.Want(t, "events over a short pause", got, []string{"upserted d"})
}

// TestWatcherRecoversFromASilentPartition breaks the connections unnoticeably: HTTP/2
// detects missing pings only after 45 s.
func TestWatcherRecoversFromASilentPartition(t *testing.T) {
	t.Parallel()
	m := membertest.NewMember(t, lab.Shared(t))
	shop := map[string]string{"app": "shop"}
	m.Create(t, "a", shop)
	var wire membertest.Wire
	client, connections := membertest.NewClient(t, wire.Config(m.Cfg))
	events := newRecorder()
	w := start(t, client, events.sink, ours(m))
	reports := probing(t, wire.Config(m.Cfg), func(p probe.Probe) {
		switch p.State {
		case federation.ClusterOffline:
			connections.Close()
		case federation.ClusterReady:
			w.Poke()
		case federation.ClusterPending, federation.ClusterNotReady, federation.ClusterUnknown:
		}
	})
	reports.wait(t, federation.ClusterReady, federation.FailureNone)
	events.wait(t, "listed")

	wire.Set(membertest.Swallows)
	reports.wait(t, federation.ClusterOffline, federation.FailureTimeout)
	m.Delete(t, "a")
	m.Create(t, "b", shop)
	wire.Set(membertest.Whole)
	reports.wait(t, federation.ClusterReady, federation.FailureNone)
	_, took := events.wait(t, "upserted b")
	t.Logf("missed events came %v after the probe reported Ready", took)
	if took > soon {
		t.Errorf("missed events came %v after the probe reported Ready, want within %v", took, soon)
	}
}

func sortedCopy(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// grant allows the restricted user to list and watch a kind in our namespace.
func grant(t *testing.T, m *membertest.Member, resource string) {
	t.Helper()
	rbac := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1"}
	apply(t, m, rbac.GroupVersion().WithResource("roles"), map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"name": resource},
		"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{resource}, "verbs": []any{"list", "watch"}}},
	})
	apply(t, m, rbac.GroupVersion().WithResource("rolebindings"), map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": resource},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": resource},
		"subjects": []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": lab.RestrictedUser}},
	})
}

func apply(t *testing.T, m *membertest.Member, resource schema.GroupVersionResource, content map[string]any) {
	t.Helper()
	u := &unstructured.Unstructured{Object: content}
	var client dynamic.ResourceInterface = m.Client.Resource(resource)
	if resource.Resource != "customresourcedefinitions" {
		client = m.Client.Resource(resource).Namespace(m.Namespace)
	}
	if _, err := client.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// define adds a kind and waits until it is served.
func define(t *testing.T, m *membertest.Member, plural, kind string) {
	t.Helper()
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	name := plural + ".example.com"
	events := newRecorder()
	w := NewWatcher(m.Client, func(e Event) {
		if e.Type == Upserted && health.Judge("", "", e.Object).Health == federation.Healthy {
			events.sink(e)
		}
	})
	w.Want([]Watch{{Resource: crds, FieldSelector: "metadata.name=" + name}})
	done := runUntil(t, w)
	defer done()
	apply(t, m, crds, map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group": "example.com", "scope": "Namespaced",
			"names": map[string]any{"plural": plural, "kind": kind},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}},
			}},
		},
	})
	events.wait(t, "upserted "+name)
}

func createShop(t *testing.T, m *membertest.Member, name string) {
	t.Helper()
	apply(t, m, schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "shops"}, map[string]any{
		"apiVersion": "example.com/v1", "kind": "Shop", "metadata": map[string]any{"name": name},
	})
}
