package daemon

import (
	"os"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// The life of a load balancer, with real clusters and every part of fedsync: migration to
// it, its certificates, clusters that leave it, changes by hand and a second instance. The
// cases share clusters, and nothing else.
func TestLifeOfALoadBalancer(t *testing.T) {
	s := lab.Own(t, 3, lab.WithGCP(1), lab.WithoutGLBC())
	for _, c := range []struct {
		name string
		run  func(*cloudWorld)
		long bool // it waits for slow things, so it is only in the long form
	}{
		{"an Ingress of Google's controller moves", (*cloudWorld).moves, false},
		{"certificates are renewed", (*cloudWorld).servesTLS, true},
		{"clusters leave", (*cloudWorld).leaves, true},
		{"somebody meddles", (*cloudWorld).meddled, false},
		{"another instance takes over", (*cloudWorld).yields, false},
		{"a single pass", (*cloudWorld).once, false},
	} {
		if c.long && os.Getenv(longTests) == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.run(newCloudWorld(t, s)) })
	}
}

const (
	annotationOwnAddress = "fedsync.dev/address"
	toWeb                = "{defaultBackend: {service: {name: web, port: {number: 80}}}}"
)

// moves takes an Ingress over from Google's controller: both serve until a user confirms
// that the old load balancer may go.
func (w *cloudWorld) moves() {
	home := w.sandbox.Clusters()[0]
	h := w.hand()
	old := w.reserve(h, w.namespace+"-old")
	annotations := map[string]string{federation.AnnotationClass: federation.ClassGoogle, glbcAddress: w.namespace + "-old"}
	w.noGCP, w.web = true, w.ingressWith(toWeb, annotations)
	controller := w.glbc(home)
	d := w.start()
	w.push()
	w.answeredBy(old, []string{home})
	theirs := w.load(old)
	defer theirs.stop()

	// The address of the other load balancer.
	w.noGCP = false
	w.refusedAddress(d, old)
	theirs.unharmed(w.t)

	annotations[annotationOwnAddress] = w.namespace + "-new"
	w.web = w.ingressWith(toWeb, annotations)
	w.push()
	address := w.served(d).Balancers[0].Address
	w.answeredBy(address, w.sandbox.Clusters())
	ours := w.load(address)
	defer ours.stop()
	d.await("both are told of", hasFinding("D12", home, address, "both serve"))
	if class := w.classIn(home); class != federation.ClassGoogle {
		w.t.Errorf("while both serve its class in %s is %q", home, class)
	}
	w.shows(home, old)

	// The address of the other load balancer again, now that fedsync has one too.
	before := w.mutations()
	delete(annotations, annotationOwnAddress)
	w.web = w.ingressWith(toWeb, annotations)
	w.refusedAddress(d, old)
	w.unchanged(w.t, before)
	annotations[annotationOwnAddress] = w.namespace + "-new"
	w.web = w.ingressWith(toWeb, annotations)
	w.push()
	w.served(d)
	w.unchanged(w.t, before)
	theirs.unharmed(w.t)
	ours.unharmed(w.t)
	theirs.stop()

	// DNS has moved.
	controller.stays.Lock()
	annotations[federation.AnnotationMove] = federation.MoveAllowed
	w.web = w.ingressWith(toWeb, annotations)
	w.push()
	eventually(w.t, "the class changes in "+home, func() string {
		if class := w.classIn(home); class != federation.ClassGlobal {
			return "it is " + class
		}
		return ""
	})
	w.served(d)
	w.shows(home, old) // until its controller has released it
	controller.stays.Unlock()
	w.shownInEveryCluster(address)
	ours.unharmed(w.t)
	ours.stop()
	w.unchanged(w.t, before)
	w.t.Logf("Google's controller: %s; fedsync: %s", theirs, ours)
}

// refusedAddress pushes an Ingress whose address is that of another load balancer, and
// checks that nothing is done.
func (w *cloudWorld) refusedAddress(d *ran, address string) {
	w.t.Helper()
	before := w.mutations()
	sha := w.push()
	d.await("the address is refused", func(r *status.Report) string {
		if r.Revision.SHA != sha || r.State != status.Failure {
			return "it is not a failure"
		}
		return hasFinding("E address", address, "Google's ingress controller", annotationOwnAddress)(r)
	})
	w.unchanged(w.t, before)
}

// classIn returns the class of the Ingress in a cluster.
func (w *cloudWorld) classIn(cluster string) string {
	w.t.Helper()
	u := w.get(cluster, "Ingress", "web")
	if class := u.GetAnnotations()[federation.AnnotationClass]; class != "" {
		return class
	}
	class, _, _ := unstructured.NestedString(u.Object, "spec", "ingressClassName")
	return class
}

// shows checks that the Ingress in a cluster shows an address.
func (w *cloudWorld) shows(cluster, address string) {
	w.t.Helper()
	u := w.get(cluster, "Ingress", "web")
	shown, _, _ := unstructured.NestedSlice(u.Object, "status", "loadBalancer", "ingress")
	if !slices.ContainsFunc(shown, func(i any) bool { m, _ := i.(map[string]any); return m["ip"] == address }) || len(shown) != 1 {
		w.t.Errorf("the Ingress in %s shows %v, want %s", cluster, shown, address)
	}
}
