package health

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/sandboxtest"
	"github.com/fedsync/fedsync/pkg/federation"
)

func ours(m *member) Watch {
	return Watch{Resource: configMaps, Namespace: m.namespace, LabelSelector: "app=shop"}
}

// soon is a busy machine's second. Without a poke the pause would be up to 30 s.
const soon = 3 * time.Second

func TestWatcherFollowsTheObjectsOfALabel(t *testing.T) {
	m := newMember(t, sandboxtest.Shared(t))
	shop := map[string]string{"app": "shop"}
	m.create(t, "a", shop)
	m.create(t, "foreign", nil)

	events := newRecorder()
	w := start(t, m.client, events.sink, ours(m))
	got, _ := events.wait(t, "listed")
	want(t, "first list", got, []string{"upserted a", "listed"})
	if !w.State(ours(m)).Synced {
		t.Error("Synced = false after the list, want true")
	}

	m.create(t, "b", shop)
	got, took := events.wait(t, "upserted b")
	t.Logf("an object was seen %v after its creation was answered", took)
	want(t, "created", got, []string{"upserted b"})

	m.label(t, "a", map[string]string{"app": "shop", "x": "y"})
	m.label(t, "b", nil) // it is there still, and is no longer ours
	m.delete(t, "a")
	got, _ = events.wait(t, "deleted a")
	want(t, "changed, label removed, deleted", got, []string{"upserted a", "deleted b", "deleted a"})

	w.Want(nil)
	got, _ = events.wait(t, "stopped")
	want(t, "no longer wanted", got, []string{"stopped"})
	if w.State(ours(m)).Synced {
		t.Error("Synced = true for a watch that is not wanted, want false")
	}

	w.Want([]Watch{ours(m)})
	m.create(t, "c", shop)
	events.wait(t, "upserted c")
}

func TestWatcherListsAnewWhatItMissed(t *testing.T) {
	m := newMember(t, sandboxtest.Shared(t))
	shop := map[string]string{"app": "shop"}
	for _, name := range []string{"stays", "goes", "changes", "renewed"} {
		m.create(t, name, shop)
	}
	var wire testWire
	client, _ := newClient(t, wire.config(m.cfg))
	events := newRecorder()
	w := start(t, client, events.sink, ours(m))
	events.wait(t, "listed")

	wire.set(cut)
	got, _ := events.wait(t, "failed network")
	want(t, "cut", got, []string{"failed network"})
	if w.State(ours(m)).Synced {
		t.Error("Synced = true while the wire is cut, want false")
	}
	m.delete(t, "goes")
	m.label(t, "changes", map[string]string{"app": "shop", "x": "y"})
	m.delete(t, "renewed")
	m.create(t, "renewed", shop)
	m.create(t, "comes", shop)

	wire.set(whole)
	w.Poke()
	got, took := events.wait(t, "listed")
	t.Logf("listed %v after the poke", took)
	slices.Sort(got)
	want(t, "mended", got, []string{
		"deleted goes", "deleted renewed", "listed", "upserted changes", "upserted comes", "upserted renewed",
	})
	if took > soon {
		t.Errorf("listed %v after the poke, want within %v", took, soon)
	}
	if !w.State(ours(m)).Synced {
		t.Error("Synced = false after the recovery, want true")
	}
}

func TestWatcherReportsAForbiddenKindAndGoesOnWithTheOthers(t *testing.T) {
	s := sandboxtest.Shared(t)
	m := newMember(t, s)
	secrets := Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, Namespace: m.namespace}
	grant(t, m, "configmaps")

	var requests counter
	client, _ := newClient(t, requests.wrap(s.Restricted(m.name)))
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
	want(t, "events of the forbidden kind", got, []string{"failed forbidden"})
	blocked := forbidden.events[0].Err
	if !blocked.Blocked() {
		t.Errorf("Blocked() = false for %v, want true", blocked)
	}
	const message = `cannot watch resource "secrets"`
	if !strings.Contains(blocked.Error(), message) || !strings.HasPrefix(blocked.Error(), "watch secrets in "+m.namespace+": ") {
		t.Errorf("error = %q, want the watch and %q", blocked, message)
	}
	if !w.State(ours(m)).Synced || w.State(secrets).Synced {
		t.Errorf("Synced = %v for the allowed kind and %v for the forbidden, want true and false", w.State(ours(m)).Synced, w.State(secrets).Synced)
	}
	m.create(t, "a", map[string]string{"app": "shop"})
	allowed.wait(t, "upserted a")

	<-time.After(3 * time.Second)
	want(t, "requests", sortedCopy(requests.list()), []string{
		"WATCH /api/v1/namespaces/" + m.namespace + "/configmaps",
		"WATCH /api/v1/namespaces/" + m.namespace + "/secrets",
	})

	grant(t, m, "secrets")
	w.Poke()
	forbidden.wait(t, "listed")
	if !w.State(secrets).Synced {
		t.Error("Synced = false for the kind that is allowed by now, want true")
	}
}

func TestWatcherWaitsForAKindThatIsNotServedYet(t *testing.T) {
	t.Parallel()
	s := sandboxtest.Own(t, 1, false) // a definition belongs to no namespace
	m := newMember(t, s)
	shops := Watch{Resource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "shops"}}
	events := newRecorder()
	w := start(t, m.client, events.sink, shops)
	got, _ := events.wait(t, "failed not served")
	want(t, "events", got, []string{"failed not served"})
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

// TestWatcherIsIdleWhenTheClusterIs holds the promise that watching costs no
// requests: by what we send, and by the API server's own count of what it got from
// a user that nobody else is.
func TestWatcherIsIdleWhenTheClusterIs(t *testing.T) {
	t.Parallel()
	s := sandboxtest.Own(t, 1, false)
	m := newMember(t, s)
	watches := []Watch{ours(m)}
	for _, resource := range []string{"services", "pods", "secrets", "configmaps"} {
		grant(t, m, resource)
		watches = append(watches, Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: resource}, Namespace: m.namespace})
	}

	var requests counter
	client, _ := newClient(t, requests.wrap(s.Restricted(m.name)))
	events := newRecorder()
	before := served(t, m.cfg)
	w := start(t, client, events.sink, watches...)
	for range watches {
		events.wait(t, "listed")
	}
	begun, sent := served(t, m.cfg), requests.list()
	if len(sent) != len(watches) || begun-before != len(watches) {
		t.Errorf("%d requests sent, %d served for %d watches: %q; want one each", len(sent), begun-before, len(watches), sent)
	}

	<-time.After(time.Minute)
	if now := requests.list(); len(now) != len(sent) {
		t.Errorf("requests while nothing happened: %q, want none", now[len(sent):])
	}
	if now := served(t, m.cfg); now != begun {
		t.Errorf("the API server got %d requests while nothing happened, want none", now-begun)
	}
	for _, watch := range watches {
		if !w.State(watch).Synced {
			t.Errorf("Synced(%v) = false, want true", watch)
		}
	}
	m.create(t, "a", map[string]string{"app": "shop"})
	events.wait(t, "upserted a")
}

// TestWatcherSurvivesAnAPIServerThatIsKilledOrPaused wires prober and watcher as
// the daemon does.
func TestWatcherSurvivesAnAPIServerThatIsKilledOrPaused(t *testing.T) {
	t.Parallel()
	m := newMember(t, sandboxtest.Own(t, 1, false))
	shop := map[string]string{"app": "shop"}
	m.create(t, "a", shop)

	client, connections := newClient(t, m.cfg)
	events := newRecorder()
	w := start(t, client, events.sink, ours(m))
	probes := probe(t, m.cfg, func(p Probe) {
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
	m.sandbox.Kill(t, m.name)
	events.wait(t, "failed refused")
	probes.wait(t, federation.ClusterOffline, federation.FailureRefused)
	t.Logf("Offline %v after it was killed", time.Since(began))
	m.sandbox.Start(t, m.name)
	began = time.Now()
	probes.wait(t, federation.ClusterReady, federation.FailureNone)
	t.Logf("Ready %v after it was ready", time.Since(began))
	got, took := events.wait(t, "listed")
	t.Logf("listed %v after the probe said so", took)
	// What is unchanged is not said again.
	if slices.Contains(got, "upserted a") || slices.Contains(got, "deleted a") {
		t.Errorf("events = %q, want nothing about a", got)
	}
	if took > soon {
		t.Errorf("listed %v after the probe said Ready, want within %v", took, soon)
	}
	m.create(t, "b", shop)
	events.wait(t, "upserted b")

	t.Log("paused until Offline")
	began = time.Now()
	m.sandbox.Pause(t, m.name)
	probes.wait(t, federation.ClusterOffline, federation.FailureTimeout)
	t.Logf("Offline %v after it was paused", time.Since(began))
	m.sandbox.Resume(t, m.name)
	began = time.Now()
	probes.wait(t, federation.ClusterReady, federation.FailureNone)
	t.Logf("Ready %v after it was resumed", time.Since(began))
	m.create(t, "c", shop)
	got, took = events.wait(t, "upserted c")
	if !slices.Contains(got, "listed") {
		events.wait(t, "listed") // c was in the list
	}
	t.Logf("an event %v after its creation was answered", took)
	if took > soon {
		t.Errorf("an event %v after the probe said Ready, want within %v", took, soon)
	}

	t.Log("paused for a moment")
	m.sandbox.Pause(t, m.name)
	probes.wait(t, federation.ClusterNotReady, federation.FailureTimeout)
	m.sandbox.Resume(t, m.name)
	m.create(t, "d", shop)
	got, took = events.wait(t, "upserted d")
	t.Logf("an event %v after its creation was answered", took)
	want(t, "events over a short pause", got, []string{"upserted d"})
}

// TestWatcherGetsOverASilentPartition breaks the connections in the way that
// nothing notices: HTTP/2 misses its pings after 45 s only.
func TestWatcherGetsOverASilentPartition(t *testing.T) {
	t.Parallel()
	m := newMember(t, sandboxtest.Shared(t))
	shop := map[string]string{"app": "shop"}
	m.create(t, "a", shop)
	var wire testWire
	client, connections := newClient(t, wire.config(m.cfg))
	events := newRecorder()
	w := start(t, client, events.sink, ours(m))
	reports := probe(t, wire.config(m.cfg), func(p Probe) {
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

	wire.set(swallows)
	reports.wait(t, federation.ClusterOffline, federation.FailureTimeout)
	m.delete(t, "a")
	m.create(t, "b", shop)
	wire.set(whole)
	reports.wait(t, federation.ClusterReady, federation.FailureNone)
	_, took := events.wait(t, "upserted b")
	t.Logf("what was missed came %v after the probe said Ready", took)
	if took > soon {
		t.Errorf("what was missed came %v after the probe said Ready, want within %v", took, soon)
	}
}

func sortedCopy(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// grant lets the restricted user list and watch a kind in our namespace.
func grant(t *testing.T, m *member, resource string) {
	t.Helper()
	rbac := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1"}
	apply(t, m, rbac.GroupVersion().WithResource("roles"), map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"name": resource},
		"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{resource}, "verbs": []any{"list", "watch"}}},
	})
	apply(t, m, rbac.GroupVersion().WithResource("rolebindings"), map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": resource},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": resource},
		"subjects": []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": sandboxtest.RestrictedUser}},
	})
}

func apply(t *testing.T, m *member, resource schema.GroupVersionResource, content map[string]any) {
	t.Helper()
	u := &unstructured.Unstructured{Object: content}
	var client dynamic.ResourceInterface = m.client.Resource(resource)
	if resource.Resource != "customresourcedefinitions" {
		client = m.client.Resource(resource).Namespace(m.namespace)
	}
	if _, err := client.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// define adds a kind and waits until it is served.
func define(t *testing.T, m *member, plural, kind string) {
	t.Helper()
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	name := plural + ".example.com"
	events := newRecorder()
	w := NewWatcher(m.client, func(e Event) {
		if e.Type == Upserted && Judge("", "", e.Object).Health == federation.Healthy {
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

func createShop(t *testing.T, m *member, name string) {
	t.Helper()
	apply(t, m, schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "shops"}, map[string]any{
		"apiVersion": "example.com/v1", "kind": "Shop", "metadata": map[string]any{"name": name},
	})
}
