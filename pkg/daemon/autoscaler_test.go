package daemon

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// scaler is a HorizontalPodAutoscaler of the ReplicaSet web.
func (w *world) scaler(version string) string {
	return fmt.Sprintf(`apiVersion: autoscaling/%s
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: %s}
spec:
  minReplicas: 1
  maxReplicas: 10
  scaleTargetRef: {apiVersion: apps/v1, kind: ReplicaSet, name: web}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`, version, w.namespace)
}

// unnumbered is like shared, but without replicas, which another client sets.
func (w *world) unnumbered() string {
	return regexp.MustCompile(`(?m)^  (annotations:\n    federation.*|replicas: .*)\n`).ReplaceAllString(w.shared(9, true), "")
}

// scale sets the replicas of web in a cluster, as an autoscaler does.
func (w *world) scale(cluster string, replicas int) {
	w.t.Helper()
	_, err := w.sandbox.Client(w.t, cluster).AppsV1().ReplicaSets(w.namespace).Patch(w.t.Context(), "web", "application/merge-patch+json",
		fmt.Appendf(nil, `{"spec": {"replicas": %d}}`, replicas), metav1.PatchOptions{FieldManager: "kube-controller-manager"}, "scale")
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAnAutoscalerThatIsRefusedTakesNoNumberAway(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	all := s.Clusters()
	refused := w.repo.Push("of an API that was removed", map[string]string{
		"fedsync.yaml":         w.file("web"),
		"apps/web/web.yaml":    w.shared(9, true),
		"apps/web/scaler.yaml": w.scaler("v2beta2"),
	})
	d := w.start()
	d.await("it is refused", func(r *status.Report) string {
		if r.Revision.SHA != refused || r.State != status.Failure {
			return "it is no failure"
		}
		return hasFinding("D10", "HorizontalPodAutoscaler/"+w.namespace+"/web", "autoscaling/v2beta2")(r)
	})
	w.awaitReplicas(all, 3, 3, 3)

	refusal := func(r *status.Report) string {
		for _, c := range r.Clusters {
			if !slices.ContainsFunc(c.Objects, func(o federation.Observation) bool { return o.Object.Kind == "ReplicaSet" && o.Ready == 3 }) {
				return "not seen yet"
			}
		}
		return hasFinding("E D10", "autoscaling/v2beta2")(r)
	}
	d.await("the pods are ready", refusal)

	// A restart changes nothing.
	before := w.versions()
	d.stop()
	d = w.start()
	d.await("it is refused again", refusal)
	if after := w.versions(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the restart wrote: %v, before %v", after, before)
	}

	// When it is accepted, it owns the replicas.
	d.live(w.repo.Push("of one that is served", map[string]string{"apps/web/scaler.yaml": w.scaler("v2")}))
	w.awaitReplicas(all, 3, 3, 3)
	w.awaitUnowned(all...)
	w.scale(all[0], 7)
	d.live(w.repo.Push("another change", map[string]string{"apps/web/note.yaml": w.settings("note", "1")}))
	w.awaitReplicas(all, 7, 3, 3)

	// A user deletes it: it is created again, and until then the number that it set last
	// remains.
	scalers := s.Client(t, all[0]).AutoscalingV2().HorizontalPodAutoscalers(w.namespace)
	first, err := scalers.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := scalers.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is created again", func() string {
		again, err := scalers.Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil || again.UID == first.UID {
			return fmt.Sprint(err)
		}
		return ""
	})
	d.live(w.repo.Push("one more change", map[string]string{"apps/web/note.yaml": w.settings("note", "2")}))
	w.awaitReplicas(all, 7, 3, 3)
}

// A number of replicas per cluster is its autoscaler's, too.
func TestAnAutoscalerSetsTheReplicasOfEachCluster(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	all := w.sandbox.Clusters()
	files := map[string]string{"fedsync.yaml": w.file("web"), "apps/web/web.yaml": w.replicaSet(2)}
	first := w.repo.Push("a number", files)
	d := w.start()
	d.live(first)
	w.awaitReplicas(all, 2, 2, 2)
	d.live(w.repo.Push("and an autoscaler", map[string]string{"apps/web/scaler.yaml": w.scaler("v2")}))
	w.awaitUnowned(all...)
	w.scale(all[0], 5)
	report := d.live(w.repo.Push("another change", map[string]string{"apps/web/note.yaml": w.settings("note", "1")}))
	w.awaitReplicas(all, 5, 2, 2)
	if len(report.Findings) > 0 {
		t.Errorf("findings %v, want none", report.Findings)
	}
}

// awaitUnowned waits until fedsync no longer owns the replicas of web.
func (w *world) awaitUnowned(clusters ...string) {
	w.t.Helper()
	for _, cluster := range clusters {
		eventually(w.t, "the replicas in "+cluster+" are left to the autoscaler", func() string {
			for _, entry := range w.get(cluster, "ReplicaSet", "web").GetManagedFields() {
				if entry.Operation == metav1.ManagedFieldsOperationApply && strings.Contains(entry.FieldsV1.String(), `"f:replicas"`) {
					return "they are fedsync's"
				}
			}
			return ""
		})
	}
}

func TestAnAutoscalerThatIsNotInGitIsNamed(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	cluster := s.Clusters()[1]
	d := w.start()
	d.live(w.repo.Push("with a number", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/web.yaml": w.shared(9, true)}))
	_, err := s.Client(t, cluster).AutoscalingV2().HorizontalPodAutoscalers(w.namespace).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "keda-hpa-web", OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "web", UID: "0", Controller: new(true),
		}}},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MaxReplicas: 9, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	named := hasFinding("I autoscaler", cluster, "HorizontalPodAutoscaler keda-hpa-web of ScaledObject/web, which is not in Git", "remove spec.replicas from apps/web/web.yaml")
	d.await("it is named", named)
	sha := w.repo.Push("without a number", map[string]string{"apps/web/web.yaml": w.unnumbered()})
	d.live(sha)
	d.await("there is nothing to say", func(r *status.Report) string {
		if named(r) == "" {
			return "it is named"
		}
		return ""
	})
	w.awaitReplicas(s.Clusters(), 3, 3, 3)
}

func TestIngressesOfARetiredControllerAreNamedOnce(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	all := s.Clusters()
	for i, cluster := range all {
		controller := "k8s.io/ingress-nginx"
		if i == 1 {
			controller = "nginx.org/ingress-controller"
		}
		classes := s.Client(t, cluster).NetworkingV1().IngressClasses()
		_, err := classes.Create(t.Context(), &networkingv1.IngressClass{
			ObjectMeta: metav1.ObjectMeta{Name: w.namespace}, Spec: networkingv1.IngressClassSpec{Controller: controller},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := classes.Delete(context.WithoutCancel(t.Context()), w.namespace, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	w.repo.Push("an Ingress", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/web.yaml": w.service(),
		"apps/web/ingress.yaml": fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: %[1]s}\n"+
			"spec: {ingressClassName: %[1]s, defaultBackend: {service: {name: web, port: {number: 80}}}}\n", w.namespace),
	})
	d := w.start()
	d.await("the clusters are named", hasFinding("I retired", fmt.Sprintf("in %s (%s/web), %s (%s/web)", all[0], w.namespace, all[2], w.namespace)))
}
