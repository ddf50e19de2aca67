package daemon

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// setValue sets the value of a ConfigMap made by settings.
func setValue(value string) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) { u.Object["data"] = map[string]any{"value": value} }
}

func TestDriftIsRepairedAndWhatIsForeignIsReportedAndLeft(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	cluster := w.sandbox.Clusters()[0]
	d := w.start()
	sha := w.repo.Push("first", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/all.yaml": w.settings("a", "1") + "---\n" + w.settings("b", "1") + "---\n" + w.settings("c", "1") + "---\n" + w.service(),
	})
	d.live(sha)

	w.update(cluster, "ConfigMap", "a", setValue("changed"))
	w.awaitValue(cluster, "a", "1")

	w.update(cluster, "ConfigMap", "b", func(u *unstructured.Unstructured) { u.SetLabels(nil) })
	eventually(t, "the label is back", func() string {
		if got := w.get(cluster, "ConfigMap", "b").GetLabels()[inventory.LabelPartOf]; got != inventory.PartOf(w.name, "web") {
			return "it is " + got
		}
		return ""
	})

	before := w.get(cluster, "ConfigMap", "c").GetUID()
	objects := w.sandbox.Dynamic(t, cluster).Resource(kinds["ConfigMap"]).Namespace(w.namespace)
	if err := objects.Delete(t.Context(), "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.awaitValue(cluster, "c", "1")
	if got := w.get(cluster, "ConfigMap", "c").GetUID(); got == before {
		t.Error("c is the object that was deleted, want a new one")
	}

	// The inventory itself is repaired too.
	if err := w.sandbox.Client(t, cluster).CoreV1().ConfigMaps(federation.SystemNamespace).
		Delete(t.Context(), inventory.ParentName(w.name, "web"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the inventory is back", func() string {
		all, err := w.sandbox.Client(t, cluster).CoreV1().ConfigMaps(federation.SystemNamespace).
			List(t.Context(), metav1.ListOptions{LabelSelector: inventory.ParentSelector(w.name)})
		if err != nil || len(all.Items) != 1 {
			return "it is not there"
		}
		return ""
	})

	w.update(cluster, "Service", "web", func(u *unstructured.Unstructured) {
		ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
		ports = append(ports, map[string]any{"name": "admin", "port": int64(9000), "protocol": "TCP"})
		_ = unstructured.SetNestedSlice(u.Object, ports, "spec", "ports")
	})
	d.await("the foreign port is reported", hasFinding("Service/"+w.namespace+"/web", cluster, "somebody"))
	ports, _, _ := unstructured.NestedSlice(w.get(cluster, "Service", "web").Object, "spec", "ports")
	if len(ports) != 2 {
		t.Errorf("ports = %v, want the foreign port left", ports)
	}
	d.await("nothing is left to repair", func(r *status.Report) string {
		if !clusterOf(r, cluster).Current {
			return "it is not current"
		}
		return ""
	})
}
