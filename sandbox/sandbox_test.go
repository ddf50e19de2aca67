package sandbox_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedsync/fedsync/sandbox"
	"github.com/fedsync/fedsync/sandbox/build"
	"github.com/fedsync/fedsync/sandbox/child"
	"github.com/fedsync/fedsync/sandbox/control"
)

// running is what all tests of this package look at. It is set before the first
// and not changed; a test that makes an outage ends it before it returns.
var running *sandbox.Sandbox

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "warden" {
		if err := child.Warden(os.Stdin, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	modules, err := build.Modules(".")
	if err != nil {
		return 0, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, err
	}
	paths, err := build.Set{Modules: modules, Cache: filepath.Join(cache, "fedsync", "programs"), Assets: os.Getenv("KUBEBUILDER_ASSETS")}.Find(true)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	running, err = sandbox.Up(ctx, sandbox.Options{
		Clusters: 2,
		Nodes:    3,
		Forge:    true,
		Paths:    paths,
		Warden:   []string{os.Args[0], "warden"},
		Progress: io.Discard,
	})
	if err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, running.Close())
		if _, gone := os.Stat(running.Description.Dir); gone == nil {
			err = errors.Join(err, fmt.Errorf("%s is still there after the sandbox's end", running.Description.Dir))
		}
	}()
	return m.Run(), nil
}

func TestNodesAreReadyAndSayWhereTheyAre(t *testing.T) {
	nodes, err := client(t, 0).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(nodes.Items), 3; got != want {
		t.Errorf("%d nodes, want %d", got, want)
	}
	for _, n := range nodes.Items {
		if want := "gce://fedsync-sandbox/asia-east1-a/" + n.Name; n.Spec.ProviderID != want {
			t.Errorf("provider ID %s, want %s", n.Spec.ProviderID, want)
		}
		if got, want := n.Labels[corev1.LabelTopologyZone]+" "+n.Labels[corev1.LabelTopologyRegion], "asia-east1-a asia-east1"; got != want {
			t.Errorf("zone and region of %s are %s, want %s", n.Name, got, want)
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				t.Errorf("%s is not ready: %s", n.Name, c.Message)
			}
		}
	}
}

func TestReplicaSetBecomesReadyAndFillsEndpointSlices(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	createService(t, c, ns, "web", 0)
	createReplicaSet(t, c, ns, "web", 3, nil)
	eventually(t, "3 replicas are ready", func() bool { return readyReplicas(t, c, ns, "web") == 3 })
	eventually(t, "3 endpoints are ready", func() bool { return readyEndpoints(t, c, ns, "web") == 3 })
}

func TestPodThatIsToldSoIsNotReady(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	const annotation = "sandbox.fedsync.dev/ready"
	createReplicaSet(t, c, ns, "web", 1, map[string]string{annotation: "false"})
	var pod corev1.Pod
	eventually(t, "the pod runs", func() bool {
		pods, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(pods.Items) != 1 {
			return false
		}
		pod = pods.Items[0]
		return pod.Status.Phase == corev1.PodRunning
	})
	if got := readyReplicas(t, c, ns, "web"); got != 0 {
		t.Errorf("%d replicas are ready, want none", got)
	}
	annotate := func(value string) {
		t.Helper()
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, annotation, value)
		if _, err := c.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	annotate("null")
	eventually(t, "the replica is ready", func() bool { return readyReplicas(t, c, ns, "web") == 1 })
	annotate(`"false"`)
	eventually(t, "the replica is not ready any more", func() bool { return readyReplicas(t, c, ns, "web") == 0 })
}

func TestPodsBeyondTheNodesCapacityAreUnschedulable(t *testing.T) {
	c, ns := client(t, 1), namespace(t, 1)
	nodes, err := c.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	room := func(pods string) {
		t.Helper()
		for _, n := range nodes.Items {
			patch := fmt.Appendf(nil, `{"status":{"allocatable":{"pods":%q},"capacity":{"pods":%[1]q}}}`, pods)
			if _, err := c.CoreV1().Nodes().Patch(context.WithoutCancel(t.Context()), n.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() { room("110") })
	room("1")
	createReplicaSet(t, c, ns, "web", 5, nil)
	eventually(t, "3 pods are ready and 2 are unschedulable", func() bool {
		pods, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ready, unschedulable := 0, 0
		for _, p := range pods.Items {
			for _, c := range p.Status.Conditions {
				switch {
				case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
					ready++
				case c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable:
					unschedulable++
				}
			}
		}
		return ready == 3 && unschedulable == 2
	})
	room("110")
	eventually(t, "all pods are ready once there is room", func() bool { return readyReplicas(t, c, ns, "web") == 5 })
}

func TestResourceQuotaIsCountedAndHeld(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "services"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceServices: resource.MustParse("1")}},
	}
	if _, err := c.CoreV1().ResourceQuotas(ns).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quota has a status", func() bool {
		q, err := c.CoreV1().ResourceQuotas(ns).Get(t.Context(), "services", metav1.GetOptions{})
		return err == nil && len(q.Status.Hard) == 1
	})
	createService(t, c, ns, "first", 0)
	_, err := c.CoreV1().Services(ns).Create(t.Context(), service("second", 0), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a second Service: %v, want Forbidden", err)
	}
}

func TestDeletedNamespaceGoesWithWhatIsInIt(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	createReplicaSet(t, c, ns, "web", 2, nil)
	eventually(t, "2 replicas are ready", func() bool { return readyReplicas(t, c, ns, "web") == 2 })
	if err := c.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is gone", func() bool {
		_, err := c.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestRestrictedUserMayDoNothingUntilBound(t *testing.T) {
	config := config(t, 0)
	config.BearerToken = running.Description.Restricted[running.Description.Clusters[0]]
	restricted, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restricted.CoreV1().Services("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list Services: %v, want Forbidden", err)
	}
}

func TestServerCertificateOfOneClusterIsNotTrustedForAnother(t *testing.T) {
	config := config(t, 0)
	config.Host = restConfig(t, 1).Host
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Discovery().ServerVersion()
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &unknown) && !errors.As(err, &invalid) {
		t.Errorf("speak to another cluster with this one's authority: %v, want a certificate error", err)
	}
}

func TestPausedClusterAcceptsAndNeverAnswers(t *testing.T) {
	act(t, control.Pause, 1)
	t.Cleanup(func() { act(t, control.Resume, 1) })
	if err := handshake(t, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("handshake with a paused cluster: %v, want no answer", err)
	}
	if err := handshake(t, 0); err != nil {
		t.Errorf("handshake with its neighbour: %v", err)
	}
	act(t, control.Pause, 1) // again changes nothing
	if _, err := controller().Do(t.Context(), control.Start, running.Description.Clusters[1]); err == nil || !strings.Contains(err.Error(), "resume") {
		t.Errorf("start a paused cluster: %v, want the advice to resume it", err)
	}
}

func TestResumedClusterWorksOnAtOnce(t *testing.T) {
	c, ns := client(t, 1), namespace(t, 1)
	createReplicaSet(t, c, ns, "web", 1, nil)
	eventually(t, "1 replica is ready", func() bool { return readyReplicas(t, c, ns, "web") == 1 })
	act(t, control.Pause, 1)
	act(t, control.Resume, 1)
	scale(t, c, ns, "web", 3)
	eventually(t, "3 replicas are ready", func() bool { return readyReplicas(t, c, ns, "web") == 3 })
}

func TestKilledClusterRefusesAndComesBackWithItsObjects(t *testing.T) {
	c, ns := client(t, 1), namespace(t, 1)
	createReplicaSet(t, c, ns, "web", 1, nil)
	eventually(t, "1 replica is ready", func() bool { return readyReplicas(t, c, ns, "web") == 1 })
	act(t, control.Kill, 1)
	if err := handshake(t, 1); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("handshake with a killed cluster: %v, want a refusal", err)
	}
	for _, action := range []control.Action{control.Pause, control.Resume} {
		if _, err := controller().Do(t.Context(), action, running.Description.Clusters[1]); err == nil || !strings.Contains(err.Error(), "start it") {
			t.Errorf("%s a killed cluster: %v, want the advice to start it", action, err)
		}
	}
	act(t, control.Start, 1)
	scale(t, c, ns, "web", 3)
	eventually(t, "3 replicas are ready", func() bool { return readyReplicas(t, c, ns, "web") == 3 })
}

func TestUnknownClusterIsAnsweredWithThoseThereAre(t *testing.T) {
	_, err := controller().Do(t.Context(), control.Pause, "gce-mars1a")
	for _, want := range append([]string{"gce-mars1a"}, running.Description.Clusters...) {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("pause an unknown cluster: %v, want %q in it", err, want)
		}
	}
}

func TestFolderThatIsSomebodysIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Up(t.Context(), sandbox.Options{Clusters: 1, Dir: dir, Progress: io.Discard}); err == nil {
		t.Fatal("a folder with a file in it was taken")
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.txt")); err != nil {
		t.Errorf("the file: %v", err)
	}
}

func TestProgramThatEndsDuringTheStartIsNamedWithItsWords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	broken := filepath.Join(t.TempDir(), "etcd")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no space left; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := sandbox.Up(t.Context(), sandbox.Options{
		Clusters: 1, Dir: dir, Progress: io.Discard,
		Paths:  build.Paths{build.Etcd: broken, build.APIServer: "/bin/cat"},
		Warden: []string{os.Args[0], "warden"},
	})
	if err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("Up = %v, want the program that ended", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is still there", dir)
	}
}

func TestRepositoryTakesAPush(t *testing.T) {
	if out := git(t, t.TempDir(), "ls-remote", running.Description.Repository); out != "" {
		t.Errorf("the new repository has %q, want nothing", out)
	}
	_, sha := push(t, running.Description.Repository)
	if got, want := git(t, running.Description.Repository, "rev-parse", "HEAD"), sha; got != want {
		t.Errorf("HEAD is %s, want %s", got, want)
	}
}

func TestForgeTakesAPushAndACommitStatusWithItsToken(t *testing.T) {
	f := running.Description.Forge
	_, sha := push(t, strings.Replace(f.CloneURL, "://", "://"+f.Owner+":"+f.Token+"@", 1))
	api := f.URL + "/api/v1/repos/" + f.Owner + "/" + f.Repository
	call := func(method, url, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "token "+f.Token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode/100 != 2 {
			t.Fatalf("%s %s: %s: %s %v", method, url, answer.Status, b, err)
		}
		return string(b)
	}
	call(http.MethodPost, api+"/statuses/"+sha, `{"state":"success","context":"fedsync/web","description":"13/13 clusters"}`)
	if got := call(http.MethodGet, api+"/commits/"+sha+"/status", ""); !strings.Contains(got, "13/13 clusters") {
		t.Errorf("the commit's status is %s", got)
	}
}

// The rest is what the tests say things with.

func config(t *testing.T, i int) *rest.Config { return rest.CopyConfig(restConfig(t, i)) }

func restConfig(t *testing.T, i int) *rest.Config {
	t.Helper()
	kubeconfig, err := clientcmd.LoadFromFile(running.Description.Kubeconfig)
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

// namespace makes one in the given clusters, of the same name.
func namespace(t *testing.T, clusters ...int) string {
	t.Helper()
	name := "test-" + strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	name = name[:min(len(name), 50)]
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

func service(name string, nodePort int32) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeNodePort,
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, NodePort: nodePort}},
		},
	}
}

func createService(t *testing.T, c kubernetes.Interface, ns, name string, nodePort int32) {
	t.Helper()
	if _, err := c.CoreV1().Services(ns).Create(t.Context(), service(name, nodePort), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func createReplicaSet(t *testing.T, c kubernetes.Interface, ns, name string, replicas int32, annotations map[string]string) {
	t.Helper()
	labels := map[string]string{"app": name}
	_, err := c.AppsV1().ReplicaSets(ns).Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
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

func scale(t *testing.T, c kubernetes.Interface, ns, name string, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	if _, err := c.AppsV1().ReplicaSets(ns).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func readyReplicas(t *testing.T, c kubernetes.Interface, ns, name string) int32 {
	t.Helper()
	rs, err := c.AppsV1().ReplicaSets(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return rs.Status.ReadyReplicas
}

func readyEndpoints(t *testing.T, c kubernetes.Interface, ns, name string) int {
	t.Helper()
	slices, err := c.DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
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

func act(t *testing.T, action control.Action, i int) {
	t.Helper()
	_, err := controller().Do(context.WithoutCancel(t.Context()), action, running.Description.Clusters[i])
	if err != nil {
		t.Fatal(err)
	}
}

// handshake does a TLS handshake with a cluster, for two seconds at most.
func handshake(t *testing.T, i int) error {
	t.Helper()
	config := restConfig(t, i)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(config.Host, "https://"))
	if err != nil {
		return err
	}
	defer c.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)
	return tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}).HandshakeContext(ctx)
}

// push pushes one commit to main of a repository, and returns the working copy
// and the commit.
func push(t *testing.T, to string) (work, sha string) {
	t.Helper()
	work = t.TempDir()
	git(t, work, "init", "--quiet", "--initial-branch=main")
	git(t, work, "commit", "--quiet", "--allow-empty", "--message=first")
	git(t, work, "push", "--quiet", to, "main")
	return work, git(t, work, "rev-parse", "HEAD")
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
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after 30 s: %s", what)
		}
	}
}
