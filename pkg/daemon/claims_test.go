package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
)

// storageClass makes a StorageClass in each cluster, with a provisioner that does not run.
func (w *world) storageClass(name string, mode storagev1.VolumeBindingMode) {
	w.t.Helper()
	for _, cluster := range w.sandbox.Clusters() {
		classes := w.sandbox.Client(w.t, cluster).StorageV1().StorageClasses()
		_, err := classes.Create(w.t.Context(), &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: "example.com/none", VolumeBindingMode: &mode,
		}, metav1.CreateOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() {
			if err := classes.Delete(context.WithoutCancel(w.t.Context()), name, metav1.DeleteOptions{}); err != nil {
				w.t.Error(err)
			}
		})
	}
}

// claim is a PersistentVolumeClaim.
func (w *world) claim(name, class string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %s, namespace: %s}
spec: {accessModes: [ReadWriteOnce], storageClassName: %s, resources: {requests: {storage: 1Gi}}}
`, name, w.namespace, class)
}

// mounting is the ReplicaSet web, whose pods mount a claim.
func (w *world) mounting(total int, claim string) string {
	return strings.Replace(w.shared(total, true), `image: "example.com/web:1"}]`, fmt.Sprintf(`image: "example.com/web:1"}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: %s}}]`, claim), 1)
}

// provision does what a provisioner and the volumes' controller do for a claim.
func (w *world) provision(cluster, claim string) {
	w.t.Helper()
	ctx := w.t.Context()
	core := w.sandbox.Client(w.t, cluster).CoreV1()
	live, err := core.PersistentVolumeClaims(w.namespace).Get(ctx, claim, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace + "-" + claim},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes: live.Spec.AccessModes, StorageClassName: *live.Spec.StorageClassName,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}},
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: w.namespace, Name: claim, UID: live.UID},
		},
	}
	if _, err := core.PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		err := core.PersistentVolumes().Delete(context.WithoutCancel(ctx), volume.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			w.t.Error(err)
		}
	})
	volume.Status.Phase = corev1.VolumeBound
	eventually(w.t, "the claim is bound", func() string {
		live, err := core.PersistentVolumeClaims(w.namespace).Get(ctx, claim, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		live.Spec.VolumeName = volume.Name
		metav1.SetMetaDataAnnotation(&live.ObjectMeta, "pv.kubernetes.io/bind-completed", "yes")
		if live, err = core.PersistentVolumeClaims(w.namespace).Update(ctx, live, metav1.UpdateOptions{FieldManager: "kube-controller-manager"}); err != nil {
			return err.Error()
		}
		live.Status.Phase = corev1.ClaimBound
		live.Status.AccessModes, live.Status.Capacity = live.Spec.AccessModes, volume.Spec.Capacity
		if _, err = core.PersistentVolumeClaims(w.namespace).UpdateStatus(ctx, live, metav1.UpdateOptions{FieldManager: "kube-controller-manager"}); err != nil {
			return err.Error()
		}
		return ""
	})
}

// A volume that is made only when a pod needs it is never made in clusters without the
// pod.
func TestAClaimThatWaitsForItsFirstPodHoldsUpNoCommit(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	all := s.Clusters()
	w.storageClass(w.namespace, storagev1.VolumeBindingWaitForFirstConsumer)
	sha := w.repo.Push("one pod", map[string]string{
		"fedsync.yaml":        w.file("web"),
		"apps/web/claim.yaml": w.claim("data", w.namespace),
		"apps/web/web.yaml":   w.mounting(1, "data"),
	})
	d := w.start()
	var here string
	eventually(t, "one cluster runs it", func() string {
		for i, n := range w.replicas(all...) {
			if n == 1 {
				here = all[i]
				return ""
			}
		}
		return fmt.Sprint(w.replicas(all...))
	})
	d.await("its claim is waited for", func(r *status.Report) string {
		if objects := clusterOf(r, here).Objects; r.State != status.Pending || len(objects) != 2 {
			return "it is not"
		}
		return ""
	})
	w.provision(here, "data")
	r := d.live(sha)
	elsewhere := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == here })
	note := "waits for the first pod that mounts it: apps/ReplicaSet/" + w.namespace + "/web has no pods in this cluster"
	for _, cluster := range elsewhere {
		if missing := hasFinding("health", cluster, note)(r); missing != "" {
			t.Errorf("%s\n%s", missing, describe(r))
		}
	}
	if hasFinding("health", here, "waits for the first pod")(r) == "" {
		t.Errorf("the bound claim is reported as waiting:\n%s", describe(r))
	}

	// After a restart the report is the same.
	d.stop()
	d = w.start()
	d.live(sha)
	d.await("the notes are back", hasFinding("health", elsewhere[0], note))

	// As soon as a pod is to run there, the revision waits for its claim.
	sha = w.repo.Push("one pod in each", map[string]string{"apps/web/web.yaml": w.mounting(3, "data")})
	w.awaitReplicas(all, 1, 1, 1)
	d.await("the claims are waited for", func(r *status.Report) string {
		for _, cluster := range elsewhere {
			if hasFinding("health", cluster, "waits for the first pod")(r) == "" {
				return "it still waits for the first pod in " + cluster
			}
		}
		if r.Revision.SHA != sha || r.State != status.Pending {
			return "it is not pending"
		}
		return ""
	})
	for _, cluster := range elsewhere {
		w.provision(cluster, "data")
	}
	d.live(sha)
}

// If a volume is to be made immediately, or its class is missing, a user must find out why
// it is not made.
func TestAClaimThatNobodyProvidesForFailsTheCommit(t *testing.T) {
	s := lab.Shared(t)
	for class, want := range map[string]string{"immediate": "PVC is not Bound", "missing": "the cluster has no StorageClass"} {
		t.Run(class, func(t *testing.T) {
			w := newWorld(t, s)
			w.cfg.StatusDeadline = time.Second
			if class == "immediate" {
				w.storageClass(w.namespace, storagev1.VolumeBindingImmediate)
			} else {
				w.storageClass(w.namespace+"-other", storagev1.VolumeBindingWaitForFirstConsumer)
			}
			sha := w.repo.Push("a claim", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/claim.yaml": w.claim("data", w.namespace)})
			d := w.start()
			d.await("the commit fails", func(r *status.Report) string {
				if missing := hasFinding("E health", s.Clusters()[0], want)(r); missing != "" || r.State != status.Failure || r.Revision.SHA != sha {
					return "it does not: " + missing
				}
				return ""
			})
		})
	}
}
