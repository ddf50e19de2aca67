package sandbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/fedsync/fedsync/sandbox/control"
)

const (
	classAnnotation  = "kubernetes.io/ingress.class"
	staticAnnotation = "kubernetes.io/ingress.global-static-ip-name"
	finalizer        = "networking.gke.io/ingress-finalizer"
	written          = "ingress.kubernetes.io/"
)

func TestIngressesWithOneStaticAddressHaveItInEveryCluster(t *testing.T) {
	ns := namespace(t, 0, 1)
	var got []string
	for i := range 2 {
		c := client(t, i)
		createService(t, c, ns, "web")
		createIngress(t, c, ns, "web", map[string]string{classAnnotation: "gce", staticAnnotation: "web-ip"})
		got = append(got, address(t, c, ns, "web"))
	}
	if got[0] != got[1] || !strings.HasPrefix(got[0], "203.0.113.") {
		t.Errorf("addresses are %v, want one of 203.0.113.0/24", got)
	}
}

func TestIngressesWithoutAStaticAddressHaveOneEach(t *testing.T) {
	ns := namespace(t, 0, 1)
	seen := map[string]bool{}
	for i := range 2 {
		c := client(t, i)
		createService(t, c, ns, "web")
		for _, name := range []string{"first", "second"} {
			createIngress(t, c, ns, name, nil)
			seen[address(t, c, ns, name)] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("4 Ingresses have %d addresses: %v", len(seen), seen)
	}
}

func TestIngressIsWrittenAsGLBCWritesIt(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	createService(t, c, ns, "web")
	createReplicaSet(t, c, ns, 1, nil)
	eventually(t, "an endpoint is ready", func() bool { return readyEndpoints(t, c, ns) == 1 })
	createIngress(t, c, ns, "web", map[string]string{staticAnnotation: "web-ip"}, func(i *networkingv1.Ingress) {
		i.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "tls-secret"}}
	})
	address(t, c, ns, "web")
	port, uid := nodePort(t, c, ns), uidOf(t, c)
	want := map[string]string{
		"url-map":               fmt.Sprintf("k8s-um-%s-web--%s", ns, uid),
		"target-proxy":          fmt.Sprintf("k8s-tp-%s-web--%s", ns, uid),
		"forwarding-rule":       fmt.Sprintf("k8s-fw-%s-web--%s", ns, uid),
		"https-target-proxy":    fmt.Sprintf("k8s-tps-%s-web--%s", ns, uid),
		"https-forwarding-rule": fmt.Sprintf("k8s-fws-%s-web--%s", ns, uid),
		"backends":              fmt.Sprintf(`{"k8s-be-%d--%s":"HEALTHY"}`, port, uid),
	}
	eventually(t, "the annotations are there", func() bool { return annotation(t, c, ns, "web", "backends") != "" })
	for name, value := range want {
		if got := annotation(t, c, ns, "web", name); got != value {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
	i := getIngress(t, c, ns, "web")
	for _, entry := range i.ManagedFields {
		if entry.Manager == "glbc" && entry.Operation != metav1.ManagedFieldsOperationUpdate {
			t.Errorf("glbc owns fields by %s, want Update", entry.Operation)
		}
	}

	i.Spec.TLS = nil
	if _, err := c.NetworkingV1().Ingresses(ns).Update(t.Context(), i, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the names for HTTPS are gone with the TLS", func() bool {
		return annotation(t, c, ns, "web", "https-forwarding-rule") == "" && annotation(t, c, ns, "web", "https-target-proxy") == ""
	})
}

func TestIngressProgressIsReportedInEvents(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	createIngress(t, c, ns, "web", nil)
	events := func() (all []string) {
		events, err := c.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.kind=Ingress,involvedObject.name=web"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			all = append(all, e.Reason+" "+e.Message)
		}
		return all
	}
	emitted := func(want string) bool {
		return slices.Contains(events(), want)
	}
	eventually(t, "ADD is emitted", func() bool { return emitted("ADD " + ns + "/web") })
	eventually(t, "the missing Service is reported", func() bool {
		return emitted(fmt.Sprintf("Translate Translation failed: invalid ingress spec: could not find service %q", ns+"/web"))
	})
	createService(t, c, ns, "web")
	eventually(t, "CREATE is emitted", func() bool { return emitted("CREATE ip: " + address(t, c, ns, "web")) })
	eventually(t, "the stand-in reports that it called nobody", func() bool {
		return strings.Contains(strings.Join(events(), "\n"), "without calling Compute Engine")
	})
}

func TestIngressWaitsForANodePort(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	s := service("web")
	s.Spec.Type = corev1.ServiceTypeClusterIP
	if _, err := c.CoreV1().Services(ns).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	createIngress(t, c, ns, "web", nil)
	eventually(t, "the type of the Service is complained about", func() bool {
		events, err := c.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Translate"})
		if err != nil {
			t.Fatal(err)
		}
		return len(events.Items) == 1 && strings.Contains(events.Items[0].Message, `is type "ClusterIP", expected "NodePort"`)
	})
	if got := getIngress(t, c, ns, "web").Status.LoadBalancer.Ingress; len(got) != 0 {
		t.Errorf("without a node port it has address %v", got)
	}
	patch := []byte(`{"spec":{"type":"NodePort"}}`)
	if _, err := c.CoreV1().Services(ns).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	address(t, c, ns, "web")
}

func TestOnlyIngressesOfGLBCsClassAreTaken(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	createService(t, c, ns, "web")
	named := func(class string) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Spec.IngressClassName = &class }
	}
	createIngress(t, c, ns, "nginx", map[string]string{classAnnotation: "nginx"})
	createIngress(t, c, ns, "by-field", nil, named("gce"))
	createIngress(t, c, ns, "global", nil, named("fedsync-global"))
	createIngress(t, c, ns, "by-annotation", map[string]string{classAnnotation: "gce"})
	createIngress(t, c, ns, "empty", map[string]string{classAnnotation: ""})
	createIngress(t, c, ns, "last", nil)
	for _, name := range []string{"by-annotation", "empty", "last"} {
		address(t, c, ns, name)
	}
	for _, name := range []string{"nginx", "by-field", "global"} {
		i := getIngress(t, c, ns, name)
		if len(i.Status.LoadBalancer.Ingress) != 0 || i.Annotations[written+"url-map"] != "" {
			t.Errorf("%s was taken: %v %v", name, i.Status.LoadBalancer.Ingress, i.Annotations)
		}
	}
}

func TestBackendsFollowTheirEndpoints(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	createService(t, c, ns, "web")
	createIngress(t, c, ns, "web", nil)
	state := func(want string) func() bool {
		return func() bool { return strings.HasSuffix(annotation(t, c, ns, "web", "backends"), `:"`+want+`"}`) }
	}
	eventually(t, "without endpoints it is Unknown", state("Unknown"))
	createReplicaSet(t, c, ns, 1, map[string]string{"sandbox.fedsync.dev/ready": "false"})
	eventually(t, "with none that is ready it is UNHEALTHY", state("UNHEALTHY"))
	pods, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"metadata":{"annotations":{"sandbox.fedsync.dev/ready":null}}}`)
	if _, err := c.CoreV1().Pods(ns).Patch(t.Context(), pods.Items[0].Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "with one that is ready it is HEALTHY", state("HEALTHY"))
	scale(t, c, ns, 0)
	eventually(t, "without endpoints it is Unknown again", state("Unknown"))
}

func TestChangedUIDNamesWhatIsMadeFromThenOn(t *testing.T) {
	c, ns := client(t, 1), namespace(t, 1)
	createService(t, c, ns, "web")
	createIngress(t, c, ns, "before", nil)
	old := uidOf(t, c)
	urlMap := func(name string) func() bool {
		return func() bool { return annotation(t, c, ns, name, "url-map") != "" }
	}
	eventually(t, "the first Ingress is built", urlMap("before"))

	const shared = "federation--ff1107f83ed600c0" // what counts stands after the dashes
	setUID(t, c, shared)
	t.Cleanup(func() { setUID(t, c, old) })
	eventually(t, "a new Ingress is named with the new UID", func() bool {
		// Only a new load balancer shows that the stand-in has seen the
		// change.
		name := fmt.Sprintf("after-%s", strings.ToLower(metav1.Now().Format("150405.000")))
		name = strings.ReplaceAll(name, ".", "-")
		createIngress(t, c, ns, name, nil)
		eventually(t, "it is built", urlMap(name))
		return strings.HasSuffix(annotation(t, c, ns, name, "url-map"), "--ff1107f83ed600c0")
	})
	if got := annotation(t, c, ns, "before", "url-map"); !strings.HasSuffix(got, "--"+old) {
		t.Errorf("the first Ingress has url map %s, want the UID it was built with, %s", got, old)
	}
}

func TestLostUIDIsWrittenAgain(t *testing.T) {
	c := client(t, 1)
	old := uidOf(t, c)
	if err := c.CoreV1().ConfigMaps(metav1.NamespaceSystem).Delete(t.Context(), "ingress-uid", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ConfigMap is back", func() bool {
		_, err := c.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(t.Context(), "ingress-uid", metav1.GetOptions{})
		return err == nil
	})
	if got := uidOf(t, c); got != old {
		t.Errorf("the UID is %s, want %s as before", got, old)
	}
}

func TestClustersHaveDifferentUIDs(t *testing.T) {
	if a, b := uidOf(t, client(t, 0)), uidOf(t, client(t, 1)); a == b {
		t.Errorf("both clusters have UID %s", a)
	}
}

func TestDeletedIngressLosesItsFinalizer(t *testing.T) {
	c, ns := client(t, 0), namespace(t, 0)
	createService(t, c, ns, "web")
	createIngress(t, c, ns, "web", nil, func(i *networkingv1.Ingress) { i.Finalizers = []string{finalizer} })
	address(t, c, ns, "web")
	if err := c.NetworkingV1().Ingresses(ns).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool {
		_, err := c.NetworkingV1().Ingresses(ns).Get(t.Context(), "web", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestIngressesGetAddressesAfterAnOutage(t *testing.T) {
	c, ns := client(t, 1), namespace(t, 1)
	createService(t, c, ns, "web")
	createIngress(t, c, ns, "before", nil)
	before := address(t, c, ns, "before")
	for _, outage := range [][2]control.Action{{control.Pause, control.Resume}, {control.Kill, control.Start}} {
		act(t, outage[0])
		act(t, outage[1])
		name := "after-" + string(outage[0])
		createIngress(t, c, ns, name, nil)
		address(t, c, ns, name)
	}
	if after := address(t, c, ns, "before"); after != before {
		t.Errorf("the address was %s and is %s", before, after)
	}
}

func createIngress(t *testing.T, c kubernetes.Interface, ns, name string, annotations map[string]string, change ...func(*networkingv1.Ingress)) {
	t.Helper()
	i := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"}},
		}},
	}
	for _, f := range change {
		f(i)
	}
	if _, err := c.NetworkingV1().Ingresses(ns).Create(t.Context(), i, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func getIngress(t *testing.T, c kubernetes.Interface, ns, name string) *networkingv1.Ingress {
	t.Helper()
	i, err := c.NetworkingV1().Ingresses(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// address waits for the address of an Ingress and returns it.
func address(t *testing.T, c kubernetes.Interface, ns, name string) string {
	t.Helper()
	var ip string
	eventually(t, name+" has an address", func() bool {
		all := getIngress(t, c, ns, name).Status.LoadBalancer.Ingress
		if len(all) == 1 {
			ip = all[0].IP
		}
		return ip != ""
	})
	return ip
}

func annotation(t *testing.T, c kubernetes.Interface, ns, name, which string) string {
	t.Helper()
	return getIngress(t, c, ns, name).Annotations[written+which]
}

func nodePort(t *testing.T, c kubernetes.Interface, ns string) int32 {
	t.Helper()
	s, err := c.CoreV1().Services(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Spec.Ports[0].NodePort
}

func uidOf(t *testing.T, c kubernetes.Interface) string {
	t.Helper()
	m, err := c.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(t.Context(), "ingress-uid", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Data["uid"]
}

func setUID(t *testing.T, c kubernetes.Interface, uid string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"data":{"uid":%q}}`, uid)
	_, err := c.CoreV1().ConfigMaps(metav1.NamespaceSystem).Patch(context.WithoutCancel(t.Context()), "ingress-uid", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
