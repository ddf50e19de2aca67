package facts

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

const partOf = "applyset.kubernetes.io/part-of"

var (
	ourReplicaSets = watch.Watch{Resource: replicaSetsResource, LabelSelector: partOf}
	ourDeployments = watch.Watch{Resource: deploymentsResource, LabelSelector: partOf}
	ourSlices      = watch.Watch{Resource: slicesResource, LabelSelector: partOf}
)

// gathering is a collector that receives events from a test.
type gathering struct {
	*Collector
	t       *testing.T
	changes atomic.Int64
	ours    map[string]bool
}

// gather returns a collector for which the label value "shop" is ours.
func gather(t *testing.T, lookup Lookup) *gathering {
	t.Helper()
	g := &gathering{t: t, ours: map[string]bool{"shop": true}}
	g.Collector = NewCollector(CollectorOptions{
		Label:      partOf,
		Ours:       func(label string) bool { return g.ours[label] },
		Changed:    func() { g.changes.Add(1) },
		ReplicaSet: lookup,
	})
	return g
}

// put upserts objects, each in YAML.
func (g *gathering) put(w watch.Watch, objects ...string) {
	g.t.Helper()
	for _, object := range objects {
		g.Observe(watch.Event{Watch: w, Type: watch.Upserted, Object: membertest.LiveObject(g.t, []byte(object))})
	}
}

func (g *gathering) remove(w watch.Watch, object string) {
	g.t.Helper()
	g.Observe(watch.Event{Watch: w, Type: watch.Deleted, Object: membertest.LiveObject(g.t, []byte(object))})
}

func (g *gathering) emit(w watch.Watch, what watch.EventType) {
	g.Observe(watch.Event{Watch: w, Type: what})
}

func (g *gathering) fail(w watch.Watch, failure federation.FailureClass, text string) {
	g.Observe(watch.Event{Watch: w, Type: watch.Failed, Err: &watch.Error{Watch: w, Failure: failure, Err: errors.New(text)}})
}

// now returns the facts.
func (g *gathering) now() federation.ClusterFacts {
	var f federation.ClusterFacts
	g.Facts(time.Now(), &f)
	return f
}

// workload formats the only workload as "replicas/ready/current capacity waiting". next
// returns when the facts change with time; zero for never.
func (g *gathering) next() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	var next time.Time
	if !g.suspended() {
		for _, one := range g.work.byUID {
			next = earliest(next, one.next)
		}
	}
	return next
}

// asking reports whether the owner of some pods is being looked up.
func (g *gathering) asking() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.work.owners.open()
}

func (g *gathering) workload() string {
	list := g.now().Workloads
	if len(list) != 1 {
		return fmt.Sprintf("%d workloads", len(list))
	}
	w := list[0]
	capacity := "-"
	if w.Limited {
		capacity = fmt.Sprint(w.Capacity)
	}
	return fmt.Sprintf("%d/%d/%d %s %d", w.Replicas, w.Ready, w.Current, capacity, w.Unschedulable)
}

func service(name, spec string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {namespace: web, name: %s, labels: {a: b}}, spec: {%s}}`, name, spec)
}

func TestCollectorKnowsWhoHoldsANodePort(t *testing.T) {
	g := gather(t, nil)
	web := func(port, own int32, protocol, service string) federation.NodePort {
		return federation.NodePort{Protocol: protocol, Port: port, Namespace: "web", Service: service, ServicePort: own}
	}
	check := web(31000, 0, "TCP", "lb")
	check.HealthCheck = true
	for _, step := range []struct {
		name    string
		do      func()
		known   bool
		want    []federation.NodePort
		changed bool
	}{
		{"nothing yet", func() {}, false, nil, false},
		{"a Service", func() {
			g.put(servicesWatch, service("b", "ports: [{port: 80, nodePort: 30036}, {port: 53, nodePort: 30036, protocol: UDP}]"))
		}, false, []federation.NodePort{web(30036, 80, "TCP", "b"), web(30036, 53, "UDP", "b")}, true},
		{"one without a node port, which an Ingress may name", func() {
			g.put(servicesWatch, service("inner", "ports: [{port: 80}]"))
		}, false, []federation.NodePort{web(30036, 80, "TCP", "b"), web(30036, 53, "UDP", "b")}, true},
		{
			"listed", func() { g.emit(servicesWatch, watch.Listed) }, true,
			[]federation.NodePort{web(30036, 80, "TCP", "b"), web(30036, 53, "UDP", "b")},
			true,
		},
		{"a load balancer with a port for health checks", func() {
			g.put(servicesWatch, service("lb", "healthCheckNodePort: 31000, ports: [{port: 443, nodePort: 30001}]"))
		}, true, []federation.NodePort{web(30001, 443, "TCP", "lb"), web(30036, 80, "TCP", "b"), web(30036, 53, "UDP", "b"), check}, true},
		{"something else of it changes", func() {
			g.put(servicesWatch, service("lb", "clusterIP: 10.0.0.1, healthCheckNodePort: 31000, ports: [{port: 443, nodePort: 30001}]"))
		}, true, []federation.NodePort{web(30001, 443, "TCP", "lb"), web(30036, 80, "TCP", "b"), web(30036, 53, "UDP", "b"), check}, false},
		{
			"deleted", func() { g.remove(servicesWatch, service("b", "")) }, true,
			[]federation.NodePort{web(30001, 443, "TCP", "lb"), check},
			true,
		},
		{"it becomes one without a node port", func() {
			g.put(servicesWatch, service("lb", "ports: [{port: 443}]"))
		}, true, nil, true},
		{"another watch of Services", func() {
			g.put(watch.Watch{Resource: servicesResource, LabelSelector: partOf}, service("b", "ports: [{port: 80, nodePort: 30036}]"))
		}, true, nil, false},
		{"out of sight", func() { g.fail(servicesWatch, federation.FailureNetwork, "reset") }, true, nil, true},
		{"refused", func() { g.fail(servicesWatch, federation.FailureForbidden, "no") }, false, nil, true},
		{"allowed", func() { g.emit(servicesWatch, watch.Listed) }, true, nil, true},
		{"no longer wanted", func() { g.emit(servicesWatch, watch.Stopped) }, false, nil, true},
	} {
		before := g.changes.Load()
		step.do()
		got := g.now()
		if got.PortsKnown != step.known {
			t.Errorf("%s: PortsKnown = %v, want %v", step.name, got.PortsKnown, step.known)
		}
		if len(got.NodePorts)+len(step.want) > 0 {
			if diff := cmp.Diff(step.want, got.NodePorts); diff != "" {
				t.Errorf("%s: NodePorts (-want +got):\n%s", step.name, diff)
			}
		}
		if changed := g.changes.Load() > before; changed != step.changed {
			t.Errorf("%s: notified of a change = %v, want %v", step.name, changed, step.changed)
		}
	}
}

func TestCollectedFactsAreImmutable(t *testing.T) {
	g := gather(t, nil)
	g.put(servicesWatch, service("a", "ports: [{port: 80, nodePort: 30001}]"))
	first := g.now()
	g.put(quotasWatch, quota("q", "", "pods: '10'", "pods: '1'"))
	if again := g.now(); &first.NodePorts[0] != &again.NodePorts[0] {
		t.Error("ports that have not changed are another slice, want the same")
	}
	g.put(servicesWatch, service("a", "ports: [{port: 80, nodePort: 30002}]"))
	if got := first.NodePorts[0].Port; got != 30001 {
		t.Errorf("the first facts changed to %d, want 30001", got)
	}
	f := federation.ClusterFacts{State: federation.ClusterOffline, Version: "v1.37.2", Synced: true}
	g.Facts(time.Now(), &f)
	if f.State != federation.ClusterOffline || f.Version != "v1.37.2" || !f.Synced {
		t.Errorf("facts that are not the collector's changed to %+v", f)
	}
}

// set returns a ReplicaSet of ours, or with owner that of a Deployment.
func set(name string, spec, made, ready int, owner string) string {
	meta := fmt.Sprintf(`namespace: web, name: %s, uid: uid-%[1]s, labels: {%s: shop}`, name, partOf)
	if owner != "" {
		meta += fmt.Sprintf(`, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: %s, uid: uid-%[1]s, controller: true}]`, owner)
	}
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {%s}, spec: {replicas: %d}, status: {replicas: %d, readyReplicas: %d}}`,
		meta, spec, made, ready)
}

func deployment(spec, made, ready int) string {
	d := strings.Replace(set("nginx", spec, made, ready, ""), "ReplicaSet", live.KindDeployment, 1)
	return strings.Replace(d, "status: {", fmt.Sprintf("status: {updatedReplicas: %d, ", spec), 1)
}

// waiting returns a pod of a ReplicaSet that has been unschedulable for a time.
func waiting(name, set string, since time.Duration) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Pod,
		metadata: {namespace: web, name: %s, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %s, uid: uid-%[2]s, controller: true}]},
		status: {phase: Pending, conditions: [
			{type: PodReadyToStartContainers, status: "False"},
			{type: PodScheduled, status: "False", reason: Unschedulable, lastTransitionTime: %q, message: "no room for %[1]s, says https://joe:secret@x/"}]}}`,
		name, set, time.Now().Add(-since).UTC().Format(time.RFC3339))
}

func TestCollectorTracksTheCapacityForAWorkload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather(t, nil)
		for _, step := range []struct {
			name string
			do   func()
			want string // replicas/ready/current capacity waiting
		}{
			{"pods are listed first", func() {
				for i := range 7 {
					g.put(podsWatch, waiting(fmt.Sprintf("p%d", i), "nginx", 50*time.Second))
				}
				g.put(podsWatch, waiting("other", "other", time.Hour))
			}, "0 workloads"},
			{"the workload", func() { g.put(ourReplicaSets, set("nginx", 17, 17, 10, "")) }, "17/10/17 - 7"},
			{"listed", func() { g.emit(podsWatch, watch.Listed) }, "17/10/17 - 7"},
			{"a little early", func() { <-time.After(9 * time.Second) }, "17/10/17 - 7"},
			{"unschedulable for a minute", func() { <-time.After(2 * time.Second) }, "17/10/17 10 7"},
			{"not Ready for a minute", func() { <-time.After(50 * time.Second) }, "17/10/10 10 7"},
			{"one terminates", func() {
				g.put(podsWatch, strings.Replace(waiting("p6", "nginx", time.Hour), "name: p6", "name: p6, deletionTimestamp: '2026-01-01T00:00:00Z'", 1))
			}, "17/10/10 10 6"},
			{"one has a node", func() {
				g.put(podsWatch, strings.Replace(waiting("p5", "nginx", time.Hour), "status:", "spec: {nodeName: n1}, status:", 1))
			}, "17/10/10 10 5"},
			{"one is gated and not judged", func() {
				g.put(podsWatch, strings.Replace(waiting("p4", "nginx", time.Hour), "reason: Unschedulable", "reason: SchedulingGated", 1))
			}, "17/10/10 10 4"},
			{"they are Ready", func() { g.put(ourReplicaSets, set("nginx", 17, 17, 13, "")) }, "17/13/13 13 4"},
			{"the others have a node too", func() {
				for i := range 4 {
					g.remove(podsWatch, waiting(fmt.Sprintf("p%d", i), "nginx", 0))
				}
			}, "17/13/13 13 0"},
			{"and for some time", func() { <-time.After(6 * time.Second) }, "17/13/13 - 0"},
			{"out of sight while pods are fresh", func() {
				g.put(ourReplicaSets, set("nginx", 20, 20, 13, ""))
				g.fail(ourReplicaSets, federation.FailureTimeout, "no answer")
				<-time.After(10 * time.Minute)
			}, "20/13/16 - 0"},
			{"in sight again, unchanged", func() { g.emit(ourReplicaSets, watch.Listed) }, "20/13/13 - 0"},
			{"another of its name", func() {
				g.put(ourReplicaSets, strings.Replace(set("nginx", 5, 5, 0, ""), "uid-nginx", "uid-new", 1))
			}, "5/0/5 - 0"},
			{"it may not be watched", func() { g.fail(ourReplicaSets, federation.FailureForbidden, "no") }, "5/0/5 - 0"},
			{"it is not watched", func() { g.emit(ourReplicaSets, watch.Stopped) }, "0 workloads"},
		} {
			step.do()
			if got := g.workload(); got != step.want {
				t.Errorf("%s: %s, want %s", step.name, got, step.want)
			}
		}
		if got := g.now().Blind; len(got) > 0 {
			t.Errorf("Blind = %v, want none, because the watch is not the collector's", got)
		}
	})
}

func TestCollectorRetainsFactsWhileAWatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather(t, nil)
		g.put(ourReplicaSets, set("nginx", 5, 5, 3, ""))
		g.put(podsWatch, waiting("p1", "nginx", time.Minute), waiting("p2", "nginx", time.Minute))
		g.put(quotasWatch, quota("q", "", "pods: '2'", "pods: '2'"))
		g.put(ingressesWatch, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: web, name: shop}}`)
		g.put(uidWatch, `{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: ingress-uid}, data: {uid: abc}}`)
		all := []watch.Watch{podsWatch, quotasWatch, ingressesWatch, uidWatch}
		for _, w := range all {
			g.emit(w, watch.Listed)
		}
		state := func() string {
			f := g.now()
			return fmt.Sprintf("%s, %d quotas, %d ingresses, uid %v %v", g.workload(), len(f.Quotas), len(f.Ingresses), f.IngressUID.Known, f.IngressUID.Exists)
		}
		const known = "5/3/5 3 2, 1 quotas, 1 ingresses, uid true true"
		membertest.Want(t, "at first", []string{state()}, []string{known})
		for _, class := range []federation.FailureClass{
			federation.FailureNetwork, federation.FailureTimeout, federation.FailureThrottled, federation.FailureServer,
			federation.FailureUnauthorised,
		} {
			for _, w := range all {
				g.fail(w, class, "no")
			}
			<-time.After(time.Hour) // time must change nothing
			membertest.Want(t, string(class), []string{state()}, []string{known})
		}
		for _, w := range all {
			g.fail(w, federation.FailureForbidden, "no")
		}
		membertest.Want(t, "refused", []string{state()}, []string{"5/3/5 3 2, 1 quotas, 1 ingresses, uid false true"})
		for _, w := range all {
			g.emit(w, watch.Restored)
			g.emit(w, watch.Listed)
		}
		// The two pods have been missing for hours, as is known now.
		membertest.Want(t, "seen again", []string{state()}, []string{"5/3/3 3 2, 1 quotas, 1 ingresses, uid true true"})
		for _, w := range all {
			g.emit(w, watch.Stopped)
		}
		g.put(ourReplicaSets, set("nginx", 5, 5, 5, ""))
		membertest.Want(t, "no longer watched", []string{state()}, []string{"5/5/5 - 0, 0 quotas, 0 ingresses, uid false false"})
	})
}

func TestCollectorReportsWhenTimeChangesTheFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		g := gather(t, nil)
		if got := g.next(); !got.IsZero() {
			t.Errorf("Next of nothing = %v, want never", got)
		}
		g.emit(podsWatch, watch.Listed)
		g.put(ourReplicaSets, set("nginx", 17, 17, 10, ""))
		<-time.After(10 * time.Second)
		g.put(podsWatch, waiting("p", "nginx", 0))

		var got []string
		for {
			next := g.next()
			if next.IsZero() {
				break
			}
			<-time.After(time.Until(next))
			got = append(got, fmt.Sprintf("%v %s", time.Since(started), g.workload()))
		}
		membertest.Want(t, "changes by time alone", got, []string{"1m0s 17/10/10 - 1", "1m10s 17/10/10 16 1"})

		g.put(ourReplicaSets, set("nginx", 18, 18, 10, ""))
		if g.next().IsZero() {
			t.Error("Next = never, although a pod is fresh")
		}
		g.fail(podsWatch, federation.FailureTimeout, "no answer")
		if got := g.next(); !got.IsZero() {
			t.Errorf("Next while pods are not visible = %v, want never", got)
		}
	})
}

func TestCollectorDoesNotTrustTheClustersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather(t, nil)
		g.put(ourReplicaSets, set("nginx", 3, 3, 2, ""))
		ahead := waiting("p", "nginx", -time.Hour)
		g.put(podsWatch, ahead)
		g.emit(podsWatch, watch.Listed)
		<-time.After(59 * time.Second)
		g.put(podsWatch, strings.Replace(ahead, "no room", "no room at all", 1)) // the same with another message
		membertest.Want(t, "after 59 s", []string{g.workload()}, []string{"3/2/3 - 1"})
		<-time.After(time.Second)
		membertest.Want(t, "after a minute", []string{g.workload()}, []string{"3/2/2 2 1"})
		if got := g.now().Workloads[0].Reason.String(); got != "no room at all for p, says https://***@x/" {
			t.Errorf("Reason = %q", got)
		}
	})
}

// sets answers requests for ReplicaSets, and records them.
type sets struct {
	mu    sync.Mutex // protects what follows
	asked []string
	err   error
	// refuses is why all of them are forbidden; nil if they are not.
	refuses error
	most    int // concurrent requests
	now     int
}

// get returns the ReplicaSets "<deployment>-<hash>".
func (s *sets) get(ctx context.Context, namespace, name string) (metav1.Object, error) {
	s.mu.Lock()
	s.asked = append(s.asked, namespace+"/"+name)
	s.now++
	s.most = max(s.most, s.now)
	err := s.err
	if s.refuses != nil {
		err = apierrors.NewForbidden(replicaSetsResource.GroupResource(), name, s.refuses)
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	if err != nil {
		return nil, err
	}
	owner, _, _ := strings.Cut(name, "-")
	u := &unstructured.Unstructured{}
	u.SetUID(types.UID("uid-" + name))
	yes := true
	u.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: live.KindDeployment, Name: owner, UID: types.UID("uid-" + owner), Controller: &yes,
	}})
	return u, nil
}

func (s *sets) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.asked))
}

// runs runs a collector's lookups until the end of the test.
func (g *gathering) runs() {
	ctx, cancel := context.WithCancel(g.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Run(ctx)
	}()
	g.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func TestCollectorLooksUpAReplicaSetsOwnerOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &sets{}
		g := gather(t, known.get)
		g.runs()
		g.put(podsWatch, waiting("p1", "nginx-1", time.Hour), waiting("p2", "nginx-2", time.Hour), waiting("p3", "nginx-2", time.Hour),
			waiting("e1", "echo-1", time.Hour),
			strings.Replace(waiting("far", "nginx-3", time.Hour), "namespace: web", "namespace: elsewhere", 1))
		g.emit(podsWatch, watch.Listed)
		if g.asking() {
			t.Error("asking = true although there is no Deployment")
		}
		g.put(ourDeployments, deployment(10, 10, 7))
		if !g.asking() {
			t.Error("asking = false although the pods may be the Deployment's")
		}
		membertest.Want(t, "before the answers", []string{g.workload()}, []string{"10/7/10 - 0"})
		before := g.changes.Load()
		<-time.After(time.Second)
		membertest.Want(t, "after the answers", []string{g.workload()}, []string{"10/7/10 7 3"})
		if g.asking() || g.changes.Load() == before {
			t.Errorf("asking = %v, notified of a change = %v; want false, true", g.asking(), g.changes.Load() > before)
		}

		g.remove(podsWatch, waiting("p1", "nginx-1", 0))
		g.put(podsWatch, waiting("p1", "nginx-1", 0), waiting("p4", "nginx-2", 0))
		<-time.After(time.Minute)
		membertest.Want(t, "more pods of theirs", []string{g.workload()}, []string{"10/7/7 7 4"})

		// Its template has our label, so its ReplicaSets come by our watch.
		g.put(ourReplicaSets, set("nginx-4", 3, 3, 3, "nginx"))
		g.put(podsWatch, waiting("p5", "nginx-4", 0))
		g.remove(podsWatch, waiting("p3", "nginx-2", 0))
		g.remove(podsWatch, waiting("p4", "nginx-2", 0))
		<-time.After(time.Minute)
		membertest.Want(t, "a ReplicaSet that came by", []string{g.workload()}, []string{"10/7/7 7 3"})
		membertest.Want(t, "asked", known.list(), []string{"web/echo-1", "web/nginx-1", "web/nginx-2"})
	})
}

func TestCollectorLooksUpAFewAtATimeAndFewerIfRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &sets{refuses: errors.New("token Bearer abcdefgh is nobody's")}
		g := gather(t, known.get)
		g.runs()
		g.put(ourDeployments, deployment(10, 10, 0))
		for i := range 10 {
			g.put(podsWatch, waiting(fmt.Sprintf("p%d", i), fmt.Sprintf("nginx-%d", i), 0))
		}
		g.emit(podsWatch, watch.Listed)
		<-time.After(10 * time.Second)
		known.mu.Lock()
		if known.most != maxQuestions {
			t.Errorf("%d at a time, want %d", known.most, maxQuestions)
		}
		known.mu.Unlock()
		if g.asking() {
			t.Error("asking = true after some requests failed")
		}
		refused := []federation.Blind{{
			Failure:  federation.FailureForbidden,
			Resource: "replicasets.apps",
			Error:    untrusted.New(`get replicasets.apps: replicasets.apps is forbidden: token Bearer *** is nobody's`),
		}}
		if diff := cmp.Diff(refused, g.now().Blind); diff != "" {
			t.Errorf("Blind (-want +got):\n%s", diff)
		}
		<-time.After(time.Hour)
		if got := len(known.list()); got < maxQuestions+5 || got > maxQuestions+10 {
			t.Errorf("asked %d times in an hour, want one of them every ten minutes in the end", got)
		}
		if diff := cmp.Diff(refused, g.now().Blind); diff != "" {
			t.Errorf("Blind after an hour (-want +got):\n%s", diff)
		}
		known.mu.Lock()
		known.refuses, known.asked = nil, nil
		known.mu.Unlock()
		<-time.After(time.Hour)
		membertest.Want(t, "allowed", []string{g.workload()}, []string{"10/0/0 0 10"})
		if got := known.list(); len(got) != 10 || len(g.now().Blind) > 0 {
			t.Errorf("asked %q, blind %v; want each once more, none", got, g.now().Blind)
		}
	})
}

// The memory for waiting pods is limited, however many ReplicaSets are named.
func TestPodsOfALimitedNumberOfReplicaSetsAreCounted(t *testing.T) {
	now, w := time.Now(), newWorkloads()
	put := func(i int) {
		w.putPod(now, membertest.LiveObject(t, []byte(waiting(fmt.Sprint("p", i), fmt.Sprint("set-", i), time.Hour))))
	}
	for i := range maxGroups + 100 {
		put(i)
	}
	if len(w.groups) != maxGroups || len(w.pods) != maxGroups {
		t.Errorf("%d pods of %d ReplicaSets are remembered, want %d", len(w.pods), len(w.groups), maxGroups)
	}
	// A deleted pod makes room.
	w.dropPod(now, types.NamespacedName{Namespace: "web", Name: "p0"})
	put(maxGroups + 100)
	if got := w.groups[types.UID(fmt.Sprint("uid-set-", maxGroups+100))]; len(got) != 1 {
		t.Errorf("the next has %d pods, want 1", len(got))
	}
}

func TestCollectorRepeatsFailedLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &sets{err: errors.New("no answer")}
		g := gather(t, known.get)
		g.runs()
		g.put(ourDeployments, deployment(10, 10, 0))
		g.put(podsWatch, waiting("p1", "nginx-1", 0), waiting("p2", "nginx-2", 0))
		g.emit(podsWatch, watch.Listed)
		<-time.After(time.Hour)
		if got := len(known.list()); got < 2*60 || got > 2*70 {
			t.Errorf("asked %d times in an hour, want about once a minute each", got)
		}
	})
}

func TestCollectorStopsLookupsWhenThePodsAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &sets{err: errors.New("no answer")}
		g := gather(t, known.get)
		g.runs()
		g.emit(podsWatch, watch.Listed)
		g.put(ourDeployments, deployment(10, 10, 0))
		g.put(podsWatch, waiting("p", "nginx-1", 0))
		<-time.After(500 * time.Millisecond)
		g.remove(podsWatch, waiting("p", "nginx-1", 0))
		<-time.After(time.Hour)
		membertest.Want(t, "asked", known.list(), []string{"web/nginx-1"})
	})
}

func route(name, label, secrets string) string {
	return fmt.Sprintf(`{apiVersion: networking.k8s.io/v1, kind: Ingress,
		metadata: {namespace: web, name: %s, creationTimestamp: "2026-01-02T03:04:05Z", labels: {%s: %q},
			annotations: {kubernetes.io/ingress.class: gce, ingress.kubernetes.io/url-map: um-%[1]s}},
		spec: {tls: [%[4]s]}, status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}}`, name, partOf, label, secrets)
}

func secretWatch(name string) watch.Watch {
	return watch.Watch{Resource: secretsResource, Namespace: "web", FieldSelector: "metadata.name=" + name}
}

func TestCollectorWatchesTheSecretsThatOurIngressesName(t *testing.T) {
	g := gather(t, nil)
	always := g.Watches()
	secrets := func() []string {
		t.Helper()
		list := g.Watches()
		if !slices.Equal(list[:len(always)], always) {
			t.Errorf("Watches() = %v, want %v first", list, always)
		}
		var got []string
		for _, w := range list[len(always):] {
			if w.Resource == secretsResource {
				got = append(got, w.String())
			}
		}
		return got
	}
	membertest.Want(t, "without Ingresses", secrets(), nil)

	g.put(ingressesWatch,
		route("echo", "shop", "{secretName: b}, {secretName: a}, {secretName: b}, {hosts: [x]}, {secretName: 'a,b=c'}"),
		route("foreign", "", "{secretName: c}"), route("other", "bakery", "{secretName: d}"))
	membertest.Want(t, "of ours", secrets(), []string{"secrets in web, fields metadata.name=a", "secrets in web, fields metadata.name=b"})
	g.ours["bakery"] = true
	membertest.Want(t, "another app is ours", secrets(),
		[]string{"secrets in web, fields metadata.name=a", "secrets in web, fields metadata.name=b", "secrets in web, fields metadata.name=d"})

	before := g.changes.Load()
	g.put(ingressesWatch, route("echo", "shop", "{secretName: b}"))
	if g.changes.Load() == before {
		t.Error("no notification that other watches are wanted")
	}
	membertest.Want(t, "one less", secrets(), []string{"secrets in web, fields metadata.name=b", "secrets in web, fields metadata.name=d"})

	var many []string
	for i := range 150 {
		many = append(many, fmt.Sprintf("{secretName: s%03d}", i))
	}
	g.put(ingressesWatch, route("echo", "shop", strings.Join(many, ", ")))
	if got := secrets(); len(got) != maxSecrets {
		t.Errorf("%d Secrets are watched, want %d", len(got), maxSecrets)
	}
}

func TestCollectorReportsOnlyADigestOfCertificates(t *testing.T) {
	g := gather(t, nil)
	g.put(ingressesWatch, route("echo", "shop", "{secretName: a}, {secretName: b}"))
	secret := func(name, data string) string {
		return fmt.Sprintf(`{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {namespace: web, name: %s}, data: {%s}}`, name, data)
	}
	certificate := func(name, digest string) federation.Certificate {
		return federation.Certificate{Namespace: "web", Name: name, Exists: true, Type: "kubernetes.io/tls", Digest: digest}
	}
	absent := federation.Certificate{Namespace: "web", Name: "b"}
	for _, step := range []struct {
		name string
		do   func()
		want []federation.Certificate
	}{
		{"not read yet", func() {}, []federation.Certificate{}},
		{"one is there and one is not", func() {
			g.put(secretWatch("a"), secret("a", "tls.crt: b25l, tls.key: c2VjcmV0"))
			g.emit(secretWatch("a"), watch.Listed)
			g.emit(secretWatch("b"), watch.Listed)
		}, []federation.Certificate{certificate("a", "7692c3ad3540bb803c020b3aee66cd88"), absent}}, // sha256 of "one"
		{"another key is no other certificate", func() {
			g.put(secretWatch("a"), secret("a", "tls.crt: b25l, tls.key: b3RoZXI="))
		}, []federation.Certificate{certificate("a", "7692c3ad3540bb803c020b3aee66cd88"), absent}},
		{"renewed", func() {
			g.put(secretWatch("a"), secret("a", "tls.crt: dHdv"))
		}, []federation.Certificate{certificate("a", "3fc4ccfe745870e2c0d99f71f30ff065"), absent}}, // of "two"
		{
			"without a certificate", func() { g.put(secretWatch("a"), secret("a", "tls.key: c2VjcmV0")) },
			[]federation.Certificate{certificate("a", ""), absent},
		},
		{"a Secret of ours by another watch", func() {
			g.put(watch.Watch{Resource: secretsResource, LabelSelector: partOf}, secret("b", "tls.crt: b25l"))
		}, []federation.Certificate{certificate("a", ""), absent}},
		{
			"one is refused", func() { g.fail(secretWatch("b"), federation.FailureForbidden, "no") },
			[]federation.Certificate{certificate("a", ""), absent},
		},
		{"one is no longer watched", func() { g.emit(secretWatch("a"), watch.Stopped) }, []federation.Certificate{absent}},
	} {
		step.do()
		if diff := cmp.Diff(step.want, g.now().Certificates); diff != "" {
			t.Errorf("%s: Certificates (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestCollectorListsOurAndForeignIngresses(t *testing.T) {
	g := gather(t, nil)
	g.put(ingressesWatch, route("b", "shop", ""), route("a", "", ""), route("c", "bakery", ""))
	fact := func(name string, ours bool) federation.Ingress {
		return federation.Ingress{
			Namespace: "web", Name: name, Ours: ours, ClassName: "gce", URLMap: "um-" + name,
			Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Addresses: []string{"203.0.113.10"}, Google: true,
		}
	}
	if diff := cmp.Diff([]federation.Ingress{fact("a", false), fact("b", true), fact("c", false)}, g.now().Ingresses); diff != "" {
		t.Errorf("Ingresses (-want +got):\n%s", diff)
	}
	g.ours = map[string]bool{"bakery": true}
	if diff := cmp.Diff([]federation.Ingress{fact("a", false), fact("b", false), fact("c", true)}, g.now().Ingresses); diff != "" {
		t.Errorf("when other apps are ours, Ingresses (-want +got):\n%s", diff)
	}
}

func TestCollectorKnowsTheControllerOfAnIngress(t *testing.T) {
	const by = `{manager: %s, operation: Update, subresource: %s, fieldsType: FieldsV1, fieldsV1: {"f:status": {"f:loadBalancer": %s}}}`
	address := func(manager string) string { return fmt.Sprintf(by, manager, "status", `{"f:ingress": {}}`) }
	for _, c := range []struct {
		name, metadata, spec string
		want                 federation.Ingress
	}{
		{"without a controller", "", "", federation.Ingress{}},
		{"Google's by an annotation", `annotations: {ingress.kubernetes.io/backends: '{}'}`, "", federation.Ingress{Google: true}},
		{"Google's by its rule for HTTPS", `annotations: {ingress.kubernetes.io/https-forwarding-rule: a}`, "", federation.Ingress{Google: true}},
		{"an annotation without a value", `annotations: {ingress.kubernetes.io/forwarding-rule: ""}`, "", federation.Ingress{}},
		{"another's annotation", `annotations: {ingress.kubernetes.io/rewrite: a}`, "", federation.Ingress{}},
		{"held by Google's controller", `finalizers: [networking.gke.io/ingress-finalizer-V2]`, "", federation.Ingress{Google: true, GoogleHeld: true}},
		{"held by another controller", `finalizers: [example.com/ingress-finalizer]`, "", federation.Ingress{}},
		{"the field counts before the annotation", `annotations: {kubernetes.io/ingress.class: gce}`, `ingressClassName: fedsync-global`, federation.Ingress{ClassName: "fedsync-global"}},
		{"an address by a controller", `managedFields: [` + address("glbc") + `]`, "", federation.Ingress{StatusBy: untrusted.New("glbc")}},
		{"an address by fedsync", `managedFields: [` + address("fedsync-address") + `]`, "", federation.Ingress{StatusBy: untrusted.New("fedsync-address")}},
		{"an address by two", `managedFields: [` + address("fedsync-address") + `, ` + address("nginx") + `]`, "", federation.Ingress{StatusBy: untrusted.New("nginx")}},
		{"an address by two, the other way", `managedFields: [` + address("nginx") + `, ` + address("fedsync-address") + `]`, "", federation.Ingress{StatusBy: untrusted.New("nginx")}},
		{"a status without an address", `managedFields: [` + fmt.Sprintf(by, "glbc", "status", "{}") + `]`, "", federation.Ingress{}},
		{"fields of the object itself", `managedFields: [` + fmt.Sprintf(by, "fedsync", `""`, `{"f:ingress": {}}`) + `]`, "", federation.Ingress{}},
		{"unreadable fields", `managedFields: [{manager: a, subresource: status, fieldsV1: {"f:status": 7}}]`, "", federation.Ingress{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gather(t, nil)
			g.put(ingressesWatch, fmt.Sprintf("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: web, name: a, %s}, spec: {%s}}", c.metadata, c.spec))
			g.emit(ingressesWatch, watch.Listed)
			got, found := g.now().Ingress("web", "a")
			c.want.Namespace, c.want.Name = "web", "a"
			if diff := cmp.Diff(c.want, got); diff != "" || !found {
				t.Errorf("Ingress, %v (-want +got):\n%s", found, diff)
			}
		})
	}
}

// endpointSlice returns one of a Service, of our app unless the label is another.
func endpointSlice(name, service, label, family, ports, endpoints string) string {
	return fmt.Sprintf(`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice,
		metadata: {namespace: web, name: %s, labels: {kubernetes.io/service-name: %s, %s: %s}},
		addressType: %s, ports: [%s], endpoints: [%s]}`, name, service, partOf, label, family, ports, endpoints)
}

func TestCollectorCountsTheEndpointsOfAService(t *testing.T) {
	const (
		up   = "{addresses: [%s], conditions: {ready: true}}"
		down = "{addresses: [10.9.9.9], conditions: {ready: false}}"
		goes = "{addresses: [10.9.9.8], conditions: {ready: false, terminating: true}}"
		held = "{addresses: [10.9.9.7], conditions: {ready: true, terminating: true}}"
		bare = "{addresses: [10.1.0.1]}"
	)
	at := func(addresses ...string) string {
		var list []string
		for _, a := range addresses {
			list = append(list, fmt.Sprintf(up, a))
		}
		return strings.Join(list, ", ")
	}
	web := func(ready, waiting int, addresses ...string) []federation.Endpoints {
		return []federation.Endpoints{{Namespace: "web", Service: "nginx", Ready: ready, NotReady: waiting, Addresses: addresses}}
	}
	for name, c := range map[string]struct {
		slices []string
		want   []federation.Endpoints
	}{
		"none": {
			[]string{endpointSlice("s1", "nginx", "shop", "IPv4", "", "")},
			web(0, 0),
		},
		"ready and not": {
			[]string{endpointSlice("s1", "nginx", "shop", "IPv4", "{port: 8080}", at("10.1.0.2", "10.1.0.10")+", "+down)},
			web(2, 1, "10.1.0.10:8080", "10.1.0.2:8080"),
		},
		"ready by default": {
			[]string{endpointSlice("s1", "nginx", "shop", "IPv4", "{port: 8080}", bare)},
			web(1, 0, "10.1.0.1:8080"),
		},
		"terminating endpoints are neither": {
			[]string{endpointSlice("s1", "nginx", "shop", "IPv4", "{port: 8080}", goes+", "+held+", "+at("10.1.0.2"))},
			web(1, 0, "10.1.0.2:8080"),
		},
		"the lowest of its ports": {
			[]string{endpointSlice("s1", "nginx", "shop", "IPv4", "{name: b, port: 8443}, {name: a, port: 8080}", at("10.1.0.2"))},
			web(1, 0, "10.1.0.2:8080"),
		},
		"without a port": {
			[]string{endpointSlice("s1", "nginx", "shop", "IPv4", "", at("10.1.0.2"))},
			web(1, 0, "10.1.0.2"),
		},
		"the first eight of two slices": {
			[]string{
				endpointSlice("s1", "nginx", "shop", "IPv4", "{port: 80}", at("10.1.0.9", "10.1.0.8", "10.1.0.7", "10.1.0.6", "10.1.0.5")),
				endpointSlice("s2", "nginx", "shop", "IPv4", "{port: 80}", at("10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4")+", "+down),
			},
			web(9, 1, "10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80", "10.1.0.4:80", "10.1.0.5:80", "10.1.0.6:80", "10.1.0.7:80", "10.1.0.8:80"),
		},
		"the same endpoints in two families count once": {
			[]string{
				endpointSlice("s1", "nginx", "shop", "IPv6", "{port: 80}", at("'fd00::1'")+", "+down),
				endpointSlice("s2", "nginx", "shop", "IPv4", "{port: 80}", at("10.1.0.1")+", "+down),
			},
			web(1, 1, "10.1.0.1:80"),
		},
		"only the other family": {
			[]string{endpointSlice("s1", "nginx", "shop", "IPv6", "{port: 80}", at("'fd00::1'"))},
			web(1, 0, "[fd00::1]:80"),
		},
		"of other apps and of no Service": {
			[]string{
				endpointSlice("s1", "nginx", "bakery", "IPv4", "{port: 80}", at("10.1.0.1")),
				endpointSlice("s2", "''", "shop", "IPv4", "{port: 80}", at("10.1.0.1")),
			},
			[]federation.Endpoints{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := gather(t, nil)
			g.put(ourSlices, c.slices...)
			if diff := cmp.Diff(c.want, g.now().Endpoints); diff != "" {
				t.Errorf("Endpoints (-want +got):\n%s", diff)
			}
			g.emit(ourSlices, watch.Stopped)
			if got := g.now().Endpoints; len(got) > 0 {
				t.Errorf("after the watch's end, Endpoints = %v, want none", got)
			}
		})
	}
}

func quota(name, spec, hard, used string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: ResourceQuota, metadata: {namespace: web, name: %s}, spec: {%s}, status: {hard: {%s}, used: {%s}}}`,
		name, spec, hard, used)
}

func TestCollectorReadsQuotasOnObjectCounts(t *testing.T) {
	g := gather(t, nil)
	g.put(quotasWatch,
		quota("b", "", "pods: 1k, requests.cpu: 500m, services.nodeports: '3', count/replicasets.apps: '10'",
			"pods: '12', requests.cpu: 100m, services.nodeports: '0', count/replicasets.apps: '2'"),
		quota("a", "", "services: '5', secrets: many", "services: '1'"),
		quota("cpu", "", "limits.memory: 1Gi", "limits.memory: '0'"),
		quota("scoped", "scopes: [BestEffort]", "pods: '5'", "pods: '0'"),
		quota("prioritised", "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Exists}]}", "pods: '5'", "pods: '0'"))
	wanted := []federation.Quota{
		{Namespace: "web", Name: "a", Hard: map[string]int64{"services": 5}, Used: map[string]int64{"services": 1}},
		{
			Namespace: "web", Name: "b",
			Hard: map[string]int64{"pods": 1000, "services.nodeports": 3, "count/replicasets.apps": 10},
			Used: map[string]int64{"pods": 12, "services.nodeports": 0, "count/replicasets.apps": 2},
		},
	}
	if diff := cmp.Diff(wanted, g.now().Quotas); diff != "" {
		t.Errorf("Quotas (-want +got):\n%s", diff)
	}
}

func TestCollectorNamesZonesAndRegionsOnce(t *testing.T) {
	g := gather(t, nil)
	for i, zone := range []string{"europe-west1-b", "asia-east1-a", "europe-west1-b"} {
		g.put(nodesWatch, fmt.Sprintf(`{apiVersion: v1, kind: Node, metadata: {name: n%d, labels: {topology.kubernetes.io/zone: %s, topology.kubernetes.io/region: %s}}}`,
			i, zone, zone[:len(zone)-2]))
	}
	g.put(nodesWatch, `{apiVersion: v1, kind: Node, metadata: {name: nowhere}}`)
	got := g.now()
	membertest.Want(t, "zones", got.Zones, []string{"asia-east1-a", "europe-west1-b"})
	membertest.Want(t, "regions", got.Regions, []string{"asia-east1", "europe-west1"})
}

func TestCollectorReadsWhereTrafficMayGo(t *testing.T) {
	for _, c := range []struct {
		name, metadata, spec, status string
		want                         federation.Node
	}{
		{
			"a machine of Compute Engine", `labels: {topology.kubernetes.io/zone: asia-east1-a}`, `providerID: "gce://p/asia-east1-a/n"`,
			`addresses: [{type: Hostname, address: 10.0.0.9}, {type: ExternalIP, address: 203.0.113.1}, {type: InternalIP, address: "2001:db8::1"}, {type: InternalIP, address: 10.0.0.1}, {type: InternalIP, address: 10.0.0.2}],
			 conditions: [{type: MemoryPressure, status: "True", lastTransitionTime: "2020-01-01T00:00:00Z"}, {type: Ready, status: "True", lastTransitionTime: "2026-01-02T03:04:05Z"}]`,
			federation.Node{ProviderID: "gce://p/asia-east1-a/n", Zone: "asia-east1-a", Address: "10.0.0.1", Ready: true, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		},
		{"not Ready", "", "", `conditions: [{type: Ready, status: "Unknown", lastTransitionTime: "2026-01-02T03:04:05+01:00"}]`, federation.Node{Since: time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)}},
		{"cordoned", "", "unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]", "", federation.Node{}},
		{"about to be removed", "", "taints: [{key: a}, {key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]", "", federation.Node{Excluded: true}},
		{"excluded, without a value", `labels: {node.kubernetes.io/exclude-from-external-load-balancers: ""}`, "", "", federation.Node{Excluded: true}},
		{"of no shape", "", "taints: [7], providerID: 7", `addresses: {}, conditions: [{type: Ready, status: true, lastTransitionTime: 7}]`, federation.Node{}},
		{"an address that is none", "", "", `addresses: [{type: InternalIP, address: nowhere}]`, federation.Node{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gather(t, nil)
			g.put(nodesWatch, fmt.Sprintf("{apiVersion: v1, kind: Node, metadata: {name: n1, %s}, spec: {%s}, status: {%s}}", c.metadata, c.spec, c.status))
			c.want.Name = "n1"
			if diff := cmp.Diff([]federation.Node{c.want}, g.now().Nodes); diff != "" {
				t.Errorf("Nodes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHeartbeatsOfNodesChangeNoFact(t *testing.T) {
	const beat = `{apiVersion: v1, kind: Node, metadata: {name: n1, resourceVersion: "%d"},
		status: {conditions: [{type: Ready, status: "%s", lastHeartbeatTime: "2026-01-02T03:%02d:00Z", lastTransitionTime: "2026-01-02T03:00:00Z"}]}}`
	g := gather(t, nil)
	g.put(nodesWatch, fmt.Sprintf(beat, 1, "True", 0))
	g.emit(nodesWatch, watch.Listed)
	before, nodes := g.changes.Load(), g.now().Nodes
	for minute := range 10 {
		g.put(nodesWatch, fmt.Sprintf(beat, minute+2, "True", minute))
	}
	if got := g.changes.Load() - before; got != 0 || &g.now().Nodes[0] != &nodes[0] {
		t.Errorf("10 heartbeats caused %d notifications, or new facts", got)
	}
	g.put(nodesWatch, fmt.Sprintf(beat, 20, "False", 20))
	if got := g.changes.Load() - before; got != 1 || g.now().Nodes[0].Ready {
		t.Errorf("a node that is no longer Ready caused %d notifications, want one", got)
	}
}

func TestAResourceThatCannotBeListedIsUnknownAndNotEmpty(t *testing.T) {
	known := func(f federation.ClusterFacts) string {
		return fmt.Sprint("nodes ", f.NodesKnown, len(f.Nodes), " ingresses ", f.IngressesKnown, len(f.Ingresses))
	}
	g := gather(t, nil)
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"nothing was listed", func() {
			g.put(nodesWatch, `{apiVersion: v1, kind: Node, metadata: {name: n1}}`)
			g.put(ingressesWatch, route("a", "shop", ""))
		}, "nodes false 1 ingresses false 1"},
		{"both were", func() { g.emit(nodesWatch, watch.Listed); g.emit(ingressesWatch, watch.Listed) }, "nodes true 1 ingresses true 1"},
		{"out of sight for a while", func() {
			g.fail(nodesWatch, federation.FailureNetwork, "reset")
			g.fail(ingressesWatch, federation.FailureTimeout, "slow")
		}, "nodes true 1 ingresses true 1"},
		{"refused", func() {
			g.fail(nodesWatch, federation.FailureForbidden, "no")
			g.fail(ingressesWatch, federation.FailureForbidden, "no")
		}, "nodes false 1 ingresses false 1"},
	} {
		step.do()
		if got := known(g.now()); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if blind := g.now().Blind; len(blind) != 2 {
		t.Errorf("Blind = %v, want nodes and ingresses", blind)
	}
}

func TestCollectorReadsTheIngressUID(t *testing.T) {
	g := gather(t, nil)
	for _, step := range []struct {
		name string
		do   func()
		want federation.IngressUID
	}{
		{"not read yet", func() {}, federation.IngressUID{}},
		{"there is none", func() { g.emit(uidWatch, watch.Listed) }, federation.IngressUID{Known: true}},
		{"made", func() {
			g.put(uidWatch, `{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: ingress-uid}, data: {uid: a--0123, provider-uid: "4567"}}`)
		}, federation.IngressUID{Known: true, Exists: true, UID: "a--0123", Provider: "4567"}},
		{
			"out of sight", func() { g.fail(uidWatch, federation.FailureNetwork, "reset") },
			federation.IngressUID{Known: true, Exists: true, UID: "a--0123", Provider: "4567"},
		},
		{"deleted", func() {
			g.emit(uidWatch, watch.Listed)
			g.remove(uidWatch, `{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: ingress-uid}}`)
		}, federation.IngressUID{Known: true}},
		{"refused", func() { g.fail(uidWatch, federation.FailureForbidden, "no") }, federation.IngressUID{}},
	} {
		step.do()
		if got := g.now().IngressUID; got != step.want {
			t.Errorf("%s: IngressUID = %+v, want %+v", step.name, got, step.want)
		}
	}
}

func TestCollectorNamesEachUnwatchableResource(t *testing.T) {
	g := gather(t, nil)
	g.fail(secretWatch("b"), federation.FailureForbidden, "no")
	g.fail(secretWatch("a"), federation.FailureForbidden, "Bearer abcdefgh may not")
	g.fail(nodesWatch, federation.FailureTimeout, "slow")
	g.Observe(watch.Event{Watch: ingressesWatch, Type: watch.Failed, Err: &watch.Error{Watch: ingressesWatch, NotServed: true, Err: errors.New("404")}})
	slow := &watch.Error{Watch: quotasWatch, Failure: federation.FailureServer, Failures: 2, Err: errors.New("etcd")}
	g.Observe(watch.Event{Watch: quotasWatch, Type: watch.Failed, Err: slow})
	wanted := []federation.Blind{
		{Resource: "ingresses.networking.k8s.io", Error: untrusted.New("watch ingresses.networking.k8s.io: the cluster does not serve this kind")},
		{Resource: "resourcequotas", Failure: federation.FailureServer, Error: untrusted.New("watch resourcequotas: etcd")},
		{
			Resource: "secrets", Failure: federation.FailureForbidden,
			Error: untrusted.New("watch secrets in web, fields metadata.name=a: Bearer *** may not"),
		},
	}
	if diff := cmp.Diff(wanted, g.now().Blind); diff != "" {
		t.Errorf("Blind (-want +got):\n%s", diff)
	}
	g.emit(ingressesWatch, watch.Listed)
	g.emit(secretWatch("a"), watch.Stopped)
	g.emit(quotasWatch, watch.Listed)
	wanted = []federation.Blind{{
		Resource: "secrets", Failure: federation.FailureForbidden, Error: untrusted.New("watch secrets in web, fields metadata.name=b: no"),
	}}
	if diff := cmp.Diff(wanted, g.now().Blind); diff != "" {
		t.Errorf("after some are allowed, Blind (-want +got):\n%s", diff)
	}
}

func TestCollectorIsSafeForManyGoroutines(t *testing.T) {
	g := NewCollector(CollectorOptions{Label: partOf, Ours: func(string) bool { return true }})
	objects := map[watch.Watch]*unstructured.Unstructured{
		ourReplicaSets: membertest.LiveObject(t, []byte(set("nginx", 3, 3, 1, ""))),
		podsWatch:      membertest.LiveObject(t, []byte(waiting("p", "nginx", time.Hour))),
		servicesWatch:  membertest.LiveObject(t, []byte(service("a", "ports: [{port: 80, nodePort: 30001}]"))),
		ingressesWatch: membertest.LiveObject(t, []byte(route("a", "shop", "{secretName: a}"))),
		ourSlices:      membertest.LiveObject(t, []byte(endpointSlice("s", "a", "shop", "IPv4", "", ""))),
	}
	var running sync.WaitGroup
	for w, object := range objects {
		running.Go(func() {
			for range 200 {
				g.Observe(watch.Event{Watch: w, Type: watch.Upserted, Object: object})
				g.Observe(watch.Event{Watch: w, Type: watch.Listed})
				var f federation.ClusterFacts
				g.Facts(time.Now(), &f)
				_ = len(g.Watches())
				g.Observe(watch.Event{Watch: w, Type: watch.Deleted, Object: object})
			}
		})
	}
	running.Wait()
	var f federation.ClusterFacts
	g.Facts(time.Now(), &f)
	if n := len(f.NodePorts) + len(f.Workloads) + len(f.Ingresses) + len(f.Endpoints); n != 0 {
		t.Errorf("%d facts are left, want none: %+v", n, f)
	}
}

// TestCollectorsAreSmall limits the memory for two clusters with 500 Services, Ingresses
// and slices each to a megabyte or two.
func TestCollectorsAreSmall(t *testing.T) {
	const clusters, objects, limit = 2, 500, 3 << 20
	before := membertest.Heap()
	collectors := make([]*Collector, clusters)
	for i := range collectors {
		collectors[i] = NewCollector(CollectorOptions{Label: partOf, Ours: func(string) bool { return true }})
		for n := range objects {
			name := fmt.Sprintf("nginx-%d", n)
			for w, object := range map[watch.Watch]string{
				servicesWatch: service(name, fmt.Sprintf("large: %s, ports: [{port: 80, nodePort: %d}]", membertest.Padding, 30000+n)),
				ourSlices: endpointSlice(name, name, "shop", "IPv4", "{port: 80}",
					strings.Repeat("{addresses: [10.1.0.1], conditions: {ready: true}},", 20)),
				ingressesWatch: strings.Replace(route(name, "shop", ""), "annotations: {", "annotations: {large: "+membertest.Padding+", ", 1),
			} {
				collectors[i].Observe(watch.Event{Watch: w, Type: watch.Upserted, Object: membertest.LiveObject(t, []byte(object))})
			}
		}
		var f federation.ClusterFacts
		collectors[i].Facts(time.Now(), &f)
	}
	used := membertest.Heap() - before
	t.Logf("%d objects take %d KiB with their facts", clusters*objects*3, used>>10)
	if used > limit {
		t.Errorf("%d bytes, want at most %d", used, limit)
	}
	runtime.KeepAlive(collectors)
}

func TestCollectorForgetsLabelsThatNoObjectHas(t *testing.T) {
	g := gather(t, nil)
	g.put(ourReplicaSets, set("nginx", 1, 1, 1, ""))
	for i := range 1000 {
		foreign := route("x", fmt.Sprint("made-up-", i), "")
		g.put(ingressesWatch, foreign)
		g.remove(ingressesWatch, foreign)
	}
	if got := len(g.labels); got > firstManyLabels {
		t.Errorf("%d values of the label are remembered, want at most %d", got, firstManyLabels)
	}
	membertest.Want(t, "what is ours", []string{g.workload()}, []string{"1/1/1 - 0"})
}
