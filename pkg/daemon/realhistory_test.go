package daemon

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	admissionreviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/history"
	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/lab/faults"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

var realHistories = flag.Int("real", 1, "how many histories are played on real clusters")

// This is [TestARestartChangesNothing] in real time, with a real repository and on real
// clusters. Policies, webhooks, quotas and permissions are real, backups are those of etcd,
// and proxies act as faulty networks and API servers. The long form plays many histories,
// with half the time limits.
func TestARestartChangesNothingOnRealClusters(t *testing.T) {
	t.Parallel() // it waits more than it works
	within := 2 * convergesWithin
	if os.Getenv(longTests) != "" {
		within = convergesWithin
	}
	playSeeds(t, *realHistories, func(t *testing.T, seed uint64) (played history.History, wrong string, took time.Duration) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newRealWorld(t, seed, within)
			played = w.campaign.history
			wrong, took = w.campaign.live()
			t.Logf("%v\nconverged %s after its last fault", played, took)
		})
		return played, wrong, took
	})
}

// realWorld is a federation of real clusters in which a history happens.
type realWorld struct {
	*world

	campaign *campaign
	files    map[string]bool // in the newest commit
}

func newRealWorld(t *testing.T, seed uint64, within time.Duration) *realWorld {
	t.Helper()
	w := &realWorld{world: faultyWorld(t), files: map[string]bool{}}
	w.cfg.RequestTimeout = 5 * time.Second // so that some faults last longer
	w.cfg.ProbeTimeout = 2 * time.Second
	w.cfg.StatusDeadline = 15 * time.Second
	w.grace = 3 * time.Second
	w.campaign = &campaign{
		ground: w, ctx: t.Context(), clusters: map[string]history.Cluster{}, namespace: w.namespace,
		history: history.New(seed, history.Options{
			Clusters: w.sandbox.Clusters(),
			Events:   24, Length: 20 * time.Second, Fault: 8 * time.Second, Backup: 10 * time.Second,
			Namespace: w.namespace, NodePort: w.sandbox.FreeNodePorts(t, 3),
		}),
		within: within, rests: w.cfg.StatusDeadline + w.grace, steady: 5 * time.Second, agrees: time.Minute,
	}
	hooks := newWebhooks(t)
	for _, name := range w.sandbox.Clusters() {
		c := &realCluster{
			world: w.world, proxy: w.front.Proxy(name), hooks: hooks,
			rules: map[int]*lab.Rule{}, backups: map[int]lab.Backup{},
		}
		w.impersonate(name)
		c.role(name, c.rights()...)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
			defer cancel()
			c.refuse(ctx, w.sandbox.Dynamic(t, name), nil)
		})
		w.campaign.clusters[name] = c
	}
	return w
}

// start implements [ground].
func (w *realWorld) start(string) *lived {
	w.t.Helper()
	one := &lived{campaign: w.campaign}
	w.watch = func(l *loop) {
		one.loop = l
		l.onReport = one.show
	}
	one.stop = w.world.start().stop
	return one
}

// push implements [ground].
func (w *realWorld) push(e history.Event) string {
	w.t.Helper()
	files := map[string]string{}
	var apps []string
	for file := range w.files {
		files[file] = sourcetest.Removed
	}
	clear(w.files)
	for _, app := range history.Apps {
		file := "apps/" + app + "/all.yaml"
		if content, ok := e.Files[file]; ok {
			apps = append(apps, app)
			files[file], w.files[file] = content, true
		}
	}
	files["fedsync.yaml"] = w.file(apps...)
	return w.repo.Push(fmt.Sprint("number ", e.Number), files)
}

// spoil implements [ground].
func (w *realWorld) spoil() {
	w.t.Helper()
	good, err := os.ReadFile(filepath.Join(w.repo.Work, federation.FileName))
	if err != nil {
		w.t.Fatal(err)
	}
	w.repo.Push("broken", map[string]string{federation.FileName: string(good) + "  oops: 1\n"})
}

// reach implements [ground].
func (w *realWorld) reach(cluster string) (dynamic.Interface, error) { return w.dynamic(cluster), nil }

// wait implements [ground].
func (w *realWorld) wait(d time.Duration) { <-time.After(d) }

// forget implements [ground].
func (w *realWorld) forget() {
	// The log shows that faults were met.
	w.t.Logf("requests that write, by status: %v", answers(w.front.Requests().Writes()))
	w.front.ClearRequests()
}

// writes implements [ground].
func (w *realWorld) writes() string {
	var b strings.Builder
	for _, r := range w.front.Requests().Writes() {
		if !strings.Contains(r.Resource, "reviews.") {
			fmt.Fprintf(&b, "%s: %s %s %d\n", r.Cluster, r.Method, r.Path, r.Status)
		}
	}
	return b.String()
}

// realCluster is a cluster of the sandbox in which a history happens. Its API server
// refuses requests of the daemon only.
type realCluster struct {
	*world

	proxy    *lab.Proxy
	hooks    *webhooks
	faults   []history.Event   // in force now
	rules    map[int]*lab.Rule // by the number of the fault
	restored bool
	newest   lab.Backup
	backups  map[int]lab.Backup
}

// Backup implements [history.Cluster]. The sandbox backs up the original cluster and not a
// restored one, so a restored cluster is restored again from the original's backup.
func (c *realCluster) Backup(number int) {
	if !c.restored {
		c.newest = c.front.Backup()
	}
	c.backups[number] = c.newest
}

// Restore implements [history.Cluster].
func (c *realCluster) Restore(number int) {
	c.t.Helper()
	c.proxy.Advance(300) // so that what is restored has lower resourceVersions
	c.proxy.Restore(c.backups[number])
	c.restored = true
	c.suffer() // the backup contains the policies, webhooks and quotas of its time
}

// Edit implements [history.Cluster].
func (c *realCluster) Edit(e history.Change) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	objects := c.proxy.Dynamic().Resource(plural(e.Resource)).Namespace(c.namespace)
	if e.Patch == "" {
		_ = objects.Delete(ctx, e.Name, metav1.DeleteOptions{}) // it may not exist
		return
	}
	var sub []string
	if e.Scale {
		sub = []string{"scale"}
	}
	_, _ = objects.Patch(ctx, e.Name, types.MergePatchType, []byte(e.Patch), metav1.PatchOptions{FieldManager: history.ByHand}, sub...) // nor here
}

// plural returns the resource with a plural name.
func plural(name string) schema.GroupVersionResource {
	for _, r := range kinds {
		if r.Resource == name {
			return r
		}
	}
	panic("no resource " + name)
}

// Suffer implements [history.Cluster].
func (c *realCluster) Suffer(all []history.Event) {
	c.t.Helper()
	c.faults = all
	c.suffer()
}

func (c *realCluster) suffer() {
	c.t.Helper()
	lasting := map[int]bool{}
	for _, e := range c.faults {
		lasting[e.Number] = true
		if c.rules[e.Number] == nil {
			if rule := c.rule(e); rule != nil {
				c.rules[e.Number] = rule
			}
		}
	}
	for number, rule := range c.rules {
		if !lasting[number] {
			rule.Remove()
			delete(c.rules, number)
		}
	}
	c.role(c.proxy.Cluster(), c.rights()...)
	c.refuse(c.t.Context(), c.proxy.Dynamic(), c.faults)
}

// rule adds the proxy's rule for a fault and returns it; nil for faults of the API server
// itself.
func (c *realCluster) rule(e history.Event) *lab.Rule {
	c.t.Helper()
	const writing = "POST|PUT|PATCH|DELETE"
	switch e.Kind { //nolint:exhaustive // the API server itself has the other faults
	case history.Refuse:
		return c.proxy.Cut()
	case history.Hang:
		rule := c.proxy.Add(faults.Rule{Action: faults.Hang})
		c.proxy.Disconnect()
		return rule
	case history.Throttled:
		return c.proxy.Throttle(1)
	case history.ServerError:
		failed := faults.Status(http.StatusInternalServerError)
		failed.Message = "etcdserver: request timed out"
		return c.proxy.Add(failed, faults.Rule{Path: "^/readyz$", Action: faults.Forward})
	case history.Hanging:
		return c.proxy.Add(faults.Rule{Method: writing, Path: faults.Resource(plural(e.Resource).GroupResource().String()), Action: faults.Hang})
	case history.LostAnswers:
		return c.proxy.Add(faults.Rule{Method: writing, Action: faults.Lose})
	}
	return nil
}

// rights returns all permissions that a daemon needs, except for those that are revoked
// now.
func (c *realCluster) rights() []right {
	look := []string{"get", "list", "watch"}
	all := []right{
		rule("leases.coordination.k8s.io", "*"), rule("secrets", "*"), rule("namespaces", "*"),
		rule("pods", look...), rule("nodes", look...), rule("resourcequotas", look...),
		rule("endpointslices.discovery.k8s.io", look...), rule("deployments.apps", look...),
		rule("customresourcedefinitions.apiextensions.k8s.io", look...),
	}
	for _, r := range kinds {
		taken := slices.ContainsFunc(c.faults, func(e history.Event) bool {
			return e.Kind == history.Forbidden && e.Resource == r.Resource
		})
		if !taken {
			all = append(all, rule(r.GroupResource().String(), "*"))
		}
	}
	return all
}

// The resources by which API servers refuse requests.
var (
	policiesResource = admissionv1.SchemeGroupVersion.WithResource("validatingadmissionpolicies")
	bindingsResource = admissionv1.SchemeGroupVersion.WithResource("validatingadmissionpolicybindings")
	webhooksResource = admissionv1.SchemeGroupVersion.WithResource("validatingwebhookconfigurations")
	quotasResource   = corev1.SchemeGroupVersion.WithResource("resourcequotas")
)

// historyLabel is the label with the namespace of the test, on policies, webhooks and
// quotas that it made.
const historyLabel = "example.com/history"

// refuse replaces the policies, webhooks and quotas of the test in a cluster by those of
// some faults.
func (c *realCluster) refuse(ctx context.Context, client dynamic.Interface, all []history.Event) {
	c.t.Helper()
	fail := func(err error) {
		c.t.Helper()
		if err != nil && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			c.t.Fatalf("refuse in %s: %v", c.proxy.Cluster(), err)
		}
	}
	in := func(r schema.GroupVersionResource) dynamic.ResourceInterface {
		if r == quotasResource {
			return client.Resource(r).Namespace(c.namespace)
		}
		return client.Resource(r)
	}
	wanted := map[string]bool{}
	for _, e := range all {
		wanted[c.refusal(e).Name] = true
		for r, object := range c.refusals(e) {
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
			fail(err)
			u := &unstructured.Unstructured{Object: content}
			u.SetAPIVersion(r.GroupVersion().String())
			u.SetKind(reflect.TypeOf(object).Elem().Name())
			_, err = in(r).Create(ctx, u, metav1.CreateOptions{})
			fail(err)
		}
	}
	for _, r := range []schema.GroupVersionResource{bindingsResource, policiesResource, webhooksResource, quotasResource} {
		there, err := in(r).List(ctx, metav1.ListOptions{LabelSelector: historyLabel + "=" + c.namespace})
		fail(err)
		for _, u := range there.Items {
			if !wanted[u.GetName()] {
				fail(in(r).Delete(ctx, u.GetName(), metav1.DeleteOptions{}))
			}
		}
	}
}

// refusal returns the metadata of a policy, webhook or quota.
func (c *realCluster) refusal(e history.Event) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:   fmt.Sprintf("%s-%d", c.namespace, e.Number),
		Labels: map[string]string{historyLabel: c.namespace},
	}
}

// refusals returns the policies, webhooks and quotas of a fault, by resource.
func (c *realCluster) refusals(e history.Event) map[schema.GroupVersionResource]any {
	meta := c.refusal(e)
	// All tests share the clusters.
	conditions := []admissionv1.MatchCondition{{Name: "daemon", Expression: fmt.Sprintf("request.userInfo.username == %q", c.namespace)}}
	rule := admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}}
	if e.Resource != "" {
		r := plural(e.Resource)
		rule.Rule = admissionv1.Rule{APIGroups: []string{r.Group}, APIVersions: []string{r.Version}, Resources: []string{r.Resource}}
	}
	switch e.Kind { //nolint:exhaustive // proxies and permissions implement the other faults
	case history.Policy:
		return map[schema.GroupVersionResource]any{
			policiesResource: &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicySpec{
				MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: rule}}},
				MatchConditions:  conditions,
				Validations:      []admissionv1.Validation{{Expression: "false", Message: "not now"}},
			}},
			bindingsResource: &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: meta.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			}},
		}
	case history.Webhook, history.WebhookDown, history.WebhookHang:
		return map[schema.GroupVersionResource]any{
			webhooksResource: &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionv1.ValidatingWebhook{{
				Name:                    fmt.Sprintf("number-%d.example.com", e.Number),
				ClientConfig:            c.hooks.client(e.Kind),
				TimeoutSeconds:          new(int32(3)),
				FailurePolicy:           new(admissionv1.Fail),
				SideEffects:             new(admissionv1.SideEffectClassNone),
				AdmissionReviewVersions: []string{"v1"},
				MatchConditions:         conditions,
				Rules:                   []admissionv1.RuleWithOperations{rule},
			}}},
		}
	case history.Quota:
		counted := corev1.ResourceName("count/" + plural(e.Resource).GroupResource().String())
		return map[schema.GroupVersionResource]any{
			quotasResource: &corev1.ResourceQuota{ObjectMeta: meta, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{counted: resource.MustParse("0")}}},
		}
	}
	return nil
}

// webhooks is a server of webhooks, some of which deny and some of which never answer.
type webhooks struct {
	server *httptest.Server
}

func newWebhooks(t *testing.T) *webhooks {
	t.Helper()
	ended := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/deny", func(w http.ResponseWriter, r *http.Request) {
		var review admissionreviewv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, fmt.Sprint("no review: ", err), http.StatusBadRequest)
			return
		}
		review.Response = &admissionreviewv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "not now"}}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review) // the client may have gone
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		close(ended)
		server.CloseClientConnections()
		server.Close()
	})
	return &webhooks{server}
}

// client returns the configuration with which API servers reach the webhook of a fault.
func (h *webhooks) client(kind history.Kind) admissionv1.WebhookClientConfig {
	c := admissionv1.WebhookClientConfig{
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw}),
	}
	switch kind { //nolint:exhaustive // there are no other kinds of webhooks
	case history.WebhookDown:
		c.URL = new("https://127.0.0.1:1/")
	case history.WebhookHang:
		c.URL = new(h.server.URL + "/hang")
	default:
		c.URL = new(h.server.URL + "/deny")
	}
	return c
}
