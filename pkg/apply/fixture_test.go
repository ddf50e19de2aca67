package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/apply/agenda"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/standing"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

var (
	deployments     = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	replicaSets     = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	ingresses       = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
	priorityClasses = schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses"}
)

// patience is how long a test waits for an event.
const patience = 20 * time.Second

// fixture is one cluster with a namespace and a federation of its own, and an Applier
// with the watches that feed it.
type fixture struct {
	*testing.T
	sandbox    *lab.Sandbox
	cluster    string
	namespace  string
	federation string
	admin      dynamic.Interface

	*Applier
	config   *rest.Config
	counter  *counter
	plan     federation.ClusterPlan
	stop     func()
	seen     chan struct{} // has room for one wake-up
	watched  map[schema.GroupVersionResource]bool
	ctx      context.Context // of the Applier
	running  *sync.WaitGroup
	watching context.Context // of the watches
	watches  *sync.WaitGroup
	blind    func() // ends them

	open        atomic.Bool  // the Applier may write
	overwritten atomic.Int32 // how often the claim was doubted
	revisions   int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	s := lab.Shared(t)
	f := &fixture{T: t, sandbox: s, cluster: s.Clusters()[0], namespace: s.Namespace(t), seen: make(chan struct{}, 1)}
	f.federation = f.namespace
	f.admin = s.Dynamic(t, f.cluster)
	f.config = s.RESTConfig(f.cluster)
	t.Cleanup(func() {
		if f.stop != nil {
			f.stop()
		}
		ctx := context.WithoutCancel(t.Context())
		for _, gvr := range []schema.GroupVersionResource{object.ConfigMaps, object.Secrets} {
			err := f.admin.Resource(gvr).Namespace(federation.SystemNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: inventory.ParentSelector(f.federation)})
			if err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
	})
	f.start("one")
	return f
}

// start drops the current Applier, if any, and starts another one like a starting
// daemon. The watches start with the first sync.
func (f *fixture) start(instance string, change ...func(*Options)) {
	f.Helper()
	if f.stop != nil {
		f.stop()
	}
	ctx, cancel := context.WithCancel(f.Context())
	watching, blind := context.WithCancel(ctx)
	var watches, running sync.WaitGroup
	f.ctx, f.running, f.watching, f.watches = ctx, &running, watching, &watches
	f.blind = func() {
		blind()
		watches.Wait()
	}
	f.stop = sync.OnceFunc(func() {
		cancel()
		watches.Wait()
		running.Wait()
	})
	f.Applier, f.counter = f.newApplier(instance, change...)
	f.watched = map[schema.GroupVersionResource]bool{}
	f.open.Store(false)
	a := f.Applier
	f.followNamespaces()
	list, err := a.writer.ReadParents(ctx)
	if err != nil {
		f.Fatalf("read the parents: %v", err)
	}
	a.WithState(func(t *state.State) {
		for app, p := range list {
			t.TakeParent(t.App(app), p)
		}
	})
	a.ParentsListed(true, nil)
	running.Go(func() { a.Run(ctx) })
}

var errNotWatched = apierrors.NewForbidden(schema.GroupResource{Resource: "tests"}, "", errors.New("not watched"))

// Result is the outcome of one Apply.
type Result struct {
	standing.Standing

	Findings []federation.Finding // and the notes
}

// Apply makes the Applier match the cluster to a plan, until nothing more is due now.
// It does not wait for kinds that are not watched. After it, nothing is written.
func (f *fixture) Apply(plan federation.ClusterPlan) Result {
	f.Helper()
	f.revisions++
	plan.Revision = federation.Revision{Ref: "main", SHA: fmt.Sprintf("%040d", f.revisions)}
	f.Want(plan)
	return f.settle()
}

// settle makes the Applier do what is due now.
func (f *fixture) settle() Result {
	f.Helper()
	f.open.Store(true)
	f.Wake()
	f.until("nothing is due", func() bool {
		f.unwatched()
		done := true
		f.WithState(func(t *state.State) {
			t.EachFlight(func(*state.Flight) { done = false })
			due := agenda.At(t, time.Now())
			done = done && len(due.Tasks) == 0 && due.Calm
		})
		return done
	})
	s := f.Standing(time.Now())
	f.open.Store(false)
	return Result{Standing: s, Findings: slices.Concat(s.Findings, s.Own, s.Notes)}
}

func (f *fixture) unwatched() {
	for _, gvr := range f.Resources() {
		if !f.watched[gvr] {
			f.Unlisted(gvr, errNotWatched)
		}
	}
}

// now returns the current standing.
func (f *fixture) now() standing.Standing { return f.Standing(time.Now()) }

// dueAt returns the objects that have to be written at a time, if nothing changes until
// then.
func (f *fixture) dueAt(at time.Time) []federation.ObjectRef {
	var out []federation.ObjectRef
	f.WithState(func(t *state.State) {
		for _, x := range agenda.At(t, at).Tasks {
			if x.Row != nil {
				out = append(out, x.Row.Ref)
			}
		}
	})
	return out
}

// due returns the objects that have to be written now.
func (f *fixture) due() []federation.ObjectRef { return f.dueAt(time.Now()) }

func (f *fixture) newApplier(instance string, change ...func(*Options)) (*Applier, *counter) {
	f.Helper()
	count := &counter{}
	config := rest.CopyConfig(f.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { count.next = next; return count })
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		f.Fatal(err)
	}
	found, err := discovery.NewDiscoveryClientForConfig(f.config)
	if err != nil {
		f.Fatal(err)
	}
	o := Options{
		Cluster: f.cluster, Federation: f.federation, Source: "source-1", Instance: instance, Version: "v0.0.1",
		Client: client, Mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found)),
		MayWrite: f.open.Load, Changed: f.look, Overwritten: func() { f.overwritten.Add(1) },
		Log: zaptest.NewLogger(f.T, zaptest.Level(zap.WarnLevel)),
	}
	for _, c := range change {
		c(&o)
	}
	return New(o), count
}

// look wakes until.
func (f *fixture) look() {
	select {
	case f.seen <- struct{}{}:
	default: // it is awake
	}
}

// app plans one app with these manifests.
func (f *fixture) app(name string, manifests ...string) federation.AppPlan {
	f.Helper()
	return federation.AppPlan{App: name, Objects: f.objects(name, manifests...), Adoption: federation.AdoptAlways, Prune: federation.PruneAllowed}
}

func (f *fixture) objects(app string, manifests ...string) []*federation.Object {
	f.Helper()
	var out []*federation.Object
	for _, text := range manifests {
		for doc := range strings.SplitSeq(text, "\n---\n") {
			content := map[string]any{}
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(doc, "NAMESPACE", f.namespace)), &content); err != nil {
				f.Fatalf("manifest: %v\n%s", err, doc)
			}
			o, err := federation.NewObject(content, "apps/"+app+"/all.yaml")
			if err != nil {
				f.Fatal(err)
			}
			out = append(out, o)
		}
	}
	return out
}

// sync starts the watches that the plan needs, and applies it.
func (f *fixture) sync(apps ...federation.AppPlan) Result {
	f.Helper()
	f.plan = federation.ClusterPlan{Cluster: f.cluster, Apps: apps}
	f.learnKinds()
	f.watch()
	f.counter.reset()
	r := f.Apply(f.plan)
	f.watch()
	return r
}

// mustSync is sync for plans that must succeed.
func (f *fixture) mustSync(apps ...federation.AppPlan) Result {
	f.Helper()
	r := f.sync(apps...)
	if !r.Complete {
		f.Fatalf("Apply is not complete: changes %v\nfindings %v", describeChanges(r.Changes), r.Findings)
	}
	return r
}

// learnKinds finds out what to watch for the plan.
func (f *fixture) learnKinds() {
	f.Helper()
	f.Want(f.plan)
	f.until("it is known how all kinds are served", f.KindsKnown)
}

// watch starts the missing watches, and returns when their lists have been observed.
func (f *fixture) watch() {
	f.Helper()
	if !f.watched[object.ConfigMaps.GroupResource().WithVersion("parents")] {
		f.watched[object.ConfigMaps.GroupResource().WithVersion("parents")] = true
		f.follow(object.ConfigMaps, federation.SystemNamespace, inventory.ParentSelector(f.federation))
	}
	for _, gvr := range f.Resources() {
		if !f.watched[gvr] {
			f.watched[gvr] = true
			f.follow(gvr, "", inventory.LabelPartOf)
			f.Listed(gvr, nil)
		}
	}
}

// followNamespaces watches all namespaces.
func (f *fixture) followNamespaces() {
	f.Helper()
	a, ctx := f.Applier, f.watching
	list, err := f.admin.Resource(object.Namespaces).List(ctx, metav1.ListOptions{})
	if err != nil {
		f.Fatalf("list the namespaces: %v", err)
	}
	for i := range list.Items {
		a.ObserveNamespace(&list.Items[i], false)
	}
	a.NamespacesListed(true, nil, nil)
	w, err := f.admin.Resource(object.Namespaces).Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		f.Fatalf("watch the namespaces: %v", err)
	}
	f.watches.Go(func() {
		defer w.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event, ok := <-w.ResultChan():
				if !ok {
					return
				}
				if u, ok := event.Object.(*unstructured.Unstructured); ok {
					a.ObserveNamespace(u, event.Type == watch.Deleted)
					f.look()
				}
			}
		}
	})
}

func (f *fixture) follow(gvr schema.GroupVersionResource, namespace, selector string) {
	f.Helper()
	a, ctx := f.Applier, f.watching
	objects := f.admin.Resource(gvr).Namespace(namespace)
	list, err := objects.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		f.Fatalf("list %s: %v", gvr.Resource, err)
	}
	for i := range list.Items {
		a.Observe(object.Event{Resource: gvr, Object: &list.Items[i]})
	}
	w, err := objects.Watch(ctx, metav1.ListOptions{LabelSelector: selector, ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		f.Fatalf("watch %s: %v", gvr.Resource, err)
	}
	f.watches.Go(func() {
		defer w.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event, ok := <-w.ResultChan():
				if !ok {
					return
				}
				u, ok := event.Object.(*unstructured.Unstructured)
				if !ok {
					continue
				}
				a.Observe(object.Event{Resource: gvr, Object: u, Deleted: event.Type == watch.Deleted})
				f.look()
			}
		}
	})
}

// until waits, from event to event, for a condition.
func (f *fixture) until(what string, ok func() bool) {
	f.Helper()
	f.untilWithin(patience, what, ok)
}

func (f *fixture) untilWithin(patience time.Duration, what string, ok func() bool) {
	f.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond) // for what causes no event of ours
	defer tick.Stop()
	for !ok() {
		select {
		case <-f.seen:
		case <-tick.C:
		case <-deadline.C:
			f.Fatalf("waited in vain: %s", what)
		}
	}
}

// repair waits until something is due, and repairs it.
func (f *fixture) repair() []federation.Change {
	f.Helper()
	f.until("an object is due for repair", func() bool { return len(f.due()) > 0 })
	f.counter.reset()
	f.WithState(func(t *state.State) { clear(t.Changes) })
	return f.settle().Changes
}

func (f *fixture) get(gvr schema.GroupVersionResource, name string) *unstructured.Unstructured {
	f.Helper()
	u, err := f.admin.Resource(gvr).Namespace(f.namespace).Get(f.Context(), name, metav1.GetOptions{})
	if err != nil {
		f.Fatalf("get %s %s: %v", gvr.Resource, name, err)
	}
	return u
}

func (f *fixture) exists(gvr schema.GroupVersionResource, name string) bool {
	f.Helper()
	u, err := f.admin.Resource(gvr).Namespace(f.namespace).Get(f.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		f.Fatalf("get %s %s: %v", gvr.Resource, name, err)
	}
	return err == nil && u.GetDeletionTimestamp() == nil
}

// parent returns the parent of the app web.
func (f *fixture) parent() *unstructured.Unstructured {
	f.Helper()
	u, err := f.admin.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Get(f.Context(), inventory.ParentName(f.federation, "web"), metav1.GetOptions{})
	if err != nil {
		f.Fatalf("get the parent of web: %v", err)
	}
	return u
}

// patchAs changes an object as another client.
func (f *fixture) patchAs(who string, gvr schema.GroupVersionResource, name, patch string, subresources ...string) *unstructured.Unstructured {
	f.Helper()
	u, err := f.admin.Resource(gvr).Namespace(f.namespace).Patch(f.Context(), name, types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: who}, subresources...)
	if err != nil {
		f.Fatalf("patch %s %s: %v", gvr.Resource, name, err)
	}
	return u
}

// create creates an object as another client.
func (f *fixture) create(who, manifest string) *unstructured.Unstructured {
	f.Helper()
	o := f.objects("foreign", manifest)[0]
	mapping, err := f.writer.Mapping(f.Context(), o.Ref.GroupKind(), o.Version)
	if err != nil {
		f.Fatal(err)
	}
	u, err := f.admin.Resource(mapping.Resource).Namespace(o.Ref.Namespace).Create(f.Context(), o.Unstructured(), metav1.CreateOptions{FieldManager: who})
	if err != nil {
		f.Fatalf("create %s: %v", o.Ref, err)
	}
	return u
}

func (f *fixture) wantFinding(findings []federation.Finding, id, text string) federation.Finding {
	f.Helper()
	for _, x := range findings {
		if x.ID == id && strings.Contains(x.Message.String(), text) {
			return x
		}
	}
	f.Fatalf("findings = %v, want one with ID %s that contains %q", findings, id, text)
	return federation.Finding{}
}

// describeChanges returns "created Service/default/nginx" and so on.
func describeChanges(changes []federation.Change) []string {
	var out []string
	for _, c := range changes {
		text := string(c.Action) + " " + c.Object.Kind + "/" + c.Object.Name
		if !c.Drift.IsZero() {
			text += " (" + c.Drift.String() + ")"
		}
		if c.Err != nil {
			text += ": " + c.Err.Error()
		}
		out = append(out, text)
	}
	return out
}

func (f *fixture) wantChanges(got []federation.Change, want ...string) {
	f.Helper()
	if texts := describeChanges(got); !slices.Equal(texts, want) {
		f.Errorf("changes\n got %q\nwant %q", texts, want)
	}
}

func (f *fixture) wantRequests(want ...string) {
	f.Helper()
	if got := f.counter.requests(); !slices.Equal(got, want) {
		f.Errorf("requests\n got %q\nwant %q", got, want)
	}
}

// counter records every request except those of watches, as "PATCH services/nginx".
type counter struct {
	next http.RoundTripper
	mu   sync.Mutex // protects all
	all  []string
	fail func(*http.Request) error                                             // before the request is made; may be nil
	in   func(r *http.Request, next http.RoundTripper) (*http.Response, error) // makes the request; may be nil
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	c.mu.Lock()
	c.all = append(c.all, r.Method+" "+strings.Join(parts[len(parts)-min(2, len(parts)):], "/"))
	fail, in := c.fail, c.in
	c.mu.Unlock()
	if fail != nil {
		if err := fail(r); err != nil {
			return nil, err
		}
	}
	if in != nil {
		return in(r, c.next)
	}
	return c.next.RoundTrip(r)
}

// between makes f handle the requests; nil ends that.
func (c *counter) between(f func(r *http.Request, next http.RoundTripper) (*http.Response, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = f
}

// forbidden is the API server's answer to an unauthorized user.
func forbidden(r *http.Request) *http.Response {
	body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"user cannot do this"}`
	return &http.Response{
		StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

func (c *counter) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = nil
}

func (c *counter) failWith(f func(*http.Request) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = f
}

var listAll = metav1.ListOptions{}

var errCut = errors.New("the applier was killed here")

const nginx = `
apiVersion: v1
kind: Service
metadata: {name: nginx, namespace: NAMESPACE, labels: {app: nginx}}
spec:
  selector: {app: nginx}
  ports:
  - {name: http, port: 80, targetPort: 8080}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: nginx, namespace: NAMESPACE}
spec:
  replicas: 1
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}}
    spec:
      containers:
      - name: nginx
        image: nginx:1.29
        args: ["-g", "daemon off;"]
        env: [{name: MODE, value: plain}]
        ports: [{containerPort: 8080}]
        resources: {requests: {cpu: 1000m, memory: 0.5Gi}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: nginx, namespace: NAMESPACE, annotations: {team: web}}
spec:
  defaultBackend: {service: {name: nginx, port: {number: 80}}}`
