package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/fedsync/fedsync/sandbox/control"
	"github.com/fedsync/fedsync/sandbox/nodes"
)

// askNode sends a request to the first node of a cluster at a node port, on a new
// connection.
func askNode(t *testing.T, cluster int, port int32) (nodes.Answer, error) {
	t.Helper()
	return askAddress(t, fmt.Sprintf("10.128.%d.10", cluster), port)
}

func askAddress(t *testing.T, address string, port int32) (nodes.Answer, error) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return running.DialNode(ctx, network, address)
		},
	}}
	response, err := client.Get(fmt.Sprintf("http://%s:%d/where", address, port))
	if err != nil {
		return nodes.Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nodes.Answer{}, err
	}
	var a nodes.Answer
	return a, json.Unmarshal(body, &a)
}

// serving makes a Service with pods in a cluster and waits until its node answers.
func serving(t *testing.T, cluster int) (c kubernetes.Interface, ns string, port int32) {
	t.Helper()
	c, ns = client(t, cluster), namespace(t, cluster)
	createService(t, c, ns, "web")
	createReplicaSet(t, c, ns, 3, nil)
	port = nodePort(t, c, ns)
	eventually(t, "a node answers", func() bool { _, err := askNode(t, cluster, port); return err == nil })
	return c, ns, port
}

func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func TestNodesAnswerAtTheNodePort(t *testing.T) {
	for cluster := range 2 {
		c, ns, port := serving(t, cluster)
		eventually(t, "three pods are ready", func() bool { return readyEndpoints(t, c, ns) == 3 })
		pods := map[string]bool{}
		eventually(t, "all pods had a turn", func() bool {
			a, err := askNode(t, cluster, port)
			if err != nil {
				t.Fatal(err)
			}
			if a.Cluster != running.Description.Clusters[cluster] || a.Namespace != ns || a.Service != "web" || a.Path != "/where" {
				t.Fatalf("the answer is %+v", a)
			}
			pods[a.Pod] = true
			return len(pods) == 3
		})
	}
}

func TestNodesFollowEndpointsWithinATenthOfASecond(t *testing.T) {
	c, ns, port := serving(t, 0)
	eventually(t, "three pods are ready", func() bool { return readyEndpoints(t, c, ns) == 3 })
	var slowest time.Duration
	for range 10 {
		old := port
		port = movePort(t, c, ns)
		began := time.Now()
		for _, err := askNode(t, 0, port); err != nil; _, err = askNode(t, 0, port) {
			if time.Since(began) > 5*time.Second {
				t.Fatalf("node port %d does not answer after 5 s: %v", port, err)
			}
		}
		slowest = max(slowest, time.Since(began))
		if _, err := askNode(t, 0, old); !refused(err) {
			t.Errorf("node port %d still answers: %v", old, err)
		}
	}
	t.Logf("the slowest of 10 changes took %s", slowest)
	if slowest > 100*time.Millisecond {
		t.Errorf("a change took %s, want at most 100 ms", slowest)
	}
}

// movePort gives the Service web another node port.
func movePort(t *testing.T, c kubernetes.Interface, ns string) int32 {
	t.Helper()
	s, err := c.CoreV1().Services(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Spec.Ports[0].NodePort = 0 // the API server chooses
	old := s.DeepCopy()
	old.Spec.Type, old.Spec.Ports[0].NodePort = corev1.ServiceTypeClusterIP, 0
	if old, err = c.CoreV1().Services(ns).Update(t.Context(), old, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.ResourceVersion = old.ResourceVersion
	if s, err = c.CoreV1().Services(ns).Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s.Spec.Ports[0].NodePort
}

func TestNodesRefuseWhereNoPodIsReady(t *testing.T) {
	c, ns, port := serving(t, 0)
	scale(t, c, ns, 0)
	eventually(t, "it is refused", func() bool { _, err := askNode(t, 0, port); return refused(err) })
	scale(t, c, ns, 1)
	eventually(t, "it is answered", func() bool { _, err := askNode(t, 0, port); return err == nil })
}

func TestKilledNodesRefuseAndTheAPIServerGoesOn(t *testing.T) {
	c, ns, port := serving(t, 1)
	act(t, control.KillNodes)
	t.Cleanup(func() { act(t, control.ReviveNodes) })
	if _, err := askNode(t, 1, port); !refused(err) {
		t.Errorf("a killed node: %v, want a refusal", err)
	}
	if got := readyEndpoints(t, c, ns); got == 0 {
		t.Error("no endpoint is ready, although the API server was not notified")
	}
	act(t, control.ReviveNodes)
	if _, err := askNode(t, 1, port); err != nil {
		t.Errorf("a revived node: %v", err)
	}
}

func TestNodesGoOnWithoutTheirAPIServer(t *testing.T) {
	c, ns, port := serving(t, 1)
	for _, outage := range [][2]control.Action{{control.Pause, control.Resume}, {control.Kill, control.Start}} {
		act(t, outage[0])
		if _, err := askNode(t, 1, port); err != nil {
			t.Errorf("after %s: %v", outage[0], err)
		}
		act(t, outage[1])
		if _, err := askNode(t, 1, port); err != nil {
			t.Errorf("after %s: %v", outage[1], err)
		}
	}
	scale(t, c, ns, 0)
	t.Cleanup(func() {
		if t.Failed() { // shows which of the four in the chain did not follow
			t.Logf("%d replicas and %d endpoints are ready", readyReplicas(t, c, ns), readyEndpoints(t, c, ns))
		}
	})
	// After several outages in a row, the controllers wait for up to a minute before they
	// try again, and again if an API server that has just started refuses them.
	within(t, 4*time.Minute, "they follow again", func() bool { _, err := askNode(t, 1, port); return refused(err) })
}

func TestNodesComeAndGo(t *testing.T) {
	c, ns, port := serving(t, 0)
	const address = "10.128.0.77"
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "joins"},
		Spec:       corev1.NodeSpec{ProviderID: "gce://fedsync-sandbox/asia-east1-b/joins", Unschedulable: true},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}},
	}
	if _, err := c.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	gone := func() {
		err := c.CoreV1().Nodes().Delete(context.WithoutCancel(t.Context()), "joins", metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}
	t.Cleanup(gone)
	eventually(t, "the new node answers", func() bool {
		a, err := askAddress(t, address, port)
		return err == nil && a.Node == "joins" && a.Namespace == ns
	})
	gone()
	eventually(t, "it refuses when it is gone", func() bool { _, err := askAddress(t, address, port); return refused(err) })
}

func TestNodesOutsideAreNotOnComputeEngine(t *testing.T) {
	all, err := client(t, 1).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all.Items {
		if !strings.HasPrefix(n.Spec.ProviderID, "onprem://") || n.Labels[corev1.LabelTopologyZone] != "" {
			t.Errorf("node %s has providerID %s and zone %q", n.Name, n.Spec.ProviderID, n.Labels[corev1.LabelTopologyZone])
		}
	}
}
