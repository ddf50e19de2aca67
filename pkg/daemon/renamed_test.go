package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/fedsync/fedsync/internal/history"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/takeover"
)

// A federation whose name changed finds that all its objects have its previous name. It
// reports that one time for each cluster, and continues by itself after they are taken
// over.
func TestARenamedFederationIsToldHowToGoOnAndDoes(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, cfg, history.New(1, history.Options{}))
		defer w.close()
		d := w.start("daemon")
		defer d.stop()
		push := func(name, file string, more string) {
			s := federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: shaOf(name)}, Files: fstest.MapFS{
				"fedsync.yaml":    {Data: []byte(file)},
				"apps/web/a.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n")},
				"apps/web/b.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: default}\n" + more)},
				"apps/web/job.yaml": {Data: []byte("apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: default}\nspec:\n  ttlSecondsAfterFinished: 60\n" +
					"  template: {spec: {restartPolicy: Never, containers: [{name: c, image: \"example.com/c:1\"}]}}\n")},
				"apps/echo/c.yaml": {Data: []byte("apiVersion: v1\nkind: Service\nmetadata: {name: c, namespace: default}\nspec: {ports: [{port: 80}]}\n")},
			}}
			w.pushed.add(s)
			w.events.put(source.Event{Snapshot: &s})
		}
		live := func(name string) {
			t.Helper()
			w.wait(2 * time.Minute)
			r := d.reports.Newest()
			if r.Revision.SHA != shaOf(name) || r.State != status.Success {
				t.Errorf("%s is not live: %s", name, describe(r))
			}
		}
		clusters := strings.Join(w.campaign.history.Clusters, "}, {name: ")
		file := "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: %s}\nspec:\n  clusters: [{name: " + clusters + "}]\n  apps: [{name: web, path: apps/web}, {name: echo, path: apps/echo}]\n"
		push("one", fmt.Sprintf(file, "web"), "")
		w.wait(2 * time.Minute)
		w.endJob("migrate")
		live("one")
		before := w.uids()

		push("two", fmt.Sprintf(file, "shop"), "")
		w.wait(2 * time.Minute)
		r := d.reports.Newest()
		for _, cluster := range w.campaign.history.Clusters {
			var found []string
			for _, f := range r.Findings {
				if f.Cluster == cluster && f.Severity == federation.SeverityError {
					found = append(found, f.String()+"; "+f.Remedy.String())
				}
			}
			if len(found) != 1 || !strings.Contains(found[0], "federation web") || !strings.Contains(found[0], "fedsync takeover --federation web") {
				t.Errorf("%s has the errors\n%s\nwant one that explains how the objects are taken over", cluster, strings.Join(found, "\n"))
			}
		}

		o := takeover.RenameOptions{
			Options: takeover.Options{Owner: identity.Owner(d.source, cfg.Revision, "shop"), Clients: map[string]dynamic.Interface{}},
			Former:  identity.Owner(d.source, cfg.Revision, "web"), Mappers: map[string]takeover.Mapper{},
		}
		// The claims of this world have a source of their own.
		o.Former.FormerSources = append(o.Former.FormerSources, "source")
		for name, store := range w.stores {
			kinds, err := discovery.NewDiscoveryClientForConfig(store.Config())
			if err != nil {
				t.Fatal(err)
			}
			o.Mappers[name] = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds))
			if o.Clients[name], err = w.reach(name); err != nil {
				t.Fatal(err)
			}
		}
		moved, err := takeover.Rename(t.Context(), o, takeover.InspectFormer(t.Context(), o), false)
		for _, m := range moved {
			if err != nil || m.Err != nil || !slices.Equal(m.Apps, []string{"echo", "web"}) {
				t.Errorf("Rename = %+v, %v, want both apps moved", m, err)
			}
		}
		live("two")
		if after := w.uids(); !maps.Equal(after, before) {
			t.Errorf("the objects are %v, want the same as before: %v", after, before)
		}
		w.wantInventories("fedsync-shop-echo", "fedsync-shop-web")

		// The federation fully owns them: objects that leave Git are deleted.
		push("three", strings.Replace(fmt.Sprintf(file, "shop"), ", {name: echo, path: apps/echo}", "", 1), "data: {a: b}\n")
		live("three")
		w.wantInventories("fedsync-shop-web")
		for name := range w.uids() {
			if strings.Contains(name, "/Service/") {
				t.Errorf("%s still exists, although its app left Git", name)
			}
		}
	})
}

var jobKind = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}

// endJob ends a Job in each cluster and deletes it, as its TTL would.
func (w *memoryWorld) endJob(name string) {
	w.t.Helper()
	for cluster := range w.stores {
		client, err := w.reach(cluster)
		if err != nil {
			w.t.Fatal(err)
		}
		its := client.Resource(jobKind).Namespace("default")
		end := []byte(`{"status":{"conditions":[{"type":"Complete","status":"True"}]}}`)
		if _, err := its.Patch(w.t.Context(), name, types.MergePatchType, end, metav1.PatchOptions{}, "status"); err != nil {
			w.t.Fatal(err)
		}
		w.wait(time.Minute)
		if err := its.Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.wait(time.Minute)
}

// The inventory of a renamed app is deleted when no object is left in it.
func TestTheInventoryOfARenamedAppGoes(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		w := newMemoryWorld(t, cfg, history.New(1, history.Options{}))
		defer w.close()
		d := w.start("daemon")
		clusters := strings.Join(w.campaign.history.Clusters, "}, {name: ")
		push := func(name, app string) {
			s := federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: shaOf(name)}, Files: fstest.MapFS{
				"fedsync.yaml": {Data: []byte("apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n  clusters: [{name: " +
					clusters + "}]\n  apps: [{name: " + app + ", path: apps/web}]\n")},
				"apps/web/a.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n")},
				"apps/web/b.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: default}\n")},
			}}
			w.pushed.add(s)
			w.events.put(source.Event{Snapshot: &s})
		}
		push("one", "one")
		w.wait(2 * time.Minute)
		w.wantInventories("fedsync-web-one")
		before := w.uids()
		push("two", "two")
		w.wait(5 * time.Minute)
		if r := d.reports.Newest(); r.State != status.Success {
			t.Errorf("the app has another name: %s", describe(r))
		}
		if after := w.uids(); !maps.Equal(after, before) {
			t.Errorf("the objects are %v, want the same as before: %v", after, before)
		}
		w.wantInventories("fedsync-web-two")
		d.stop()
		// After a restart nothing is reported either.
		d = w.start("again")
		defer d.stop()
		w.wait(2 * time.Minute)
		w.wantInventories("fedsync-web-two")
	})
}

// uids returns the UIDs of the objects in namespace default, by cluster, kind and name.
func (w *memoryWorld) uids() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for name := range w.stores {
		client, err := w.reach(name)
		if err != nil {
			w.t.Fatal(err)
		}
		for kind, resource := range map[string]schema.GroupVersionResource{"ConfigMap": kinds["ConfigMap"], "Service": kinds["Service"], "Job": jobKind} {
			list, err := client.Resource(resource).Namespace("default").List(w.ctx, metav1.ListOptions{})
			if err != nil {
				w.t.Fatal(err)
			}
			for _, u := range list.Items {
				all[name+"/"+kind+"/"+u.GetName()] = string(u.GetUID())
			}
		}
	}
	return all
}

// wantInventories checks the names of the inventories, and that there is one claim.
func (w *memoryWorld) wantInventories(want ...string) {
	w.t.Helper()
	for name := range w.stores {
		client, err := w.reach(name)
		if err != nil {
			w.t.Fatal(err)
		}
		var got []string
		list, err := client.Resource(kinds["ConfigMap"]).Namespace(claim.Namespace).List(w.ctx, metav1.ListOptions{LabelSelector: inventory.LabelParentID})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, u := range list.Items {
			got = append(got, u.GetName())
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			w.t.Errorf("%s has the inventories %q, want %q", name, got, want)
		}
		claims, err := client.Resource(claim.Resource).Namespace(claim.Namespace).List(w.ctx, metav1.ListOptions{})
		if err != nil || len(claims.Items) != 1 {
			w.t.Errorf("%s has %d claims, %v, want one", name, len(claims.Items), err)
		}
	}
}
