package apply

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/internal/raced"
	"github.com/fedsync/fedsync/pkg/apply/agenda"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/table"
	"github.com/fedsync/fedsync/pkg/federation"
)

// simulated is an Applier that works on a cluster in memory, in virtual time, with the
// watches that feed it.
type simulated struct {
	*testing.T
	*Applier
	store    *objectstore.Store
	somebody dynamic.Interface // another client of the cluster

	open      atomic.Bool // the Applier may write
	revisions int
	plan      federation.ClusterPlan
	stop      func()

	sparing    bool   // inventories are not refused
	blind      func() // ends the watches
	watchAgain func() // forgets the cluster and watches it again
}

// applierAgent is the User-Agent of the Applier's client, which distinguishes it from
// its watches.
const applierAgent = "applier"

func simulate(t *testing.T, seed uint64) *simulated {
	t.Helper()
	// client-go logs the faults that the tests cause, with a rate limit whose clock is
	// not the bubble's.
	utilruntime.ErrorHandlers = nil //nolint:reassign // the package's own way
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	s := &simulated{T: t, store: objectstore.New(objectstore.Options{Name: "asia", Seed: seed, NoWorkloads: true})}
	s.somebody = s.client("kubectl")
	s.open.Store(true)
	s.start()
	return s
}

// start starts the Applier like a starting daemon.
func (s *simulated) start() {
	s.Helper()
	t := s.T
	config := s.as(applierAgent)
	config.Timeout = 10 * time.Second
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Cluster: "asia", Federation: "web", Source: "source-1", Instance: "one", Version: "v0.0.1",
		Client: s.client(applierAgent), Mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found)),
		MayWrite: s.open.Load,
	}
	s.Applier = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Applier.Run(ctx) })
	s.watch(ctx)
	s.stop = sync.OnceFunc(func() {
		s.blind()
		cancel()
		running.Wait()
	})
	if s.revisions > 0 {
		s.Want(s.plan)
	}
}

// watch begins the watches, until blind is called.
func (s *simulated) watch(ctx context.Context) {
	watching, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.feed(watching, &running) })
	s.blind = func() {
		cancel()
		running.Wait()
	}
	s.watchAgain = func() {
		s.blind()
		s.Forget()
		s.watch(ctx)
	}
}

func (s *simulated) as(agent string) *rest.Config {
	c := s.store.Config()
	c.UserAgent = agent
	c.Transport = withoutRetries{s.store}
	return c
}

// withoutRetries keeps client-go from repeating requests by itself.
type withoutRetries struct{ next http.RoundTripper }

func (w withoutRetries) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r)
	if err == nil {
		answer.Header.Del("Retry-After") // the Status contains it, too
	}
	return answer, err
}

func (s *simulated) client(agent string) dynamic.Interface {
	s.Helper()
	c, err := dynamic.NewForConfig(s.as(agent))
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// feed watches what the Applier needs to see, as a member does.
func (s *simulated) feed(ctx context.Context, running *sync.WaitGroup) {
	client := s.client("watches")
	follow := func(gvr schema.GroupVersionResource, namespace, selector string, w watched) {
		running.Go(func() {
			objects := client.Resource(gvr).Namespace(namespace)
			for ctx.Err() == nil {
				err := s.followOnce(ctx, objects, selector, w)
				if ctx.Err() != nil {
					return
				}
				w.state(nil, err)
				select {
				case <-ctx.Done():
				case <-time.After(500 * time.Millisecond):
				}
			}
		})
	}
	follow(object.Namespaces, "", "", watched{
		event: func(u *unstructured.Unstructured, deleted bool) { s.ObserveNamespace(u, deleted) },
		state: func(l *table.Listing, err error) { s.NamespacesListed(l != nil, l, err) },
	})
	follow(definitions, "", "", watched{
		event: func(*unstructured.Unstructured, bool) { s.DefinitionsChanged() },
		state: func(*table.Listing, error) {},
	})
	follow(object.ConfigMaps, federation.SystemNamespace, inventory.ParentSelector("web"), watched{
		event: func(u *unstructured.Unstructured, deleted bool) {
			s.Observe(object.Event{Resource: object.ConfigMaps, Object: u, Deleted: deleted})
		},
		state: func(l *table.Listing, err error) {
			if l != nil {
				s.ParentsRead(l)
			} else {
				s.ParentsListed(false, err)
			}
		},
	})
	followed := map[schema.GroupVersionResource]bool{}
	for ctx.Err() == nil {
		for _, gvr := range s.Resources() {
			if !followed[gvr] {
				followed[gvr] = true
				follow(gvr, "", inventory.LabelPartOf, watched{
					event: func(u *unstructured.Unstructured, deleted bool) {
						s.Observe(object.Event{Resource: gvr, Object: u, Deleted: deleted})
					},
					state: func(l *table.Listing, err error) {
						if l != nil {
							s.Listed(gvr, l)
						} else {
							s.Unlisted(gvr, err)
						}
					},
				})
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// watched is where a watch reports to.
type watched struct {
	event func(u *unstructured.Unstructured, deleted bool)
	state func(l *table.Listing, err error) // a list, or why there is none; neither while it is about to be
}

// followOnce lists and watches until the watch ends.
func (s *simulated) followOnce(ctx context.Context, objects dynamic.ResourceInterface, selector string, w watched) error {
	asked := time.Now()
	list, err := objects.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	l := &table.Listing{Asked: asked, Objects: map[types.NamespacedName]types.UID{}}
	for i := range list.Items {
		u := &list.Items[i]
		w.event(u, false)
		l.Objects[types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()}] = u.GetUID()
	}
	w.state(l, nil)
	events, err := objects.Watch(ctx, metav1.ListOptions{LabelSelector: selector, ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return err
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		if u, ok := event.Object.(*unstructured.Unstructured); ok && event.Type != watch.Bookmark {
			w.event(u, event.Type == watch.Deleted)
		}
	}
	return nil
}

func (s *simulated) objects(manifests ...string) []*federation.Object {
	s.Helper()
	var out []*federation.Object
	for _, text := range manifests {
		for doc := range strings.SplitSeq(text, "\n---\n") {
			content := map[string]any{}
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(doc, "NAMESPACE", "default")), &content); err != nil {
				s.Fatal(err)
			}
			o, err := federation.NewObject(content, "apps/web/all.yaml")
			if err != nil {
				s.Fatal(err)
			}
			out = append(out, o)
		}
	}
	return out
}

// push makes these manifests a new revision of app web.
func (s *simulated) push(manifests ...string) {
	s.Helper()
	s.revisions++
	s.plan = federation.ClusterPlan{
		Cluster: "asia", Revision: federation.Revision{Ref: "main", SHA: fmt.Sprintf("%040d", s.revisions)}, CreateNamespaces: true,
		Apps: []federation.AppPlan{{App: "web", Objects: s.objects(manifests...), Adoption: federation.AdoptAlways, Prune: federation.PruneAllowed}},
	}
	s.Want(s.plan)
}

// after lets virtual time pass.
func (s *simulated) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// completeWithin waits until the cluster matches the plan, and checks that no finding
// is left.
func (s *simulated) completeWithin(d time.Duration) {
	s.Helper()
	begun := time.Now()
	for time.Since(begun) <= d {
		synctest.Wait()
		if standing := s.Standing(time.Now()); standing.Complete && standing.Tried && len(standing.Findings)+len(standing.Own) == 0 {
			for _, c := range standing.Changes {
				if c.Err != nil {
					s.Errorf("a failure where all is applied: %v", c.Err)
				}
			}
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	standing := s.Standing(time.Now())
	s.Fatalf("not complete after %s: tried %v, findings %v, own %v\n%s", d, standing.Tried, standing.Findings, standing.Own, s.dump(time.Now()))
}

// dump shows what a table knows, for a test that failed.
func (s *simulated) dump(now time.Time) string {
	var b strings.Builder
	s.WithState(func(t *state.State) { dump(&b, t, now) })
	return b.String()
}

func dump(b *strings.Builder, t *state.State, now time.Time) {
	for i, r := range t.Sorted() {
		if r.Want != nil && r.Settled() && r.Last.Err == nil && len(r.Live.Foreign) == 0 || i > 40 {
			continue
		}
		fmt.Fprintf(b, "%s: wanted %v, there %v, settled %v, under way %v, drift %v, last %v at %s (%d)\n", r.Ref, r.Want != nil, r.Live != nil,
			r.Want != nil && r.Settled(), r.Flight != nil, r.Drift, r.Last.Err, r.Last.At.Format(time.TimeOnly), r.Last.Failures)
		if r.Live != nil && r.Base != nil {
			fmt.Fprintf(b, "  live %s %v, base %s %v\n", r.Live.Version, r.Live.Mark(), r.Base.Version, r.Base.Mark())
		}
	}
	for name, s := range t.Spaces {
		fmt.Fprintf(b, "namespace %s: known %v, there %v, terminating %v, last %v\n", name, s.Known, s.Exists, s.Terminating, s.Last.Err)
	}
	for gk, k := range t.Kinds {
		fmt.Fprintf(b, "%s: mapping %v, list %v, hung %v, last %v\n", gk, k.Mapping != nil, t.List(k), k.Hung, k.Last.Err)
	}
	for name, a := range t.Apps {
		fmt.Fprintf(b, "app %s: named %v, parent %v, wide %v, last %v\n", name, a.Named, a.Parent, t.Wide(a), a.Last.Err)
	}
	due := agenda.At(t, now)
	fmt.Fprintf(b, "silent %v; agenda of %d, next %s, calm %v\n", t.Silent.Err, len(due.Tasks), due.Next.Sub(now), due.Calm)
}

// requests counts the Applier's requests since the store's log was last cleared.
func (s *simulated) requests() int {
	return s.store.Count(func(e objectstore.Entry) bool { return isApplier(e.Request) })
}

func isApplier(r *objectstore.Request) bool {
	return strings.HasPrefix(r.HTTP.UserAgent(), applierAgent)
}

func manyConfigMaps(n int, value string) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: NAMESPACE}\ndata: {v: %q}", i, value))
	}
	return out
}

// refusals are the ways in which a cluster refuses, each with what lifts it.
var refusals = map[string]func(s *simulated){
	"a policy":  func(s *simulated) { s.refuse(objectstore.Policy("no", "configmaps", "no")) },
	"a quota":   func(s *simulated) { s.refuse(objectstore.Quota("q", "configmaps", 0)) },
	"a webhook": func(s *simulated) { s.refuse(objectstore.Webhook("no.example.com", "configmaps", "no")) },
	"a webhook that is down": func(s *simulated) {
		s.refuse(objectstore.WebhookDown("down.example.com", "configmaps"))
	},
	"no right to write": func(s *simulated) {
		s.store.SetFaults(forApplier(s.unsparing(objectstore.Forbid("fedsync", "configmaps", "patch", "create"))))
	},
	"no right at all": func(s *simulated) {
		s.store.SetFaults(forApplier(func(r *objectstore.Request) objectstore.Action {
			return objectstore.Forbid("fedsync", r.Resource.Resource)(r)
		}))
	},
	"a fault": func(s *simulated) { s.store.SetFaults(objectstore.Fail(isApplier)) },
	"an overload": func(s *simulated) {
		s.store.SetFaults(forApplier(objectstore.Throttle(time.Second)))
	},
	"an object that says no itself": func(s *simulated) {
		s.refuse(func(a objectstore.Attempt) error {
			if a.Resource.Resource != "configmaps" {
				return nil
			}
			return apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, a.Name, nil)
		})
	},
	"a webhook that hangs": func(s *simulated) {
		s.store.SetFaults(forApplier(objectstore.WebhookHangs("slow.example.com", "configmaps", time.Minute)))
	},
	"silence": func(s *simulated) {
		s.store.SetFaults(forApplier(func(*objectstore.Request) objectstore.Action { return objectstore.Action{Hang: true} }))
	},
	"a connection that ends": func(s *simulated) {
		s.store.SetFaults(forApplier(func(*objectstore.Request) objectstore.Action { return objectstore.Action{Drop: true} }))
	},
	"lost answers": func(s *simulated) {
		s.store.SetFaults(forApplier(func(*objectstore.Request) objectstore.Action { return objectstore.Action{LoseAnswer: true} }))
	},
}

// refuse makes the cluster refuse. It spares the inventories if the test asks for that:
// an object that was applied without one is not found again after a restart.
func (s *simulated) refuse(r objectstore.Refusal) {
	s.store.SetRefusals(func(a objectstore.Attempt) error {
		if s.sparing && a.Namespace == federation.SystemNamespace {
			return nil
		}
		return r(a)
	})
}

func (s *simulated) unsparing(f objectstore.Fault) objectstore.Fault {
	if s.sparing {
		return outside(federation.SystemNamespace, f)
	}
	return f
}

// forApplier restricts a fault to the Applier's requests.
func forApplier(f objectstore.Fault) objectstore.Fault {
	return func(r *objectstore.Request) objectstore.Action {
		if !isApplier(r) {
			return objectstore.Action{}
		}
		return f(r)
	}
}

// outside restricts a fault to requests outside a namespace.
func outside(namespace string, f objectstore.Fault) objectstore.Fault {
	return func(r *objectstore.Request) objectstore.Action {
		if r.Namespace == namespace {
			return objectstore.Action{}
		}
		return f(r)
	}
}

func (s *simulated) lift() {
	s.store.SetRefusals()
	s.store.SetFaults()
}

func TestWhatIsRefusedCostsLittleAndIsAppliedSoonAfter(t *testing.T) {
	for name, refuse := range refusals {
		for _, when := range []string{"from the start", "later"} {
			t.Run(name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := simulate(t, 1)
					defer s.stop()
					if when == "later" {
						s.push(manyConfigMaps(300, "0")...)
						s.completeWithin(time.Minute)
					}
					refuse(s)
					s.push(append(manyConfigMaps(300, "1"), nginx)...)
					s.after(2 * time.Minute)
					for range 4 {
						s.store.ForgetRequests()
						s.after(time.Minute)
						if n := s.requests(); n > 30 {
							t.Errorf("%d requests in a minute, want at most 30", n)
						}
					}
					s.lift()
					s.completeWithin(time.Minute)
				})
			})
		}
	}
}

func TestAHungKindDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, 1)
		defer s.stop()
		s.push(append(manyConfigMaps(60, "0"), nginx)...)
		s.completeWithin(time.Minute)
		s.store.SetFaults(forApplier(outside(federation.SystemNamespace, objectstore.WebhookHangs("slow.example.com", "configmaps", time.Minute))))
		image := func(tag string) string { return strings.Replace(nginx, "nginx:1.29", "nginx:"+tag, 1) }
		for i := range 4 {
			tag := fmt.Sprintf("1.3%d", i)
			s.push(append(manyConfigMaps(60, tag), image(tag))...)
			s.after(3 * time.Second)
			u, err := s.somebody.Resource(replicaSets).Namespace("default").Get(t.Context(), "nginx", metav1.GetOptions{})
			if err != nil || !strings.Contains(fmt.Sprint(u.Object["spec"]), tag) {
				t.Errorf("after 3 s the ReplicaSet does not run %s: %v", tag, err)
			}
			s.after(time.Duration(7*i) * time.Second)
		}
		// What no longer hangs is applied, and what Git removes does not matter.
		s.push(nginx)
		s.completeWithin(30 * time.Second)
		s.push(append(manyConfigMaps(60, "x"), nginx)...)
		s.after(time.Minute)
		s.lift()
		s.completeWithin(time.Minute)
	})
}

func TestAStormOfEventsOnARefusedObjectIsNoStormOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, 1)
		defer s.stop()
		s.push(manyConfigMaps(20, "0")...)
		s.completeWithin(time.Minute)
		s.store.SetRefusals(func(a objectstore.Attempt) error {
			if a.Manager != ownership.FieldManager {
				return nil
			}
			return objectstore.Policy("no", "configmaps", "no")(a)
		})
		edit := func(i, n int, field string) {
			_, err := s.somebody.Resource(object.ConfigMaps).Namespace("default").Patch(t.Context(), fmt.Sprintf("c%d", i), types.MergePatchType,
				fmt.Appendf(nil, field, fmt.Sprint(n)), metav1.PatchOptions{FieldManager: "kube-controller-manager"})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			edit(i, 0, `{"data":{"v":"mine%s"}}`)
		}
		s.after(time.Minute)
		s.store.ForgetRequests()
		for n := range 600 {
			edit(n%20, n, `{"metadata":{"annotations":{"n":"%s"}}}`) // nothing of ours
			edit(3, n, `{"data":{"v":"mine%s"}}`)
			s.after(100 * time.Millisecond)
		}
		if n := s.requests(); n > 30 {
			t.Errorf("%d requests in a minute of events, want at most 30", n)
		}
		s.lift()
		s.completeWithin(time.Minute)
	})
}

func TestAManualFixIsSeenWithinFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, 1)
		defer s.stop()
		closed := true
		s.store.SetRefusals(func(a objectstore.Attempt) error {
			if !closed || a.Manager != ownership.FieldManager || a.Namespace != "default" {
				return nil
			}
			return objectstore.Policy("no", "configmaps", "no")(a)
		})
		s.push(manyConfigMaps(10, "0")...)
		s.after(5 * time.Minute)
		closed = false
		// The policy depends on the namespace's labels.
		_, err := s.somebody.Resource(object.Namespaces).Patch(t.Context(), "default", types.MergePatchType, []byte(`{"metadata":{"labels":{"open":"yes"}}}`), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.completeWithin(5 * time.Second)
	})
}

// TestAnyHistoryConverges makes a cluster refuse, hang, lose answers and be restored
// while Git and users change things. It checks that the cluster matches Git soon
// afterwards, and without a finding.
func TestAnyHistoryConverges(t *testing.T) {
	histories := raced.Share(120)
	names := make([]string, 0, len(refusals))
	for name := range refusals {
		names = append(names, name)
	}
	slices.Sort(names)
	for seed := range uint64(histories) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 7))
				s := simulate(t, seed+1)
				defer func() { s.stop() }()
				s.sparing = true
				var said []string
				note := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
				defer func() {
					if t.Failed() {
						t.Logf("history: %s", strings.Join(said, "; "))
					}
				}()
				manifests := func() []string {
					all := slices.Concat(manyConfigMaps(12, fmt.Sprint(random.IntN(3))), strings.Split(nginx, "\n---\n"), []string{elsewhere}, widgets)
					// Node ports move in circles, and to Services that come and go.
					ports := random.Perm(4)
					for i, name := range []string{"pa", "pb", "pc"} {
						all = append(all, serviceWith(name, 30000+ports[i]))
					}
					random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
					return all[:random.IntN(len(all))]
				}
				backup := s.store.Backup()
				for range 25 {
					switch random.IntN(11) {
					case 0, 1, 2:
						m := manifests()
						note("push %d objects", len(m))
						s.push(m...)
					case 3, 4:
						name := names[random.IntN(len(names))]
						note("%s", name)
						refusals[name](s)
					case 5:
						note("lift")
						s.lift()
					case 6:
						name := fmt.Sprintf("c%d", random.IntN(12))
						note("edit %s", name)
						_, _ = s.somebody.Resource(object.ConfigMaps).Namespace("default").Patch(t.Context(), name, types.MergePatchType,
							[]byte(`{"data":{"v":"mine"}}`), metav1.PatchOptions{FieldManager: "kubectl"})
					case 7:
						name := fmt.Sprintf("c%d", random.IntN(12))
						note("delete %s", name)
						_ = s.somebody.Resource(object.ConfigMaps).Namespace("default").Delete(t.Context(), name, metav1.DeleteOptions{})
					case 8:
						if random.IntN(2) == 0 {
							note("backup")
							backup = s.store.Backup()
							break
						}
						note("restore")
						s.store.Restore(backup)
						s.watchAgain()
					case 10:
						note("restart")
						s.stop()
						s.start()
					case 9:
						note("may write %v", !s.open.Load())
						s.open.Store(!s.open.Load())
						s.Wake()
					}
					d := time.Duration(random.IntN(20_000)) * time.Millisecond
					if random.IntN(3) == 0 {
						d = time.Duration(random.IntN(50)) * time.Millisecond
					}
					note("%s", d)
					s.after(d)
				}
				s.lift()
				s.open.Store(true)
				s.Wake()
				want := manifests()
				if random.IntN(2) == 0 {
					note("push %d objects", len(want))
					s.push(want...)
				}
				// The edits may have looked like a fight, which ends by itself later.
				s.endFights()
				s.completeWithin(time.Minute)
				s.wantEqual()
			})
		})
	}
}

// endFights makes fights be forgotten, since there is no other party.
func (s *simulated) endFights() {
	s.WithState(func(t *state.State) {
		for _, r := range t.Rows {
			r.Fight = nil
		}
	})
	s.Wake()
}

const elsewhere = `
apiVersion: v1
kind: ConfigMap
metadata: {name: far, namespace: elsewhere}
data: {v: "1"}`

var widgets = []string{`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}`, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  names: {kind: Gadget, plural: gadgets, singular: gadget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object}}`}

// wantEqual checks that the cluster has what Git wants, and no other objects of ours.
func (s *simulated) wantEqual() {
	s.Helper()
	wanted := map[string]bool{}
	var rows []*object.Desired
	s.WithState(func(t *state.State) {
		for _, r := range t.Rows {
			if r.Want != nil {
				rows = append(rows, r.Want)
			}
		}
	})
	for _, d := range rows {
		mapping, err := s.writer.Mapping(s.Context(), d.Ref.GroupKind(), d.Object.Version)
		if err != nil {
			s.Errorf("%s: %v", d.Ref, err)
			continue
		}
		u, err := s.somebody.Resource(mapping.Resource).Namespace(d.Ref.Namespace).Get(s.Context(), d.Ref.Name, metav1.GetOptions{})
		if err != nil {
			s.Errorf("%s: %v", d.Ref, err)
			continue
		}
		wanted[d.Ref.String()] = true
		if reader := s.writer.Reader; !reader.Matches(reader.Live(u), d.Unstructured().Object) {
			s.Errorf("%s differs from Git: %v", d.Ref, u.Object)
		}
	}
	for _, gvr := range []schema.GroupVersionResource{object.ConfigMaps, object.Services, replicaSets, ingresses, definitions} {
		list, err := s.somebody.Resource(gvr).List(s.Context(), metav1.ListOptions{LabelSelector: inventory.LabelPartOf})
		if err != nil {
			s.Fatal(err)
		}
		for i := range list.Items {
			if ref := federation.RefOf(&list.Items[i]); !wanted[ref.String()] {
				s.Errorf("%s is still there", ref)
			}
		}
	}
}
