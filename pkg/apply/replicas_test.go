package apply

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A count that leaves Git is let go as it stands, but for zero, at which an autoscaler
// does nothing. Then it is others' to set.
func TestReplicasThatLeaveGitAreLetGo(t *testing.T) {
	const set = `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web, namespace: NAMESPACE}
spec:
%s  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:1"}]}
`
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
