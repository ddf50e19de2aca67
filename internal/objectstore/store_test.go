package objectstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/objectstore"
)

var (
	configMapsGVR  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespacesGVR  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	replicaSetsGVR = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	ingressesGVR   = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
)

type cluster struct {
	*testing.T
	*objectstore.Store
	dynamic.Interface
}

func newCluster(t *testing.T, o objectstore.Options) *cluster {
	t.Helper()
	store := objectstore.New(o)
	client, err := dynamic.NewForConfig(store.Config())
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{T: t, Store: store, Interface: client}
}

// apply applies a manifest in namespace default.
func (c *cluster) apply(gvr schema.GroupVersionResource, manifest string) (*unstructured.Unstructured, error) {
	c.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		c.Fatal(err)
	}
	force := true
	return c.Resource(gvr).Namespace("default").Patch(c.Context(), u.GetName(), types.ApplyPatchType, []byte(manifest), metav1.PatchOptions{FieldManager: "fedsync", Force: &force})
}

func (c *cluster) mustApply(gvr schema.GroupVersionResource, manifest string) *unstructured.Unstructured {
	c.Helper()
	u, err := c.apply(gvr, manifest)
	if err != nil {
		c.Fatalf("apply: %v", err)
	}
	return u
}

func configMap(name, value string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {k: %q}}`, name, value)
}

const replicaSet = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}`

func TestReflectorFollowsAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objectstore.Options{})
		c.mustApply(configMapsGVR, configMap("a", "1"))
		ctx, cancel := context.WithCancel(t.Context())
		store := cache.NewStore(cache.MetaNamespaceKeyFunc)
		r := cache.NewReflector(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				t.Error("the reflector lists, but should stream the list")
				return c.Resource(configMapsGVR).List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return c.Resource(configMapsGVR).Watch(ctx, o)
			},
		}, c.Interface), &unstructured.Unstructured{}, store, 0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.RunWithContext(ctx)
		}()
		value := func() string {
			synctest.Wait()
			o, ok, err := store.GetByKey("default/a")
			if err != nil || !ok {
				return fmt.Sprint("missing ", err)
			}
			v, _, _ := unstructured.NestedString(o.(*unstructured.Unstructured).Object, "data", "k")
			return v
		}
		for _, want := range []string{"1", "2", "3"} {
			c.mustApply(configMapsGVR, configMap("a", want))
			if got := value(); got != want {
				t.Errorf("the reflector has %q, want %q", got, want)
			}
			wait(t, time.Hour) // many watches end in this time
		}
		cancel()
		<-done
	})
}

// wait lets time pass in the bubble.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func TestWatchFromBeforeTheHistoryIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objectstore.Options{History: 10})
		first := c.mustApply(configMapsGVR, configMap("a", "0"))
		for i := range 20 {
			c.mustApply(configMapsGVR, configMap("a", fmt.Sprint(i)))
		}
		w, err := c.Resource(configMapsGVR).Watch(t.Context(), metav1.ListOptions{ResourceVersion: first.GetResourceVersion()})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		event := <-w.ResultChan()
		if err := apierrors.FromObject(event.Object); event.Type != watch.Error || !apierrors.IsResourceExpired(err) {
			t.Errorf("the watch starts with %v %v, want an error that the version is too old", event.Type, event.Object)
		}
	})
}

func TestRestoreResetsVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objectstore.Options{})
		before := c.mustApply(configMapsGVR, configMap("a", "1"))
		backup := c.Backup()
		lost := c.mustApply(configMapsGVR, configMap("b", "1"))
		w, err := c.Resource(configMapsGVR).Watch(t.Context(), metav1.ListOptions{ResourceVersion: lost.GetResourceVersion()})
		if err != nil {
			t.Fatal(err)
		}
		c.Restore(backup)
		if _, ok := <-w.ResultChan(); ok {
			t.Error("the watch continues, want its end")
		}
		if _, err := c.Resource(configMapsGVR).Namespace("default").Get(t.Context(), "b", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("get an object from after the backup: %v, want not found", err)
		}
		again := c.mustApply(configMapsGVR, configMap("b", "2"))
		if again.GetResourceVersion() != lost.GetResourceVersion() || again.GetUID() == lost.GetUID() {
			t.Errorf("recreated with version %s and uid %s, want the earlier version, %s, and another uid than %s",
				again.GetResourceVersion(), again.GetUID(), lost.GetResourceVersion(), lost.GetUID())
		}
		same := c.mustApply(configMapsGVR, configMap("a", "1"))
		if same.GetUID() != before.GetUID() {
			t.Errorf("uid %s after the restore, want %s", same.GetUID(), before.GetUID())
		}
		uid := func() types.UID {
			n, err := c.Resource(namespacesGVR).Get(t.Context(), "kube-system", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return n.GetUID()
		}
		was := uid()
		c.Rebuild()
		if uid() == was {
			t.Error("kube-system of the rebuilt cluster has the earlier uid")
		}
	})
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objectstore.Options{})
		writes := func(r *objectstore.Request) bool { return r.Writes() }
		get := func() error {
			_, err := c.Resource(configMapsGVR).Namespace("default").Get(t.Context(), "a", metav1.GetOptions{})
			return err
		}

		c.SetFaults(objectstore.On(writes, func() objectstore.Action { return objectstore.Action{LoseAnswer: true} }))
		if _, err := c.apply(configMapsGVR, configMap("a", "1")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("apply with its answer lost: %v, want a reset", err)
		}
		if err := get(); err != nil {
			t.Errorf("after the lost answer: %v, want the object", err)
		}

		c.SetFaults(objectstore.On(writes, func() objectstore.Action { return objectstore.Action{Hang: true} }))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		_, err := c.Resource(configMapsGVR).Namespace("default").Patch(ctx, "a", types.MergePatchType, []byte(`{"data":{"k":"2"}}`), metav1.PatchOptions{})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 7*time.Second {
			t.Errorf("a patch that hangs: %v after %v, want the deadline after 7s", err, time.Since(began))
		}

		c.SetFaults(objectstore.Forbid("fedsync", "configmaps", "patch"))
		_, err = c.apply(configMapsGVR, configMap("a", "2"))
		want := `configmaps "a" is forbidden: User "fedsync" cannot patch resource "configmaps" in API group "" in the namespace "default"`
		if err == nil || err.Error() != want {
			t.Errorf("refused: %v\nwant %s", err, want)
		}

		c.SetFaults()
		c.SetOutage(objectstore.OutageRefuse)
		if err := get(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("during an outage: %v, want connection refused", err)
		}
		c.SetOutage(objectstore.OutageHang)
		time.AfterFunc(time.Minute, func() { c.SetOutage(objectstore.OutageNone) })
		began = time.Now()
		if err := get(); err != nil || time.Since(began) != time.Minute {
			t.Errorf("after a pause: %v after %v, want the answer after 1m", err, time.Since(began))
		}
		patches := c.Count(func(e objectstore.Entry) bool {
			return e.Method == http.MethodPatch && strings.HasSuffix(e.Path, "/configmaps/a")
		})
		if patches != 3 {
			t.Errorf("%d patches were recorded, want 3", patches)
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objectstore.Options{})
		c.mustApply(configMapsGVR, configMap("old", "1"))
		for _, test := range []struct {
			name    string
			refusal objectstore.Refusal
			object  string
			want    string // empty for success
		}{
			{"policy", objectstore.Policy("no", "configmaps", "not here"), "a", `configmaps "a" is forbidden: ValidatingAdmissionPolicy 'no' with binding 'no' denied request: not here`},
			{"webhook", objectstore.Webhook("w.example.com", "configmaps", "not here"), "a", `admission webhook "w.example.com" denied the request: not here`},
			{"webhook down", objectstore.WebhookDown("w.example.com", "configmaps"), "a", `Internal error occurred: failed calling webhook "w.example.com": failed to call webhook: Post "https://webhook.default.svc:443/?timeout=10s": dial tcp 10.96.0.9:443: connect: connection refused`},
			{"quota", objectstore.Quota("q", "configmaps", 5), "a", `configmaps "a" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=5, limited: configmaps=5`},
			{"quota, of what is there", objectstore.Quota("q", "configmaps", 5), "old", ""},
			{"policy on another", objectstore.PolicyOnObject("no", "configmaps", "default", "b", "not here"), "a", ""},
		} {
			c.SetRefusals(test.refusal)
			_, err := c.apply(configMapsGVR, configMap(test.object, test.name))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%s: %q\nwant %q", test.name, got, test.want)
			}
		}
	})
}

func TestControllers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objectstore.Options{Address: "203.0.113.44"})
		c.SetCapacity("replicasets", "default", "web", 2)
		c.mustApply(replicaSetsGVR, replicaSet)
		c.mustApply(ingressesGVR, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}}`)
		ready := func() int64 {
			u, err := c.Resource(replicaSetsGVR).Namespace("default").Get(t.Context(), "web", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			n, _, _ := unstructured.NestedInt64(u.Object, "status", "readyReplicas")
			return n
		}
		if n := ready(); n != 0 {
			t.Errorf("%d replicas are ready at once, want 0", n)
		}
		wait(t, 10*time.Second)
		if n := ready(); n != 2 {
			t.Errorf("%d replicas are ready, want 2, the capacity", n)
		}
		c.SetCapacity("replicasets", "default", "web", 10)
		wait(t, 10*time.Second)
		if n := ready(); n != 3 {
			t.Errorf("%d replicas are ready, want 3", n)
		}
		u, err := c.Resource(ingressesGVR).Namespace("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil || !strings.Contains(fmt.Sprint(u.Object["status"]), "203.0.113.44") {
			t.Errorf("ingress %v, %v, want the cluster's address", u.Object["status"], err)
		}
		version := u.GetResourceVersion()
		wait(t, time.Hour)
		if u, err = c.Resource(ingressesGVR).Namespace("default").Get(t.Context(), "web", metav1.GetOptions{}); err != nil || u.GetResourceVersion() != version {
			t.Errorf("an idle cluster changes its ingress: version %s, then %s (%v)", version, u.GetResourceVersion(), err)
		}
	})
}

func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objectstore.Options{})
		client, err := discovery.NewDiscoveryClientForConfig(c.Config())
		if err != nil {
			t.Fatal(err)
		}
		mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client))
		for _, gk := range []schema.GroupKind{{Kind: "Service"}, {Group: "apps", Kind: "ReplicaSet"}, {Group: "networking.k8s.io", Kind: "Ingress"}, {Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}} {
			if _, err := mapper.RESTMapping(gk); err != nil {
				t.Errorf("%s: %v", gk, err)
			}
		}
		if v, err := client.ServerVersion(); err != nil || v.GitVersion != objectstore.Version {
			t.Errorf("version %v, %v, want %s", v, err, objectstore.Version)
		}
		client.UseLegacyDiscovery = true
		if _, lists, err := client.ServerGroupsAndResources(); err != nil || len(lists) < 10 {
			t.Errorf("legacy discovery finds %d groups, %v", len(lists), err)
		}
	})
}

func TestRequestsTakeNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, objectstore.Options{})
		began := time.Now()
		for i := range 100 {
			c.mustApply(configMapsGVR, configMap("a", fmt.Sprint(i)))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("100 requests take %v in the time of the bubble, want none", took)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	for _, what := range []string{"changed", "unchanged"} {
		b.Run(what, func(b *testing.B) {
			store := objectstore.New(objectstore.Options{NoWorkloads: true})
			client, err := dynamic.NewForConfig(store.Config())
			if err != nil {
				b.Fatal(err)
			}
			force, i := true, 0
			for b.Loop() {
				manifest := replicaSet
				if what == "changed" {
					i++
					manifest = strings.Replace(replicaSet, "replicas: 3", fmt.Sprintf("replicas: %d", i), 1)
				}
				_, err := client.Resource(replicaSetsGVR).Namespace("default").Patch(b.Context(), "web", types.ApplyPatchType, []byte(manifest), metav1.PatchOptions{FieldManager: "fedsync", Force: &force})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
