package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// unpinned is a Service whose node port fedsync chooses.
func (w *world) unpinned(name string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s}
spec:
  type: NodePort
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
`, name, w.namespace)
}

// nodePorts returns the first node port of the Service web in each cluster; 0 if there is
// none.
func (w *world) nodePorts(clusters ...string) []int64 {
	w.t.Helper()
	ports := make([]int64, len(clusters))
	for i, cluster := range clusters {
		u := w.get(cluster, "Service", "web")
		if u == nil {
			continue
		}
		list, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
		ports[i], _, _ = unstructured.NestedInt64(list[0].(map[string]any), "nodePort")
	}
	return ports
}

// occupy creates a foreign Service that has a node port.
func (w *world) occupy(cluster, namespace, name string, port int) {
	w.t.Helper()
	services := w.sandbox.Client(w.t, cluster).CoreV1().Services(namespace)
	_, err := services.Create(w.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:  corev1.ServiceTypeNodePort,
			Ports: []corev1.ServicePort{{Port: 80, NodePort: int32(port)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatalf("occupy port %d in %s: %v", port, cluster, err)
	}
}

func same(ports []int64) bool {
	return ports[0] != 0 && !slices.ContainsFunc(ports, func(p int64) bool { return p != ports[0] })
}

func TestANodePortIsChosenOnceForAllClusters(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	all := s.Clusters()
	d := w.start()
	files := map[string]string{"fedsync.yaml": w.file("web"), "apps/web/service.yaml": w.unpinned("web")}
	d.live(w.repo.Push("no port", files))
	chosen := w.nodePorts(all...)
	if !same(chosen) || chosen[0] < 30000 || chosen[0] > 30085 {
		t.Fatalf("node ports are %v, want one from the band 30000-30085", chosen)
	}

	// The same repository, read by another daemon that does not know the choice and finds
	// no Service.
	d.stop()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, cluster := range all {
		if err := w.client(cluster).CoreV1().Services(w.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	d = w.start()
	d.live(w.repo.Push("a new daemon", map[string]string{"apps/web/note.yaml": w.settings("note", "1")}))
	if got := w.nodePorts(all...); !slices.Equal(got, chosen) {
		t.Errorf("node ports after a restart are %v, want %v", got, chosen)
	}

	// A pin changes the port everywhere, and its removal leaves the port unchanged.
	pinned := strings.Replace(w.unpinned("web"), "targetPort: 8080", fmt.Sprintf("targetPort: 8080, nodePort: %d", w.nodePort), 1)
	d.live(w.repo.Push("pinned", map[string]string{"apps/web/service.yaml": pinned}))
	want := slices.Repeat([]int64{int64(w.nodePort)}, len(all))
	if got := w.nodePorts(all...); !slices.Equal(got, want) {
		t.Errorf("pinned node ports are %v, want %v", got, want)
	}
	d.live(w.repo.Push("no pin", map[string]string{"apps/web/service.yaml": w.unpinned("web")}))
	if got := w.nodePorts(all...); !slices.Equal(got, want) {
		t.Errorf("node ports without the pin are %v, want %v unchanged", got, want)
	}
}

func TestAPortThatSomebodyHoldsIsRefusedThereAndServedElsewhere(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	all := s.Clusters()
	held, others := all[1], []string{all[0], all[2]}
	w.occupy(held, w.namespace, "legacy", w.nodePort)
	d := w.start()
	sha := w.repo.Push("web", map[string]string{
		"fedsync.yaml":          w.file("web"),
		"apps/web/service.yaml": w.service(),
		"apps/web/note.yaml":    w.settings("note", "1"),
	})
	report := d.await("the clash is reported", func(r *status.Report) string {
		if r.Revision.SHA != sha || r.State != status.Failure {
			return "it is no failure"
		}
		return hasFinding("D11b", held, "Service/"+w.namespace+"/web", "Service/"+w.namespace+"/legacy")(r)
	})
	if !strings.Contains(report.Description.String(), held) || !strings.Contains(report.Description.String(), "legacy") {
		t.Errorf("the status is %q, want it to name %s and the holder", report.Description, held)
	}
	for _, cluster := range others {
		eventually(t, "the Service is in "+cluster, func() string {
			if got := w.nodePorts(cluster)[0]; got != int64(w.nodePort) {
				return fmt.Sprintf("its node port is %d", got)
			}
			return ""
		})
	}
	w.awaitValue(held, "note", "1") // the rest of the app exists
	if u := w.get(held, "Service", "web"); u != nil {
		t.Errorf("the Service is in %s, where its port is held", held)
	}

	// When the port is free, the finding goes away by itself.
	services := s.Client(t, held).CoreV1().Services(w.namespace)
	if err := services.Delete(t.Context(), "legacy", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	d.live(sha)
	if got := w.nodePorts(all...); !same(got) {
		t.Errorf("node ports are %v, want one", got)
	}
}

func TestAServiceGoesOnlyWhereItsSelectorLetsIt(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	all := s.Clusters()
	annotated := func(selector string) string {
		return strings.Replace(w.settings("a", "1"), "namespace:",
			fmt.Sprintf("annotations: {federation.alpha.kubernetes.io/cluster-selector: '%s'}, namespace:", selector), 1)
	}
	d := w.start()
	d.live(w.repo.Push("all but one", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": annotated(fmt.Sprintf(`[{"key": "place", "operator": "!=", "values": [%q]}]`, all[0])),
		"apps/web/b.yaml": w.settings("b", "1"),
	}))
	for i, want := range []string{"-", "1", "1"} {
		if got := w.value(all[i], "a"); got != want {
			t.Errorf("a in %s is %q, want %q", all[i], got, want)
		}
	}
	d.live(w.repo.Push("only one", map[string]string{
		"apps/web/a.yaml": annotated(fmt.Sprintf(`[{"key": "place", "operator": "in", "values": [%q]}]`, all[1])),
	}))
	w.awaitValue(all[2], "a", "-")
	w.awaitValue(all[1], "a", "1")

	// An invalid selector changes nothing.
	w.repo.Push("a slip", map[string]string{"apps/web/a.yaml": annotated("place=somewhere")})
	d.await("the annotation is quoted", hasFinding("annotation", "cluster-selector", "place=somewhere"))
	if got := w.value(all[1], "a"); got != "1" {
		t.Errorf("a in %s is %q after a mistake, want it left", all[1], got)
	}
}

func TestAnAutoscalerKeepsTheReplicas(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	all := s.Clusters()
	d := w.start()
	d.live(w.repo.Push("by hand", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/web.yaml": w.shared(9, true),
	}))
	w.awaitReplicas(all, 3, 3, 3)
	scaler := fmt.Sprintf(`apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: %s}
spec:
  minReplicas: 1
  maxReplicas: 10
  scaleTargetRef: {apiVersion: apps/v1, kind: ReplicaSet, name: web}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`, w.namespace)
	d.live(w.repo.Push("scaled", map[string]string{"apps/web/scaler.yaml": scaler}))
	w.awaitReplicas(all, 3, 3, 3) // not the API's default of 1

	scale := `{"spec": {"replicas": 7}}`
	_, err := s.Client(t, all[0]).AppsV1().ReplicaSets(w.namespace).Patch(t.Context(), "web",
		"application/merge-patch+json", []byte(scale), metav1.PatchOptions{FieldManager: "kube-controller-manager"}, "scale")
	if err != nil {
		t.Fatal(err)
	}
	d.live(w.repo.Push("another change", map[string]string{"apps/web/note.yaml": w.settings("note", "1")}))
	w.awaitReplicas(all, 7, 3, 3)
}

func TestAClusterThatLeavesIsEmptiedWhereTheFileSaysSo(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	all := s.Clusters()
	files := func(onRemove string, clusters ...string) map[string]string {
		return map[string]string{
			"fedsync.yaml":    w.fileOf(clusters, "web") + "  onRemove: " + onRemove + "\n",
			"apps/web/a.yaml": w.settings("a", "1"),
		}
	}
	d := w.start()
	d.live(w.repo.Push("all", files("Orphan", all...)))
	d.live(w.repo.Push("one is orphaned", files("Orphan", all[:2]...)))
	if got := w.value(all[2], "a"); got != "1" {
		t.Errorf("a in %s is %q, want it left", all[2], got)
	}
	d.live(w.repo.Push("it is back", files("Delete", all...)))

	// It leaves while no daemon runs.
	d.stop()
	sha := w.repo.Push("it leaves", files("Delete", all[:2]...))
	d = w.start()
	d.live(sha)
	w.awaitValue(all[2], "a", "-")
	d.await("nothing is said of it any more", func(r *status.Report) string {
		if hasFinding("leaving")(r) == "" {
			return "it is still leaving"
		}
		return ""
	})
	if got := w.value(all[1], "a"); got != "1" {
		t.Errorf("a in %s is %q, want it left", all[1], got)
	}
	d.live(w.repo.Push("it joins again", files("Delete", all...)))
	w.awaitValue(all[2], "a", "1")
}

// A choice needs every cluster's ports: while one is out of reach it waits.
func TestANodePortIsNotChosenWhileAClusterIsOutOfReach(t *testing.T) {
	s := lab.Own(t, 3)
	w := failoverWorld(t, s)
	all := s.Clusters()
	away := all[1]
	d := w.start()
	d.live(w.repo.Push("settings", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
	}))
	s.Pause(t, away)
	defer s.Resume(t, away)
	d.await("it is Offline", func(r *status.Report) string {
		if c := clusterOf(r, away); c.State != federation.ClusterOffline {
			return "it is " + string(c.State)
		}
		return ""
	})
	sha := w.repo.Push("a Service", map[string]string{"apps/web/service.yaml": w.unpinned("web")})
	d.await("the choice waits", func(r *status.Report) string {
		if r.Revision.SHA != sha || r.State != status.Pending {
			return "it is not pending"
		}
		return hasFinding("port-waiting", "Service/"+w.namespace+"/web", away)(r)
	})
	if got := w.nodePorts(all[0], all[2]); got[0] != 0 || got[1] != 0 {
		t.Errorf("node ports are %v while it waits, want no Service", got)
	}
	s.Resume(t, away)
	returned := time.Now()
	eventually(t, "the port is chosen", func() string {
		if got := w.nodePorts(all...); !same(got) {
			return fmt.Sprint(got)
		}
		return ""
	})
	t.Logf("chosen %s after its return", time.Since(returned))
	d.live(sha)
}
