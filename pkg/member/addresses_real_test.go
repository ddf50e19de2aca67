package member

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/lab/faults"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
)

// keeping is a Member of a real cluster, with an Ingress of the test's own.
type keeping struct {
	*Member
	t         *testing.T
	proxy     *lab.Proxy
	client    kubernetes.Interface // past the proxy
	namespace string
	object    *federation.Object
	ref       federation.ObjectRef
	planned   federation.ClusterPlan
}

func newKeeping(t *testing.T) *keeping {
	t.Helper()
	s := lab.Shared(t)
	cluster := s.Clusters()[0]
	k := &keeping{t: t, proxy: s.Faults(t).Proxy(cluster), client: s.Client(t, cluster), namespace: s.Namespace(t)}
	var content map[string]any
	if err := yaml.Unmarshal([]byte(fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: %s}
spec:
  ingressClassName: fedsync-global
  defaultBackend: {service: {name: web, port: {number: 80}}}
`, k.namespace)), &content); err != nil {
		t.Fatal(err)
	}
	var err error
	if k.object, err = federation.NewObject(content, "apps/web/ingress.yaml"); err != nil {
		t.Fatal(err)
	}
	k.ref = k.object.Ref
	name := "f" + k.namespace[strings.LastIndex(k.namespace, "-")+1:]
	claims := claim.Open(claim.Options{Dir: t.TempDir(), Source: "source"})
	claims.Members(name, "source", []string{cluster})
	k.Member = New(Options{
		Cluster: federation.Cluster{Name: cluster, Context: cluster}, Federation: name,
		NodePorts: federation.PortRange{First: 30000, Last: 32767}, Source: "source", Version: "v0.0.1-test",
		Connect:     func(string) (Connection, error) { return Connection{REST: k.proxy.RESTConfig(), Digest: "one"}, nil },
		Claim:       claims.Claim,
		Concurrency: 4, RequestTimeout: 30 * time.Second, StatusDeadline: time.Hour,
		ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 10 * time.Second, Log: zaptest.NewLogger(t),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2) // both may end before the test waits
	go func() { claims.Run(ctx); ended <- struct{}{} }()
	go func() { k.Run(ctx); ended <- struct{}{} }()
	t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
		_ = claims.Close() // its folder is deleted with the test
		clean := context.WithoutCancel(t.Context())
		ours := metav1.ListOptions{LabelSelector: inventory.ParentSelector(name)}
		if err := k.client.CoreV1().ConfigMaps(federation.SystemNamespace).DeleteCollection(clean, metav1.DeleteOptions{}, ours); err != nil {
			t.Error(err)
		}
		if err := k.client.CoordinationV1().Leases(claim.Namespace).DeleteCollection(clean, metav1.DeleteOptions{},
			metav1.ListOptions{FieldSelector: claim.FieldSelector(name)}); err != nil {
			t.Error(err)
		}
	})
	return k
}

// plan sets a plan with these addresses of the Ingress.
func (k *keeping) plan(addresses map[federation.ObjectRef]string) {
	k.planned = federation.ClusterPlan{
		Cluster: k.Cluster.Name, Revision: federation.Revision{Ref: "main", SHA: "1a2b3c4d"}, Addresses: addresses,
		Apps: []federation.AppPlan{{App: "web", Objects: []*federation.Object{k.object}, Prune: federation.PruneOff}},
	}
	k.Want(k.planned)
}

// shows waits until the Ingress shows exactly these addresses.
func (k *keeping) shows(what string, addresses ...string) *networkingv1.Ingress {
	k.t.Helper()
	var live *networkingv1.Ingress
	k.await(what, func() bool {
		var err error
		live, err = k.client.NetworkingV1().Ingresses(k.namespace).Get(k.t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			return false
		}
		var got []string
		for _, entry := range live.Status.LoadBalancer.Ingress {
			got = append(got, entry.IP)
		}
		return slices.Equal(got, addresses)
	})
	return live
}

func (k *keeping) await(what string, is func() bool) {
	k.t.Helper()
	deadline := time.Now().Add(45 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			for _, r := range k.proxy.Requests().Where(func(r faults.Request) bool { return r.Verb != "watch" && r.Path != "/readyz" }) {
				k.t.Logf("%s %s %s %d", r.Time.Format("05.000"), r.Verb, r.Path, r.Status)
			}
			o := k.Outcome()
			k.t.Fatalf("%s: not within 45 s; findings %v, own %v, facts %+v", what, o.Findings, o.Own, o.Facts)
		}
		<-time.After(50 * time.Millisecond) // the cluster's changes have no event here
		k.Want(k.planned)                   // as the daemon does when it knows the cluster's facts
	}
}

// writes counts the requests that wrote the status.
func (k *keeping) writes() int {
	return len(k.proxy.Requests().Where(func(r faults.Request) bool {
		return r.Resource == "ingresses.networking.k8s.io" && r.Verb != "get" && r.Subresource == "status" && r.Namespace == k.namespace
	}))
}

func (k *keeping) finding(id string) bool {
	return slices.ContainsFunc(k.Outcome().Findings, func(f federation.Finding) bool { return f.ID == id && f.Object == k.ref })
}

func TestAnIngressShowsTheAddressOfTheLoadBalancerOnARealAPIServer(t *testing.T) {
	k := newKeeping(t)
	k.plan(map[federation.ObjectRef]string{k.ref: "203.0.113.1"})
	began := time.Now()
	live := k.shows("the address", "203.0.113.1")
	t.Logf("shown after %v", time.Since(began))
	k.await("settled", func() bool { return k.Outcome().Done })
	for _, entry := range live.ManagedFields {
		if entry.Subresource == "status" && entry.Manager != federation.AddressManager {
			t.Errorf("the status has the manager %s", entry.Manager)
		}
	}
	var fact federation.Ingress
	k.await("the fact", func() bool { fact, _ = k.Outcome().Facts.Ingress(k.namespace, "web"); return !fact.StatusBy.IsZero() })
	if fact.StatusBy.String() != federation.AddressManager || fact.ClassName != federation.ClassGlobal || !fact.Ours {
		t.Errorf("the fact is %+v", fact)
	}

	k.plan(map[federation.ObjectRef]string{k.ref: "203.0.113.2"})
	k.shows("another address", "203.0.113.2")
	k.plan(nil)
	k.plan(map[federation.ObjectRef]string{})
	k.shows("no address")
	k.plan(map[federation.ObjectRef]string{k.ref: "203.0.113.2"})
	k.shows("the address again", "203.0.113.2")
	k.await("settled", func() bool { return k.Outcome().Current() })
	if got := k.writes(); got != 4 {
		t.Errorf("%d requests for 4 changes", got)
	}
	if f := k.Outcome().Findings; len(f) != 0 {
		t.Errorf("findings %v", f)
	}

	// The member's other writes continue as if there were no address.
	before := len(k.proxy.Requests().Writes())
	<-time.After(2 * time.Second) // the absence of requests has no event
	if got := len(k.proxy.Requests().Writes()); got != before {
		t.Errorf("idle, %d requests were made", got-before)
	}
}

func TestAnAddressByAnotherControllerStaysOnARealAPIServer(t *testing.T) {
	k := newKeeping(t)
	k.plan(map[federation.ObjectRef]string{})
	k.await("the Ingress", func() bool { return k.Outcome().Done })
	live := k.shows("nothing")
	live.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "203.0.113.9"}}
	if _, err := k.client.NetworkingV1().Ingresses(k.namespace).UpdateStatus(t.Context(), live, metav1.UpdateOptions{FieldManager: "nginx-ingress-controller"}); err != nil {
		t.Fatal(err)
	}
	k.await("the fact", func() bool {
		fact, _ := k.Outcome().Facts.Ingress(k.namespace, "web")
		return fact.StatusBy.String() == "nginx-ingress-controller"
	})
	k.plan(map[federation.ObjectRef]string{k.ref: "203.0.113.1"})
	k.await("a finding", func() bool { return k.finding("foreign") })
	k.shows("the other's address", "203.0.113.9")
	if got := k.writes(); got != 0 {
		t.Errorf("%d requests wrote the status", got)
	}

	// When that controller releases it, the address is written.
	live = k.shows("the other's address", "203.0.113.9")
	live.Status.LoadBalancer.Ingress = nil
	if _, err := k.client.NetworkingV1().Ingresses(k.namespace).UpdateStatus(t.Context(), live, metav1.UpdateOptions{FieldManager: "nginx-ingress-controller"}); err != nil {
		t.Fatal(err)
	}
	k.shows("the address", "203.0.113.1")
	k.await("no finding", func() bool { return !k.finding("foreign") })
}

// Google's controller releases an Ingress that is no longer of its class: at first it
// holds the Ingress, then its finalizer goes, and its annotations and its status stay.
func TestAStatusByGooglesControllerIsTakenOverWhenItIsReleasedOnARealAPIServer(t *testing.T) {
	k := newKeeping(t)
	k.plan(map[federation.ObjectRef]string{})
	k.await("the Ingress", func() bool { return k.Outcome().Done })
	api := k.client.NetworkingV1().Ingresses(k.namespace)
	live := k.shows("nothing")
	live.Finalizers = []string{"networking.gke.io/ingress-finalizer-V2"}
	live.Annotations = map[string]string{"ingress.kubernetes.io/url-map": "k8s-um-web"}
	live, err := api.Update(t.Context(), live, metav1.UpdateOptions{FieldManager: "glbc"})
	if err != nil {
		t.Fatal(err)
	}
	live.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "203.0.113.9"}}
	if _, err := api.UpdateStatus(t.Context(), live, metav1.UpdateOptions{FieldManager: "glbc"}); err != nil {
		t.Fatal(err)
	}
	k.await("the fact", func() bool {
		fact, _ := k.Outcome().Facts.Ingress(k.namespace, "web")
		return fact.StatusBy.String() == "glbc" && fact.GoogleHeld
	})
	k.plan(map[federation.ObjectRef]string{k.ref: "203.0.113.1"})
	k.await("the plan", func() bool { return k.Outcome().Current() })
	if got := k.writes(); got != 0 {
		t.Errorf("%d requests while the controller holds it", got)
	}
	live = k.shows("the controller's address", "203.0.113.9")
	live.Finalizers = nil
	if _, err := api.Update(t.Context(), live, metav1.UpdateOptions{FieldManager: "glbc"}); err != nil {
		t.Fatal(err)
	}
	k.shows("the address", "203.0.113.1")
	if got := k.writes(); got != 1 {
		t.Errorf("%d requests when it has let go", got)
	}
}

func TestAnAddressThatMayNotBeWrittenDelaysNothingOnARealAPIServer(t *testing.T) {
	k := newKeeping(t)
	rule := k.proxy.Add(faults.Rule{Method: http.MethodPatch, Path: "/ingresses/web/status$", Action: faults.Answer, Status: http.StatusForbidden})
	k.plan(map[federation.ObjectRef]string{k.ref: "203.0.113.1"})
	k.await("the Ingress, without its address", func() bool { return k.Outcome().Done && k.finding("D07") })
	rule.Remove()
	k.plan(map[federation.ObjectRef]string{})
	k.await("no finding", func() bool { return !k.finding("D07") })
}
