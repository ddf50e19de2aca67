package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// A pod counts as one without room after a minute, which this test waits for.
func TestWhatDoesNotFitIntoOneClusterRunsInTheOthers(t *testing.T) {
	t.Parallel()
	s := lab.Shared(t)
	all := s.Clusters()
	tight := all[0]
	// Four pods fit on a node. The tight cluster has one node for them; all nodes of the
	// other clusters are for them.
	p := newPatient(t, s, func(p *patient) {
		p.files[replicaSetFile] = strings.Replace(p.files[replicaSetFile], "    spec:\n", fmt.Sprintf("    spec:\n      nodeSelector: {%s: \"true\"}\n", p.nodeLabel()), 1)
		p.files[replicaSetFile] = strings.Replace(p.files[replicaSetFile], `image: "example.com/web:1"`, `image: "example.com/web:1", resources: {requests: {cpu: 900m}}`, 1)
		p.labelNodes(tight, 1)
		p.labelNodes(all[1], 3)
		p.labelNodes(all[2], 3)
	})
	p.awaitReplicas(all, 2, 2, 2)

	sha := p.repo.Push("more than fits", map[string]string{
		replicaSetFile: strings.Replace(p.files[replicaSetFile], "replicas: 6", "replicas: 18", 1),
	})
	p.awaitReplicas(all, 6, 6, 6)
	noRoom := warning("D21", tight, p.ref("ReplicaSet", "web"),
		"2 of 6 pods are unschedulable; there is room for 4", "didn't match Pod's node affinity/selector", "add nodes")
	within(t, time.Minute+patience, "the rest runs elsewhere", func() string {
		r := p.reports.Newest()
		switch {
		case !noRoom.shown(r):
			return "there is no " + noRoom.String() + "\nreport: " + describe(r)
		case r.Revision.SHA != sha || r.State != status.Success:
			return "it is no success\nreport: " + describe(r)
		}
		if got := p.running(all...); !slices.Equal(got, []int{4, 7, 7}) {
			return fmt.Sprintf("%v pods are ready", got)
		}
		return ""
	})
	// Additional pods wait there, so that an autoscaler sees them.
	p.awaitReplicas(all, 6, 7, 7)

	p.labelNodes(tight, 3)
	p.await("there is room", func(r *status.Report) string {
		switch {
		case slices.ContainsFunc(r.Findings, func(f federation.Finding) bool { return f.ID == noRoom.id }):
			return "it is still said that there is none"
		case r.State != status.Success:
			return "it is no success"
		}
		if got := p.running(all...); !slices.Equal(got, []int{6, 6, 6}) {
			return fmt.Sprintf("%v pods are ready", got)
		}
		return ""
	})
	p.awaitReplicas(all, 6, 6, 6)
}

// nodeLabel is a label of the test's own.
func (w *world) nodeLabel() string { return "example.com/" + w.namespace }

// labelNodes gives the test's label to some nodes of a cluster until the test's end.
func (w *world) labelNodes(cluster string, count int) {
	w.t.Helper()
	nodes := w.sandbox.Client(w.t, cluster).CoreV1().Nodes()
	list, err := nodes.List(w.t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) < count {
		w.t.Fatalf("list the nodes of %s: %d, %v", cluster, len(list.Items), err)
	}
	label := func(node, value string) {
		patch := fmt.Appendf(nil, `{"metadata": {"labels": {%q: %s}}}`, w.nodeLabel(), value)
		_, err := nodes.Patch(context.WithoutCancel(w.t.Context()), node, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			w.t.Errorf("label node %s of %s: %v", node, cluster, err)
		}
	}
	for _, node := range list.Items[:count] {
		label(node.Name, `"true"`)
		w.t.Cleanup(func() { label(node.Name, "null") })
	}
}

// running counts the pods of web that are Ready in each of the clusters.
func (w *world) running(clusters ...string) []int {
	w.t.Helper()
	counts := make([]int, len(clusters))
	for i, cluster := range clusters {
		pods, err := w.sandbox.Client(w.t, cluster).CoreV1().Pods(w.namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			}) {
				counts[i]++
			}
		}
	}
	return counts
}
