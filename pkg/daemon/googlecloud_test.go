package daemon

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// All clusters are behind one address, including some outside Google Cloud, and nothing
// that happens to one of them takes the address down. The long form has the guide's 13
// clusters.
func TestOneAddressThatNoClusterCanTakeDown(t *testing.T) {
	clusters, outside := 5, 1
	if os.Getenv(longTests) != "" {
		clusters, outside = 13, 2
	}
	s := lab.Own(t, clusters, lab.WithGCP(outside))
	w := newCloudWorld(t, s)
	d := w.start()

	pushed := time.Now()
	w.push()
	report := w.served(d)
	took := time.Since(pushed)
	address := report.Balancers[0].Address
	w.writtenOnce(took)
	w.shownInEveryCluster(address)
	w.answeredBy(address, s.Clusters())
	w.idle()

	clients := w.load(address)
	defer clients.stop()
	t.Run("an unrelated Ingress is deleted in a member", func(t *testing.T) {
		w.unrelated(s.Clusters()[0])
		clients.unharmed(t)
	})
	t.Run("the federated Ingress is deleted by hand in one", func(t *testing.T) {
		w.deletedByHand(d, s.Clusters()[1], address)
		clients.unharmed(t)
	})
	t.Run("fedsync is killed and started again", func(t *testing.T) {
		before := w.mutations()
		d.stop()
		d = w.start()
		w.served(d)
		w.unchanged(t, before)
		clients.unharmed(t)
	})
	t.Run("a member elsewhere is drained", func(t *testing.T) {
		drained := w.cloud.Outside[0]
		w.said[drained] = "drain: true"
		w.push()
		w.awaitTraffic(d, drained, federation.TrafficDrained)
		clients.unharmed(t)
		clients.silent(t, drained)
		delete(w.said, drained)
		w.push()
		w.awaitTraffic(d, drained, federation.TrafficServing)
		clients.unharmed(t)
	})
	t.Run("an API server is killed", func(t *testing.T) {
		before := w.mutations()
		dead := s.Clusters()[2]
		s.Kill(t, dead)
		d.await("it is noticed", func(r *status.Report) string {
			if state := clusterOf(r, dead).State; state != federation.ClusterOffline {
				return "it is " + string(state)
			}
			return ""
		})
		w.unchanged(t, before)
		clients.unharmed(t)
		clients.heard(t, dead) // its nodes continue to serve
		s.Start(t, dead)
		w.served(d)
	})
	t.Run("a cluster's nodes are killed", func(t *testing.T) {
		dead := s.Clusters()[3]
		s.KillNodes(t, dead)
		clients.failuresOnly(t, dead)
		w.awaitTraffic(d, dead, federation.TrafficUnhealthy)
		clients.silent(t, dead)
		s.ReviveNodes(t, dead)
		w.awaitTraffic(d, dead, federation.TrafficServing)
		clients.unharmed(t)
	})
	clients.stop()
	t.Log(clients)
	w.stood()
}

// writtenOnce checks that every resource is written one time, and that all takes at most
// twice the operation times on the longest path.
func (w *cloudWorld) writtenOnce(took time.Duration) {
	w.t.Helper()
	times := map[string]int{}
	for _, c := range w.mutations() {
		if !strings.HasSuffix(c.Method, "NetworkEndpoints") {
			collection, _, _ := strings.Cut(c.Method, ".")
			times[fmt.Sprint(collection, " ", c.Zone, " ", c.Name)]++
		}
	}
	for _, resource := range slices.Sorted(maps.Keys(times)) {
		if times[resource] != 1 {
			w.t.Errorf("%s was written %d times", resource, times[resource])
		}
	}
	var path time.Duration
	for _, collection := range []string{"networkEndpointGroups", "networkEndpointGroups", "backendServices", "urlMaps", "targetHttpProxies", "globalForwardingRules"} {
		path += w.cloud.OperationTimes[collection]
	}
	w.t.Logf("from the push to traffic in all clusters %s; the longest path of operations takes %s", took.Round(time.Millisecond), path)
}

// idle checks that nothing is changed while nothing happens, and logs the number of reads.
func (w *cloudWorld) idle() {
	w.t.Helper()
	w.cloud.ResetCalls(w.t)
	const rest = 12 * time.Second
	<-time.After(rest) // there is no event to wait for when nothing happens
	calls := w.cloud.Calls(w.t)
	for _, c := range calls {
		if changes(c) {
			w.t.Errorf("idle, and yet %s %s", c.Method, c.Name)
		}
	}
	w.t.Logf("idle: %d reads in %s", len(calls), rest)
}

// unrelated creates an Ingress that the cluster's own controller serves, and deletes it.
func (w *cloudWorld) unrelated(cluster string) {
	w.t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
		"metadata": map[string]any{"name": "unrelated", "annotations": map[string]any{"kubernetes.io/ingress.class": "gce"}},
		"spec": map[string]any{"defaultBackend": map[string]any{"service": map[string]any{
			"name": "web", "port": map[string]any{"number": int64(80)},
		}}},
	}}
	objects := w.dynamic(cluster).Resource(kinds["Ingress"]).Namespace(w.namespace)
	if _, err := objects.Create(w.t.Context(), u, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the cluster's own controller serves it", func() string {
		u := w.get(cluster, "Ingress", "unrelated")
		if addresses, _, _ := unstructured.NestedSlice(u.Object, "status", "loadBalancer", "ingress"); len(addresses) == 0 {
			return "it has no address"
		}
		return ""
	})
	if err := objects.Delete(w.t.Context(), "unrelated", metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "it is gone", func() string {
		if w.get(cluster, "Ingress", "unrelated") != nil {
			return "it is there"
		}
		return ""
	})
}

// deletedByHand deletes the federated Ingress in one cluster, and waits for its return.
func (w *cloudWorld) deletedByHand(d *ran, cluster, address string) {
	w.t.Helper()
	before := w.mutations()
	uid := w.get(cluster, "Ingress", "web").GetUID()
	if err := w.dynamic(cluster).Resource(kinds["Ingress"]).Namespace(w.namespace).Delete(w.t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "it is back", func() string {
		if u := w.get(cluster, "Ingress", "web"); u == nil || u.GetUID() == uid {
			return "it is not"
		}
		return ""
	})
	w.served(d)
	w.shownInEveryCluster(address)
	w.unchanged(w.t, before)
}

// stood checks that the path from the address to the backends always existed and never
// changed, except for the backends of the drained cluster.
func (w *cloudWorld) stood() {
	w.t.Helper()
	for path, changes := range w.cloud.History(w.t) {
		for i, c := range changes {
			switch {
			case i > 0 && slices.ContainsFunc([]string{"forwardingRules", "targetHttpProxies", "urlMaps", "addresses"},
				func(kind string) bool { return strings.Contains(path, "/"+kind+"/") }):
				w.t.Errorf("%s: %s", path, c.Method)
			case strings.HasSuffix(c.Method, ".delete") && !strings.Contains(path, "networkEndpointGroups"):
				w.t.Errorf("%s: %s", path, c.Method)
			}
		}
	}
}
