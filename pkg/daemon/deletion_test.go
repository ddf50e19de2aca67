package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

const finalizer = "example.com/holds"

// A namespace that a user deletes, and in which a finalizer is left, is a failure until it
// is gone. Then it is created again with all its objects, and no finding is left.
func TestANamespaceThatWasDeletedByHandIsMadeAgain(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := faultyWorld(t)
	cluster := w.sandbox.Clusters()[0]
	d := w.start()
	sha := w.repo.Push("first", map[string]string{
		"fedsync.yaml":      w.file("web") + "  createNamespaces: true\n",
		"apps/web/a.yaml":   w.settings("a", "1"),
		"apps/web/web.yaml": w.replicaSet(1),
	})
	d.live(sha)
	usual := findingIDs(d.reports.Newest())
	w.terminate(cluster, w.namespace)
	terminating := allOf(is(sha, status.Failure, status.Pending),
		hasFinding("D09", cluster, "namespace "+w.namespace+" is being terminated", finalizer, "creates it again"))
	d.await("it says what the namespace waits for", terminating)
	d.during(2*time.Second, "while it is being terminated", terminating)
	if missing := lacks("createNamespaces: true")(d.reports.Newest()); missing != "" {
		t.Errorf("fedsync.yaml has createNamespaces: true, and yet %s", missing)
	}

	// After a restart the report is the same.
	d.stop()
	d = w.start()
	d.await("it says so after a restart", terminating)

	w.release(cluster, w.namespace)
	released := time.Now()
	d.live(sha)
	t.Logf("all is there again %s after the namespace was released", time.Since(released))
	if got := w.value(cluster, "a"); got != "1" || w.get(cluster, "ReplicaSet", "web") == nil {
		t.Errorf("a is %q, and web is there: %v", got, w.get(cluster, "ReplicaSet", "web") != nil)
	}
	if got := findingIDs(d.reports.Newest()); got != usual {
		t.Errorf("findings afterwards: %s, before: %s", got, usual)
	}
}

// An Ingress that left Git exists until its controller has removed its finalizer, with its
// address and its load balancer. Until then the revision is not a success.
func TestAnIngressThatLeavesIsPendingUntilItsFinalizerIsGone(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := faultyWorld(t)
	cluster := w.sandbox.Clusters()[0]
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":          w.file("web"),
		"apps/web/a.yaml":       w.settings("a", "1"),
		"apps/web/web.yaml":     w.replicaSet(1),
		"apps/web/service.yaml": w.service(),
		"apps/web/ingress.yaml": w.ingress(),
	}))
	w.update(cluster, "Ingress", "web", func(u *unstructured.Unstructured) { u.SetFinalizers(append(u.GetFinalizers(), finalizer)) })
	unhold := func() { w.unhold(cluster, "Ingress", "web") }
	t.Cleanup(unhold)

	second := w.repo.Push("second", map[string]string{"apps/web/ingress.yaml": sourcetest.Removed})
	waits := allOf(is(second, status.Pending), hasFinding("I deleting", cluster, "Ingress", w.namespace+"/web", "it left Git", finalizer))
	d.await("it says what the Ingress waits for", waits)
	d.during(2*time.Second, "while it is being deleted", waits)
	d.stop()
	d = w.start()
	d.await("it says so after a restart", waits)
	d.stop()

	// After the deadline a user must act.
	late := *w.cfg
	late.StatusDeadline = time.Second
	d = w.startWith(&late)
	d.await("it is a failure after the deadline", allOf(is(second, status.Failure), hasFinding("E deleting", cluster, finalizer, "blocks the deletion")))

	unhold()
	d.live(second)
	if missing := lacks("deleting")(d.reports.Newest()); missing != "" {
		t.Error(missing)
	}
	for _, name := range w.sandbox.Clusters() {
		if w.get(name, "Ingress", "web") != nil {
			t.Errorf("the Ingress in %s still exists", name)
		}
	}
}

// Deleting a definition deletes all objects of its kind, also those that users made. So the
// deletion is held while there are any.
func TestADefinitionIsHeldWhileUsersHaveObjectsOfIt(t *testing.T) {
	w := faultyWorld(t)
	all := w.sandbox.Clusters()
	d := w.start()
	t.Cleanup(func() { w.undefine() })
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":      strings.ReplaceAll(w.file("web"), "apps/web}", "apps/web, pruneLimit: 100%}"),
		"apps/web/a.yaml":   w.settings("a", "1"),
		"apps/web/crd.yaml": w.definition(),
		"apps/web/our.yaml": w.cart("ours"),
	}))
	// The definition and its object came with one push: no finding may call that forbidden.
	if missing := lacks("not seen")(d.reports.Newest()); missing != "" {
		t.Errorf("after a definition and its object were pushed together %s", missing)
	}
	carts := w.dynamic(all[0]).Resource(w.custom()).Namespace(w.namespace)
	for i := range 3 {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": w.custom().GroupVersion().String(), "kind": "Cart"}}
		u.SetName(fmt.Sprintf("of-a-user-%d", i))
		if _, err := carts.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	second := w.repo.Push("second", map[string]string{"apps/web/crd.yaml": sourcetest.Removed, "apps/web/our.yaml": sourcetest.Removed})
	held := hasFinding("held", all[0], "carts."+w.custom().Group, "3 ")
	d.await("the definition is held", allOf(func(r *status.Report) string { return is(second, r.State)(r) }, held))
	eventually(t, "it is gone where nobody uses it", func() string {
		if w.defined(all[1]) || w.defined(all[2]) {
			return "it is there"
		}
		return ""
	})
	d.during(2*time.Second, "while there are users' objects", held)
	list, err := carts.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 || !w.defined(all[0]) {
		t.Fatalf("there are %d carts, the definition is there: %v; want 3 and the definition", len(list.Items), w.defined(all[0]))
	}
	for _, u := range list.Items {
		if u.GetDeletionTimestamp() != nil {
			t.Errorf("%s is being deleted", u.GetName())
		}
		if err := carts.Delete(t.Context(), u.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	within(t, liftedWithin, "it goes when the last of them is gone", func() string {
		if w.defined(all[0]) {
			return describe(d.reports.Newest())
		}
		return ""
	})
	d.live(second)
}

// While a group's API server is down, nothing is known of its objects. That they are not
// listed does not mean that they are gone.
func TestWhatLeavesGitWhileItsAPIServerIsDownIsPrunedAfterwards(t *testing.T) {
	w := faultyWorld(t)
	all := w.sandbox.Clusters()
	d := w.start()
	t.Cleanup(func() { w.serve(all[0]); w.undefine() })
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":        strings.ReplaceAll(w.file("web"), "apps/web}", "apps/web, pruneLimit: 100%}") + "  - {name: kinds, path: apps/kinds}\n",
		"apps/web/a.yaml":     w.settings("a", "1"),
		"apps/web/one.yaml":   w.cart("one"),
		"apps/web/two.yaml":   w.cart("two"),
		"apps/kinds/one.yaml": w.definition(),
	}))
	w.unserve(all[0])
	d.stop()
	second := w.repo.Push("second", map[string]string{"apps/web/one.yaml": sourcetest.Removed, "apps/web/two.yaml": sourcetest.Removed})
	d = w.start()
	said := allOf(hasFinding("W prune", all[0], "Cart."+w.custom().Group, "unable to handle the request"), func(r *status.Report) string {
		return is(second, status.Pending)(r)
	})
	d.await("the others are done, and it says that nothing is pruned of what it does not see", allOf(said, func(r *status.Report) string {
		if r.Revision.SHA != second || !clusterOf(r, all[1]).Current || !clusterOf(r, all[2]).Current {
			return "the others are not current"
		}
		return ""
	}))
	d.during(3*time.Second, "while the API server is down", said)
	d.stop()
	late := *w.cfg
	late.StatusDeadline = time.Second
	d = w.startWith(&late)
	d.await("it is a failure after the deadline", allOf(is(second, status.Failure), hasFinding("prune", all[0], "unable to handle the request")))
	if got := w.inventory(all[0], "web"); !strings.Contains(got, "Cart."+w.custom().Group) {
		t.Errorf("the inventory lists %q, want Cart still", got)
	}
	w.serve(all[0])
	served := time.Now()
	within(t, 90*time.Second, "what left Git is pruned", func() string {
		for _, name := range all {
			list, err := w.dynamic(name).Resource(w.custom()).Namespace(w.namespace).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			if len(list.Items) > 0 {
				return fmt.Sprintf("%s has %d carts still\n%s", name, len(list.Items), describe(d.reports.Newest()))
			}
		}
		return ""
	})
	t.Logf("done %s after the API server answers", time.Since(served))
	d.await("all is well", allOf(is(second, status.Success), lacks("prune")))
}

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// defined reports whether a cluster has the definition of Carts.
func (w *world) defined(cluster string) bool {
	w.t.Helper()
	_, err := w.dynamic(cluster).Resource(definitions).Get(w.t.Context(), "carts."+w.custom().Group, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	return err == nil
}

// undefine deletes the definition in all clusters.
func (w *world) undefine() {
	for _, cluster := range w.sandbox.Clusters() {
		err := w.sandbox.Dynamic(w.t, cluster).Resource(definitions).Delete(context.WithoutCancel(w.t.Context()), "carts."+w.custom().Group, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			w.t.Error(err)
		}
	}
}

// unserve assigns the group of Carts to an API server that does not exist, as if that of
// an aggregated API had crashed.
func (w *world) unserve(cluster string) {
	w.t.Helper()
	services := w.dynamic(cluster).Resource(apiServices)
	eventually(w.t, "the group is given to another API server", func() string {
		u, err := services.Get(w.t.Context(), "v1."+w.custom().Group, metav1.GetOptions{})
		if err == nil {
			u.SetLabels(nil) // the API server no longer manages it
			u.Object["spec"] = map[string]any{
				"group": w.custom().Group, "version": "v1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
				"insecureSkipTLSVerify": true,
				"service":               map[string]any{"name": "nobody", "namespace": w.namespace, "port": int64(443)},
			}
			_, err = services.Update(w.t.Context(), u, metav1.UpdateOptions{})
		}
		if err != nil {
			return err.Error()
		}
		return ""
	})
	eventually(w.t, "it does not answer", func() string {
		if _, err := w.dynamic(cluster).Resource(w.custom()).List(w.t.Context(), metav1.ListOptions{}); !apierrors.IsServiceUnavailable(err) {
			return fmt.Sprint("it does: ", err)
		}
		return ""
	})
}

// serve ends unserve; it may be called again.
func (w *world) serve(cluster string) {
	err := w.sandbox.Dynamic(w.t, cluster).Resource(apiServices).Delete(context.WithoutCancel(w.t.Context()), "v1."+w.custom().Group, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Error(err)
	}
}

// unhold removes the test's finalizer from an object, if it still exists.
func (w *world) unhold(cluster, kind, name string) {
	objects := w.sandbox.Dynamic(w.t, cluster).Resource(kinds[kind]).Namespace(w.namespace)
	eventually(w.t, "the finalizer is taken away", func() string {
		u, err := objects.Get(context.WithoutCancel(w.t.Context()), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return ""
		}
		if err == nil {
			kept := u.GetFinalizers()[:0]
			for _, f := range u.GetFinalizers() {
				if f != finalizer {
					kept = append(kept, f)
				}
			}
			u.SetFinalizers(kept)
			_, err = objects.Update(context.WithoutCancel(w.t.Context()), u, metav1.UpdateOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return err.Error()
		}
		return ""
	})
}

// findingIDs returns the identities of a report's findings, as a text.
func findingIDs(r *status.Report) string {
	var ids []string
	for _, f := range r.Findings {
		ids = append(ids, f.ID+" "+f.Cluster+" "+f.Object.String())
	}
	return strings.Join(ids, "; ")
}
