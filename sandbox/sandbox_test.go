package sandbox_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/fedsync/fedsync/sandbox"
	"github.com/fedsync/fedsync/sandbox/build"
	"github.com/fedsync/fedsync/sandbox/child"
	"github.com/fedsync/fedsync/sandbox/control"
)

// running is the sandbox of all tests of this package, and calls receives the webhook
// calls of its forge. They are set before the first test and not changed. A test that
// makes an outage ends it before it returns.
var (
	running *sandbox.Sandbox
	calls   = make(chan call, 10) // more than the tests push
)

// call is one webhook call.
type call struct {
	event, signature string
	body             []byte
}

const webhookSecret = "of the tests"

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
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // half of it would not fit its signature
		calls <- call{r.Header.Get("X-Gitea-Event"), r.Header.Get("X-Gitea-Signature"), body}
	}))
	defer hook.Close()
	var gcp *sandbox.GCP
	if runtime.GOOS == "linux" { // else nodes cannot answer
		gcp = &sandbox.GCP{Outside: 1, OperationTime: 50 * time.Millisecond, ProbeInterval: 50 * time.Millisecond}
	}
	running, err = sandbox.Up(ctx, sandbox.Options{
		Clusters: 2,
		Nodes:    3,
		Forge:    true,
		Faulty:   true,
		GCP:      gcp,
		Webhook:  sandbox.Webhook{URL: hook.URL, Secret: webhookSecret},
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

func TestNodesAreReadyAndHaveTheirZones(t *testing.T) {
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
	createService(t, c, ns, "web")
	createReplicaSet(t, c, ns, 3, nil)
	eventually(t, "3 replicas are ready", func() bool { return readyReplicas(t, c, ns) == 3 })
	eventually(t, "3 endpoints are ready", func() bool { return readyEndpoints(t, c, ns) == 3 })
}

func TestPodWithTheUnreadyAnnotationIsNotReady(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	const annotation = "sandbox.fedsync.dev/ready"
	createReplicaSet(t, c, ns, 1, map[string]string{annotation: "false"})
	var pod corev1.Pod
	eventually(t, "the pod runs", func() bool {
		pods, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(pods.Items) != 1 {
			return false
		}
		pod = pods.Items[0]
		return pod.Status.Phase == corev1.PodRunning
	})
	if got := readyReplicas(t, c, ns); got != 0 {
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
	eventually(t, "the replica is ready", func() bool { return readyReplicas(t, c, ns) == 1 })
	annotate(`"false"`)
	eventually(t, "the replica is not ready any more", func() bool { return readyReplicas(t, c, ns) == 0 })
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
	// The scheduler may see the first pods before it sees the changed nodes. Then it
	// places all of them, but it has seen the nodes by the second try.
	for try := 0; ; try++ {
		createReplicaSet(t, c, ns, 5, nil)
		var scheduled, unschedulable int
		eventually(t, "5 pods are placed or refused", func() bool {
			scheduled, unschedulable = placed(t, c, ns)
			return scheduled+unschedulable == 5
		})
		if scheduled == 3 && unschedulable == 2 {
			break
		}
		if try == 3 {
			t.Fatalf("%d pods are placed on 3 nodes with room for one each, and %d are not", scheduled, unschedulable)
		}
		if err := c.AppsV1().ReplicaSets(ns).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the pods are gone", func() bool { a, b := placed(t, c, ns); return a+b == 0 })
	}
	room("110")
	eventually(t, "all pods are ready once there is room", func() bool { return readyReplicas(t, c, ns) == 5 })
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
	createService(t, c, ns, "first")
	_, err := c.CoreV1().Services(ns).Create(t.Context(), service("second"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a second Service: %v, want Forbidden", err)
	}
}

func TestDeletedNamespaceGoesWithWhatIsInIt(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	createReplicaSet(t, c, ns, 2, nil)
	eventually(t, "2 replicas are ready", func() bool { return readyReplicas(t, c, ns) == 2 })
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
	neighbour := config(t, 1).Host
	config := config(t, 0)
	config.Host = neighbour
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Discovery().ServerVersion()
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &unknown) && !errors.As(err, &invalid) {
		t.Errorf("connect to another cluster with this one's authority: %v, want a certificate error", err)
	}
}

func TestPausedClusterAcceptsAndNeverAnswers(t *testing.T) {
	act(t, control.Pause)
	t.Cleanup(func() { act(t, control.Resume) })
	if err := handshake(t, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("handshake with a paused cluster: %v, want no answer", err)
	}
	if err := handshake(t, 0); err != nil {
		t.Errorf("handshake with its neighbour: %v", err)
	}
	act(t, control.Pause) // again changes nothing
	if _, err := controller().Do(t.Context(), control.Start, running.Description.Clusters[1]); err == nil || !strings.Contains(err.Error(), "resume") {
		t.Errorf("start a paused cluster: %v, want the advice to resume it", err)
	}
}

func TestResumedClusterWorksOnAtOnce(t *testing.T) {
	c, ns := client(t, 1), namespace(t, 1)
	createReplicaSet(t, c, ns, 1, nil)
	eventually(t, "1 replica is ready", func() bool { return readyReplicas(t, c, ns) == 1 })
	act(t, control.Pause)
	act(t, control.Resume)
	scale(t, c, ns, 3)
	eventually(t, "3 replicas are ready", func() bool { return readyReplicas(t, c, ns) == 3 })
}

func TestKilledClusterRefusesAndComesBackWithItsObjects(t *testing.T) {
	c, ns := client(t, 1), namespace(t, 1)
	createReplicaSet(t, c, ns, 1, nil)
	eventually(t, "1 replica is ready", func() bool { return readyReplicas(t, c, ns) == 1 })
	act(t, control.Kill)
	if err := handshake(t, 1); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("handshake with a killed cluster: %v, want a refusal", err)
	}
	for _, action := range []control.Action{control.Pause, control.Resume} {
		if _, err := controller().Do(t.Context(), action, running.Description.Clusters[1]); err == nil || !strings.Contains(err.Error(), "start it") {
			t.Errorf("%s a killed cluster: %v, want the advice to start it", action, err)
		}
	}
	// A start that timed out can be tried again.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := controller().Do(ctx, control.Start, running.Description.Clusters[1]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start with a timeout of 50 ms: %v, want the deadline", err)
	}
	act(t, control.Start)
	scale(t, c, ns, 3)
	eventually(t, "3 replicas are ready", func() bool { return readyReplicas(t, c, ns) == 3 })
	addresses := map[string]bool{}
	pods, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		addresses[p.Status.PodIP] = true
	}
	if len(addresses) != 3 {
		t.Errorf("3 pods from before and after the outage have addresses %v", addresses)
	}
}

func TestErrorForAnUnknownClusterListsTheClusters(t *testing.T) {
	_, err := controller().Do(t.Context(), control.Pause, "gce-mars1a")
	for _, want := range append([]string{"gce-mars1a"}, running.Description.Clusters...) {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("pause an unknown cluster: %v, want %q in it", err, want)
		}
	}
}

func TestFolderWithFilesIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Up(t.Context(), sandbox.Options{Clusters: 1, Dir: dir, Progress: io.Discard}); err == nil {
		t.Fatal("Up used a directory with a file in it")
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.txt")); err != nil {
		t.Errorf("the file: %v", err)
	}
}

func TestProgramThatEndsDuringTheStartIsNamedWithItsLog(t *testing.T) {
	dir, programs := filepath.Join(t.TempDir(), "s"), t.TempDir()
	script := func(name, body string) string {
		t.Helper()
		path := filepath.Join(programs, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, err := sandbox.Up(t.Context(), sandbox.Options{
		Clusters: 1,
		Dir:      dir,
		Progress: io.Discard,
		Paths: build.Paths{
			build.Etcd:      script("etcd", "echo no space left; exit 1"),
			build.APIServer: script("kube-apiserver", "while :; do /bin/sleep 1; done"),
		},
		Warden: []string{os.Args[0], "warden"},
	})
	for _, want := range []string{"etcd ended", "exit status 1", "no space left"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Up = %v, want %q in it", err, want)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is still there", dir)
	}
}

func TestRepositoryTakesAPush(t *testing.T) {
	if out := git(t, t.TempDir(), "ls-remote", running.Description.Repository); out != "" {
		t.Errorf("the new repository has %q, want nothing", out)
	}
	sha := push(t, running.Description.Repository)
	if got, want := git(t, running.Description.Repository, "rev-parse", "HEAD"), sha; got != want {
		t.Errorf("HEAD is %s, want %s", got, want)
	}
}

func TestForgeTakesAPushAndACommitStatusWithItsTokenAndCallsTheWebhook(t *testing.T) {
	f := running.Description.Forge
	sha := push(t, strings.Replace(f.CloneURL, "://", "://"+f.Owner+":"+f.Token+"@", 1))
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
		defer func() { _ = answer.Body.Close() }()
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

	select {
	case c := <-calls:
		mac := hmac.New(sha256.New, []byte(webhookSecret))
		mac.Write(c.body)
		if want := hex.EncodeToString(mac.Sum(nil)); c.event != "push" || c.signature != want {
			t.Errorf("the webhook was sent a %s signed %s, want a push signed %s", c.event, c.signature, want)
		}
		if !strings.Contains(string(c.body), sha) {
			t.Errorf("the webhook's body does not name the commit: %s", c.body)
		}
	case <-time.After(90 * time.Second):
		t.Error("the webhook was not called")
	}
}
