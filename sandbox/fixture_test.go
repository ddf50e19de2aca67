package sandbox_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedsync/fedsync/sandbox/control"
)

// config is the administrator's access to a cluster, past the proxies.
func config(t *testing.T, i int) *rest.Config {
	t.Helper()
	return configIn(t, running.Description.Direct, i)
}

func configIn(t *testing.T, file string, i int) *rest.Config {
	t.Helper()
	kubeconfig, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, running.Description.Clusters[i], nil, nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	config.WarningHandlerWithContext = rest.NoWarnings{}
	return config
}

func client(t *testing.T, i int) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(config(t, i))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// namespace makes a namespace of the same name in the given clusters. The name is short,
// because GLBC truncates the names that derive from it.
func namespace(t *testing.T, clusters ...int) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:8])
	for _, i := range clusters {
		c := client(t, i)
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := c.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			err := c.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		})
	}
	return name
}

func service(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeNodePort,
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
}

func createService(t *testing.T, c kubernetes.Interface, ns, name string) {
	t.Helper()
	if _, err := c.CoreV1().Services(ns).Create(t.Context(), service(name), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// createReplicaSet creates the pods of the Service web.
func createReplicaSet(t *testing.T, c kubernetes.Interface, ns string, replicas int32, annotations map[string]string) {
	t.Helper()
	labels := map[string]string{"app": "web"}
	_, err := c.AppsV1().ReplicaSets(ns).Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// placed counts the pods that have a node and the pods that fit on none.
func placed(t *testing.T, c kubernetes.Interface, ns string) (scheduled, unschedulable int) {
	t.Helper()
	pods, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		for _, condition := range p.Status.Conditions {
			switch {
			case condition.Type != corev1.PodScheduled:
			case condition.Status == corev1.ConditionTrue:
				scheduled++
			case condition.Reason == corev1.PodReasonUnschedulable:
				unschedulable++
			}
		}
	}
	return scheduled, unschedulable
}

func scale(t *testing.T, c kubernetes.Interface, ns string, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	if _, err := c.AppsV1().ReplicaSets(ns).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func readyReplicas(t *testing.T, c kubernetes.Interface, ns string) int32 {
	t.Helper()
	rs, err := c.AppsV1().ReplicaSets(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return rs.Status.ReadyReplicas
}

func readyEndpoints(t *testing.T, c kubernetes.Interface, ns string) int {
	t.Helper()
	slices, err := c.DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			if *e.Conditions.Ready {
				n++
			}
		}
	}
	return n
}

func controller() *control.Client { return control.NewClient(running.Description.Control) }

// act makes or ends an outage of the second cluster; the first never has one.
func act(t *testing.T, action control.Action) {
	t.Helper()
	_, err := controller().Do(context.WithoutCancel(t.Context()), action, running.Description.Clusters[1])
	if err != nil {
		t.Fatal(err)
	}
}

// handshake does a TLS handshake with a cluster, for two seconds at most.
func handshake(t *testing.T, i int) error {
	t.Helper()
	config := config(t, i)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(config.Host, "https://"))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)
	return tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}).HandshakeContext(ctx)
}

// push pushes one commit to main of a repository and returns it.
func push(t *testing.T, to string) (sha string) {
	t.Helper()
	work := t.TempDir()
	git(t, work, "init", "--quiet", "--initial-branch=main")
	git(t, work, "commit", "--quiet", "--allow-empty", "--message=first")
	git(t, work, "push", "--quiet", to, "main")
	return git(t, work, "rev-parse", "HEAD")
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	within(t, 90*time.Second, what, is)
}

func within(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after %s: %s", limit, what)
		}
	}
}
