package apply

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// set is a ReplicaSet with a line for its replicas.
const set = `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web, namespace: NAMESPACE}
spec:
%s  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:1"}]}
`

// A count that leaves Git is released at its current value, except for zero, at which
// an autoscaler does nothing. Then other controllers may set it.
func TestReplicasThatLeaveGitAreReleased(t *testing.T) {
	for before, want := range map[int64]int64{3: 3, 1: 1, 0: 1} {
		f := newFixture(t)
		f.mustSync(f.app("web", fmt.Sprintf(set, fmt.Sprintf("  replicas: %d\n", before))))
		replicas := func() int64 {
			n, _, _ := unstructured.NestedInt64(f.get(replicaSets, "web").Object, "spec", "replicas")
			return n
		}
		f.mustSync(f.app("web", fmt.Sprintf(set, "")))
		if got := replicas(); got != want {
			t.Errorf("of %d replicas %d are left, want %d", before, got, want)
		}
		f.patchAs("autoscaler", replicaSets, "web", `{"spec":{"replicas":7}}`, "scale")
		f.upToDate()
		f.mustSync(f.app("web", fmt.Sprintf(set, "")))
		if got := replicas(); got != 7 {
			t.Errorf("an autoscaler's 7 replicas have become %d", got)
		}
	}
}

// A count that Git does not set is not ours, whoever set it before the adoption.
func TestAdoptionLeavesReplicasThatGitDoesNotState(t *testing.T) {
	for _, who := range []string{"kubectl-client-side-apply", "kubectl-create", ""} {
		t.Run(who, func(t *testing.T) {
			f := newFixture(t)
			f.create(who, fmt.Sprintf(set, "  replicas: 5\n  minReadySeconds: 3\n"))
			if who == "" {
				f.patchAs("x", replicaSets, "web", `{"metadata":{"managedFields":[{}]}}`)
			}
			f.mustSync(f.app("web", fmt.Sprintf(set, "")))
			u := f.get(replicaSets, "web")
			if n, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas"); n != 5 {
				t.Errorf("5 replicas have become %d", n)
			}
			if n, _, _ := unstructured.NestedInt64(u.Object, "spec", "minReadySeconds"); n != 0 {
				t.Errorf("minReadySeconds is %d, want it gone", n)
			}
			f.patchAs("autoscaler", replicaSets, "web", `{"spec":{"replicas":7}}`, "scale")
			f.upToDate()
			f.mustSync(f.app("web", fmt.Sprintf(set, "")))
			if n, _, _ := unstructured.NestedInt64(f.get(replicaSets, "web").Object, "spec", "replicas"); n != 7 {
				t.Errorf("an autoscaler's 7 replicas have become %d", n)
			}
		})
	}
}
