package daemon

import (
	"fmt"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// migration is a Job that the tests control in place of its controller. It is deleted when
// it has ended.
func (w *world) migration(image string) string {
	return fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: %s}
spec:
  ttlSecondsAfterFinished: 3600
  backoffLimit: 0
  managedBy: example.com/test
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: "registry.example.org/migrate:%s"}]}
`, w.namespace, image)
}

// job returns the Job of a cluster; nil if it has none.
func (w *world) job(cluster string) *batchv1.Job {
	w.t.Helper()
	job, err := w.sandbox.Client(w.t, cluster).BatchV1().Jobs(w.namespace).Get(w.t.Context(), "migrate", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// finish ends the Jobs of all clusters, as their controllers would.
func (w *world) finish(end batchv1.JobConditionType) {
	w.t.Helper()
	now := metav1.Now()
	before := map[batchv1.JobConditionType]batchv1.JobConditionType{
		batchv1.JobComplete: batchv1.JobSuccessCriteriaMet, batchv1.JobFailed: batchv1.JobFailureTarget,
	}[end]
	for _, cluster := range w.sandbox.Clusters() {
		eventually(w.t, "the Job of "+cluster+" has ended", func() string {
			job := w.job(cluster)
			if job == nil {
				return "there is none"
			}
			job.Status = batchv1.JobStatus{StartTime: &now, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{}}
			if job.Status.Failed = 1; end == batchv1.JobComplete {
				job.Status.Failed, job.Status.Succeeded, job.Status.CompletionTime = 0, 1, &now
			}
			for _, kind := range []batchv1.JobConditionType{before, end} {
				job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
					Type: kind, Status: corev1.ConditionTrue, Reason: "Test", LastTransitionTime: now, LastProbeTime: now,
				})
			}
			_, err := w.sandbox.Client(w.t, cluster).BatchV1().Jobs(w.namespace).UpdateStatus(w.t.Context(), job, metav1.UpdateOptions{})
			if err != nil {
				return err.Error()
			}
			return ""
		})
	}
}

// expire deletes the Jobs of all clusters, as the end of their TTL would.
func (w *world) expire() {
	w.t.Helper()
	background := metav1.DeletePropagationBackground
	for _, cluster := range w.sandbox.Clusters() {
		err := w.sandbox.Client(w.t, cluster).BatchV1().Jobs(w.namespace).Delete(w.t.Context(), "migrate", metav1.DeleteOptions{PropagationPolicy: &background})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// noJobs fails the test if a cluster runs the Job.
func (w *world) noJobs(when string) {
	w.t.Helper()
	for _, cluster := range w.sandbox.Clusters() {
		if w.job(cluster) != nil {
			w.t.Errorf("%s: %s runs the Job again", when, cluster)
		}
	}
}

// ended is a condition on the Job's state in every cluster, which is reported although
// the Job is gone.
func (w *world) ended(health federation.Health) func(*status.Report) string {
	return func(r *status.Report) string {
		told := 0
		for _, c := range r.Clusters {
			if slices.ContainsFunc(c.Objects, func(o federation.Observation) bool { return o.Object.Kind == "Job" && o.Health == health }) {
				told++
			}
		}
		if clusters := len(w.sandbox.Clusters()); told != clusters {
			return fmt.Sprintf("the Job is %s in %d clusters of %d", health, told, clusters)
		}
		return ""
	}
}

// TestAnEndedJobStaysEndedForEveryInstance lets a Job's TTL delete it under one instance,
// after a restart, under another one, and while two run.
func TestAnEndedJobStaysEndedForEveryInstance(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	files := map[string]string{
		"fedsync.yaml": w.file("web"), "apps/web/job.yaml": w.migration("1"), "apps/web/a.yaml": w.settings("a", "1"),
	}
	first := w.repo.Push("first", files)
	d := w.start()
	w.finish(batchv1.JobComplete)
	d.live(first)
	d.await("the Jobs have ended", w.ended(federation.Healthy))
	w.expire()
	second := w.repo.Push("second", map[string]string{"apps/web/a.yaml": w.settings("a", "2")})
	d.live(second)
	d.await("the Jobs are gone and have ended", w.ended(federation.Healthy))
	w.noJobs("after the TTL")
	d.stop()

	d = w.start()
	third := w.repo.Push("third", map[string]string{"apps/web/a.yaml": w.settings("a", "3")})
	d.live(third)
	d.await("a new process knows it", w.ended(federation.Healthy))
	w.noJobs("after a restart")

	another := *w.cfg
	another.Instance = "second"
	d2 := w.startWith(&another) // the first continues to run, and is fenced
	d2.live(third)
	fourth := w.repo.Push("fourth", map[string]string{"apps/web/a.yaml": w.settings("a", "4")})
	d2.live(fourth)
	d2.await("another instance knows it", w.ended(federation.Healthy))
	w.noJobs("under another instance")

	// Another Job runs one time, by the instance that writes.
	fifth := w.repo.Push("fifth", map[string]string{"apps/web/job.yaml": w.migration("2")})
	w.finish(batchv1.JobFailed)
	d2.await("the failure is told", func(r *status.Report) string {
		if r.Revision.SHA != fifth || r.State != status.Failure {
			return "it is not a failure"
		}
		return w.ended(federation.Degraded)(r)
	})
	w.expire()
	<-time.After(2 * time.Second) // within this time a Job would be created
	w.noJobs("after it failed")
	d2.await("the failure stays", w.ended(federation.Degraded))
	if r := d2.reports.Newest(); r.State != status.Failure {
		t.Errorf("the revision is a %s, want a failure", r.State)
	}
}
