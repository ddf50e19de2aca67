package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/lab/faults"
)

// behind is a namespace in a shared cluster behind the test's own proxy.
type behind struct {
	*testing.T
	front *lab.Front
	proxy *lab.Proxy
	ns    string
	api   kubernetes.Interface // through the proxy
}

func newBehind(t *testing.T) *behind {
	t.Helper()
	s := lab.Shared(t)
	b := &behind{T: t, ns: s.Namespace(t), front: s.Faults(t)}
	b.proxy = b.front.Proxy(s.Clusters()[0])
	b.api = clientOf(t, b.proxy.RESTConfig())
	return b
}

func clientOf(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	config.WarningHandlerWithContext = rest.NoWarnings{}
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put applies a ConfigMap through the proxy.
func (b *behind) put(ctx context.Context, name, value string) error {
	patch := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"v":%q}}`, name, value)
	_, err := b.api.CoreV1().ConfigMaps(b.ns).Patch(ctx, name, types.ApplyPatchType, patch, metav1.PatchOptions{FieldManager: "test"})
	return err
}

// get reads a ConfigMap past the proxy.
func (b *behind) get(name string) (*corev1.ConfigMap, error) {
	return b.proxy.Client().CoreV1().ConfigMaps(b.ns).Get(b.Context(), name, metav1.GetOptions{})
}

func (b *behind) want(name, value string) *corev1.ConfigMap {
	b.Helper()
	got, err := b.get(name)
	if err != nil || got.Data["v"] != value {
		b.Fatalf("past the proxy, %s is %v, %v, want %s", name, got.Data, err, value)
	}
	return got
}

// answers waits until the cluster answers through the proxy: a client may not yet have
// noticed that its connection is broken.
func (b *behind) answers() {
	b.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		_, err := b.api.Discovery().ServerVersion()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("no answer through the proxy: %v", err)
		}
	}
}

func TestFrontWithoutRulesChangesNothing(t *testing.T) {
	b := newBehind(t)
	events, err := b.api.CoreV1().ConfigMaps(b.ns).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=a"})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	for i, want := range []watch.EventType{watch.Added, watch.Modified} {
		if err := b.put(t.Context(), "a", strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-events.ResultChan():
			if m, ok := e.Object.(*corev1.ConfigMap); e.Type != want || !ok || m.Data["v"] != strconv.Itoa(i) {
				t.Errorf("the watch brings %v, want %s", e, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the watch brings nothing after write %d", i)
		}
	}
	got := b.proxy.Requests().Of("configmaps").Count()
	if want := map[string]int{"watch configmaps": 1, "patch configmaps": 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("the log counts %v, want %v", got, want)
	}
	if _, err := clientOf(t, b.proxy.Restricted()).CoreV1().Pods(b.ns).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the restricted user's list: %v, want Forbidden", err)
	}
}

func TestKubeconfigOfAFrontLeadsThroughItInEveryCluster(t *testing.T) {
	front := lab.Shared(t).Faults(t)
	front.Add(faults.Status(http.StatusTeapot))
	for _, path := range []string{front.Kubeconfig(), front.RestrictedKubeconfig()} {
		kubeconfig, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, cluster := range front.Clusters() {
			config, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, cluster, nil, nil).ClientConfig()
			if err != nil {
				t.Fatal(err)
			}
			_, err = clientOf(t, config).Discovery().ServerVersion()
			if status, ok := errors.AsType[*apierrors.StatusError](err); !ok || status.Status().Code != http.StatusTeapot {
				t.Errorf("%s by %s: %v, want the rule's answer", cluster, path, err)
			}
			if _, err := front.Proxy(cluster).Client().Discovery().ServerVersion(); err != nil {
				t.Errorf("%s past the proxy: %v", cluster, err)
			}
		}
	}
}

func TestRulesOfOneFrontDoNotReachAnother(t *testing.T) {
	b, other := newBehind(t), lab.Shared(t).Faults(t)
	other.Proxy(b.proxy.Cluster()).RefuseAll(http.StatusInternalServerError)
	if err := b.put(t.Context(), "a", "1"); err != nil {
		t.Error(err)
	}
	if n := len(other.Requests()); n != 0 {
		t.Errorf("the other front logs %d requests", n)
	}
}

func TestLostAnswerLeavesTheObjectWritten(t *testing.T) {
	b := newBehind(t)
	lost := b.proxy.LoseWrites("configmaps", 1)
	if err := b.put(t.Context(), "a", "1"); err == nil {
		t.Error("the lost write succeeded")
	}
	b.want("a", "1")
	if got := lost.Applied(); got != 1 {
		t.Errorf("the rule applied %d times, want 1", got)
	}
	if q := b.proxy.Requests().Of("configmaps"); len(q) != 1 || q[0].Backend != http.StatusCreated || q[0].Status != 0 {
		t.Errorf("the log has %+v, want a 201 that was not sent", q)
	}
	if err := b.put(t.Context(), "a", "2"); err != nil {
		t.Errorf("the next write: %v", err)
	}
}

func TestDroppedRequestWritesNothing(t *testing.T) {
	b := newBehind(t)
	b.proxy.Add(faults.Rule{Method: "PATCH", Body: `"name":"a"`, Action: faults.Drop, Connection: true})
	if err := b.put(t.Context(), "a", "1"); err == nil {
		t.Error("the dropped write succeeded")
	}
	if _, err := b.get("a"); !apierrors.IsNotFound(err) {
		t.Errorf("past the proxy: %v, want NotFound", err)
	}
	b.answers()
	if err := b.put(t.Context(), "b", "1"); err != nil {
		t.Errorf("another object: %v", err)
	}
}

func TestHangingWriteEndsWithItsRule(t *testing.T) {
	b := newBehind(t)
	hang := b.proxy.HangWrites("configmaps")
	written := make(chan error, 1) // the writer ends even if nobody receives
	go func() { written <- b.put(t.Context(), "a", "1") }()
	hang.Await(1)
	if _, err := b.get("a"); !apierrors.IsNotFound(err) {
		t.Errorf("past the proxy: %v, want NotFound", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.put(ctx, "b", "1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write with 100 ms of patience: %v, want the deadline", err)
	}
	if _, err := b.api.CoreV1().ConfigMaps(b.ns).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("a list during the hang: %v", err)
	}
	hang.Remove()
	if err := <-written; err != nil {
		t.Errorf("after the hang: %v", err)
	}
	b.want("a", "1")
	if _, err := b.get("b"); !apierrors.IsNotFound(err) {
		t.Errorf("the write that the client gave up: %v, want NotFound", err)
	}
}

func TestRefusalsLookLikeThoseOfAnAPIServer(t *testing.T) {
	b := newBehind(t)
	for name, c := range map[string]struct {
		deny func(string) *lab.Rule
		is   func(error) bool
		want string
	}{
		"policy":  {b.proxy.DenyByPolicy, apierrors.IsInvalid, `configmaps "a" is forbidden: ValidatingAdmissionPolicy`},
		"webhook": {b.proxy.DenyByWebhook, apierrors.IsBadRequest, "denied the request"},
		"broken":  {b.proxy.BreakWebhook, apierrors.IsInternalError, "failed calling webhook"},
		"quota":   {b.proxy.DenyByQuota, apierrors.IsForbidden, "exceeded quota"},
	} {
		rule := c.deny("configmaps")
		if err := b.put(t.Context(), "a", "1"); !c.is(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.api.CoreV1().Secrets(b.ns).List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Errorf("%s: another resource: %v", name, err)
		}
		rule.Remove()
	}
	if err := b.put(t.Context(), "a", "1"); err != nil {
		t.Errorf("without rules: %v", err)
	}
}

func TestWatchesExpire(t *testing.T) {
	b := newBehind(t)
	for name, expire := range map[string]func() *lab.Rule{
		"before they begin":       b.proxy.ExpireWatches,
		"as soon as they did":     b.proxy.ExpireRunningWatches,
		"with all other requests": func() *lab.Rule { return b.proxy.RefuseAll(http.StatusGone) },
	} {
		rule := expire()
		events, err := b.api.CoreV1().ConfigMaps(b.ns).Watch(t.Context(), metav1.ListOptions{})
		if err == nil {
			select {
			case e := <-events.ResultChan():
				err = apierrors.FromObject(e.Object)
			case <-time.After(20 * time.Second):
				t.Errorf("%s: no event", name)
			}
			events.Stop()
		}
		if !apierrors.IsResourceExpired(err) {
			t.Errorf("%s: %v, want Expired", name, err)
		}
		if err := b.api.Discovery().RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error(); err != nil {
			t.Errorf("%s: /readyz: %v", name, err)
		}
		rule.Remove()
	}
}

func TestCutClusterIsBackWithTheEndOfTheRule(t *testing.T) {
	b := newBehind(t)
	events, err := b.api.CoreV1().ConfigMaps(b.ns).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=a"})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	cut := b.proxy.Cut()
	if err := b.put(t.Context(), "a", "1"); err == nil {
		t.Error("a cut cluster answers")
	}
	if e, ok := <-events.ResultChan(); ok && e.Type != watch.Error {
		t.Errorf("the watch brings %v, want its end", e)
	}
	cut.Remove()
	b.answers()
}

func resourceVersion(t *testing.T, of string) int {
	t.Helper()
	n, err := strconv.Atoi(of)
	if err != nil {
		t.Fatalf("resourceVersion: %v", err)
	}
	return n
}

func TestRestoredClusterHasTheObjectsAndResourceVersionsOfThen(t *testing.T) {
	b := newBehind(t)
	list := func() int {
		t.Helper()
		maps, err := b.api.CoreV1().ConfigMaps(b.ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return resourceVersion(t, maps.ResourceVersion)
	}
	for _, name := range []string{"kept", "changed", "deleted"} {
		if err := b.put(t.Context(), name, "then"); err != nil {
			t.Fatal(err)
		}
	}
	then := b.want("changed", "then")
	backup := b.front.Backup()
	for _, name := range []string{"changed", "new"} {
		if err := b.put(t.Context(), name, "later"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.api.CoreV1().ConfigMaps(b.ns).Delete(t.Context(), "deleted", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.proxy.Advance(200)
	later := b.want("changed", "later")
	before := list()
	events, err := b.api.CoreV1().ConfigMaps(b.ns).Watch(t.Context(), metav1.ListOptions{ResourceVersion: strconv.Itoa(before)})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()

	b.proxy.Restore(backup)
	select {
	case e, ok := <-events.ResultChan():
		if ok && e.Type != watch.Error {
			t.Errorf("the watch brings %v, want its end", e)
		}
	case <-time.After(20 * time.Second):
		t.Error("the watch of the old control plane goes on")
	}
	b.answers()
	if after := list(); after >= before {
		t.Errorf("the list has resourceVersion %d after the restore and %d before, want a lower one", after, before)
	}
	b.want("kept", "then")
	b.want("deleted", "then")
	got := b.want("changed", "then")
	if got.UID != then.UID || got.ResourceVersion != then.ResourceVersion || resourceVersion(t, got.ResourceVersion) >= resourceVersion(t, later.ResourceVersion) {
		t.Errorf("the object has uid %s and resourceVersion %s, want %s and %s as at the backup", got.UID, got.ResourceVersion, then.UID, then.ResourceVersion)
	}
	if _, err := b.get("new"); !apierrors.IsNotFound(err) {
		t.Errorf("the object created after the backup: %v, want NotFound", err)
	}
	if err := b.put(t.Context(), "kept", "after"); err != nil {
		t.Errorf("write after the restore: %v", err)
	}
	if shared, err := lab.Shared(t).Client(t, b.proxy.Cluster()).CoreV1().ConfigMaps(b.ns).Get(t.Context(), "kept", metav1.GetOptions{}); err != nil || shared.Data["v"] != "then" {
		t.Errorf("the shared cluster has %v, %v, want it unchanged", shared.Data, err)
	}

	b.proxy.Return()
	b.answers()
	b.want("changed", "later")
}

func TestRestoredClusterRunsPods(t *testing.T) {
	b := newBehind(t)
	b.proxy.Restore(b.front.Backup())
	b.answers()
	_, err := b.api.CoreV1().Pods(b.ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := b.api.CoreV1().Pods(b.ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer pods.Stop()
	for limit := time.After(60 * time.Second); ; {
		select {
		case e := <-pods.ResultChan():
			if pod, ok := e.Object.(*corev1.Pod); ok && pod.Status.Phase == corev1.PodRunning {
				return
			}
		case <-limit:
			t.Fatal("the pod does not run")
		}
	}
}

func TestRebuiltClusterIsAnotherBehindTheSameAddress(t *testing.T) {
	b := newBehind(t)
	kubeSystem := func() *corev1.Namespace {
		t.Helper()
		ns, err := b.api.CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return ns
	}
	before := kubeSystem()
	b.proxy.Rebuild()
	b.answers()
	if after := kubeSystem(); after.UID == before.UID {
		t.Error("kube-system has the same uid as before the rebuild")
	}
	if _, err := b.api.CoreV1().Namespaces().Get(t.Context(), b.ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace from before the rebuild: %v, want NotFound", err)
	}
}

// Every field reaches the sandbox, which refuses unknown fields.
func TestRuleIsSpelledAsTheSandboxSpellsIt(t *testing.T) {
	front := lab.Shared(t).Faults(t)
	all := faults.Rule{
		Cluster: front.Clusters()[0], Method: "GET", Path: "x", Query: "a=b", Body: "y", Skip: 1, Count: 2,
		Action: faults.Answer, Delay: time.Second, AnswerDelay: time.Minute,
		Status: 500, Header: map[string]string{"A": "B"}, Content: "c", Reason: "r", Message: "m",
		Bytes: 3, Connection: true,
	}
	v := reflect.ValueOf(all)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("this test does not set the field %s", v.Type().Field(i).Name)
		}
	}
	front.Add(all)
	for _, action := range []faults.Action{faults.Forward, faults.Hang, faults.Withhold, faults.Lose, faults.Drop, faults.Truncate} {
		front.Add(faults.Rule{Action: action})
	}
	front.RemoveAll()
}
