package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/api/compute/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/fedsync/fedsync/pkg/federation"
)

// The names that Google's ingress controller reads and writes.
const (
	glbcAddress   = "kubernetes.io/ingress.global-static-ip-name"
	glbcPrefix    = "ingress.kubernetes.io/"
	glbcFinalizer = "networking.gke.io/ingress-finalizer"
	glbcUID       = "0a1b2c3d4e5f6071"
	glbcManager   = "glbc"
)

// glbc acts as Google's ingress controller, in one cluster and for one Ingress. It builds
// its own load balancer to the cluster's node ports, on the reserved address that the
// Ingress names, and deletes it when the Ingress no longer has its class.
type glbc struct {
	*hand

	cluster    kubernetes.Interface
	namespace  string
	log        func(string, ...any)
	stays      sync.Mutex // while locked, the controller does not release the Ingress
	zone       string     // of the nodes
	port       int64      // the node port
	built      bool
	lastReport string
}

// glbc runs the controller in a cluster until the test's end.
func (w *cloudWorld) glbc(cluster string) *glbc {
	g := &glbc{hand: w.hand(), cluster: w.sandbox.Client(w.t, cluster), namespace: w.namespace, log: w.t.Logf}
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { g.run(ctx) })
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return g
}

func (g *glbc) run(ctx context.Context) {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		if err := g.sync(ctx); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && err.Error() != g.lastReport {
			g.lastReport = err.Error()
			g.log("glbc: %v", err)
		}
	}
}

// sync brings the Ingress one step further.
func (g *glbc) sync(ctx context.Context) error {
	ingresses := g.cluster.NetworkingV1().Ingresses(g.namespace)
	i, err := ingresses.Get(ctx, "web", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	held := slices.Contains(i.Finalizers, glbcFinalizer)
	switch serves := i.DeletionTimestamp == nil && isGLBCs(i); {
	case serves && !held:
		i.Finalizers = append(i.Finalizers, glbcFinalizer)
		_, err = ingresses.Update(ctx, i, metav1.UpdateOptions{FieldManager: glbcManager})
		return err
	case serves:
		return g.serve(ctx, i)
	case held:
		return g.letGo(ctx, i)
	}
	return nil
}

// isGLBCs reports whether the controller handles an Ingress: it reads the value of the
// annotation, but only the presence of the field.
func isGLBCs(i *networkingv1.Ingress) bool {
	class := i.Annotations[federation.AnnotationClass]
	return class == federation.ClassGoogle || class == "" && i.Spec.IngressClassName == nil
}

// serve builds the load balancer and records it on the Ingress.
func (g *glbc) serve(ctx context.Context, i *networkingv1.Ingress) error {
	address, err := g.GlobalAddresses.Get(g.project, i.Annotations[glbcAddress]).Context(ctx).Do()
	if err != nil {
		return err
	}
	if !g.built {
		if err := g.build(ctx, address); err != nil {
			return err
		}
		g.built = true
	}
	ingresses := g.cluster.NetworkingV1().Ingresses(g.namespace)
	if shown := i.Status.LoadBalancer.Ingress; len(shown) != 1 || shown[0].IP != address.Address {
		i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: address.Address}}
		if i, err = ingresses.UpdateStatus(ctx, i, metav1.UpdateOptions{FieldManager: glbcManager}); err != nil {
			return err
		}
	}
	annotations, err := g.annotations(ctx)
	if err != nil {
		return err
	}
	now := maps.Clone(i.Annotations)
	maps.Copy(now, annotations)
	if maps.Equal(now, i.Annotations) {
		return nil
	}
	i.Annotations = now
	_, err = ingresses.Update(ctx, i, metav1.UpdateOptions{FieldManager: glbcManager})
	return err
}

// annotations returns what the controller records on the Ingress.
func (g *glbc) annotations(ctx context.Context) (map[string]string, error) {
	group := &compute.ResourceGroupReference{Group: "zones/" + g.zone + "/instanceGroups/" + g.group()}
	health, err := g.BackendServices.GetHealth(g.project, g.backend(), group).Context(ctx).Do()
	if err != nil {
		return nil, err
	}
	state := "Unknown"
	for _, h := range health.HealthStatus {
		if state != "HEALTHY" {
			state = h.HealthState
		}
	}
	backends, err := json.Marshal(map[string]string{g.backend(): state})
	return map[string]string{
		glbcPrefix + "url-map": g.named("um"), glbcPrefix + "target-proxy": g.named("tp"),
		glbcPrefix + "forwarding-rule": g.named("fw"), glbcPrefix + "backends": string(backends),
	}, err
}

func (g *glbc) named(kind string) string {
	return "k8s-" + kind + "-" + g.namespace + "-web--" + glbcUID
}
func (g *glbc) backend() string  { return fmt.Sprintf("k8s-be-%d--%s", g.port, glbcUID) }
func (g *glbc) group() string    { return "k8s-ig--" + glbcUID }
func (g *glbc) firewall() string { return "k8s-fw-l7--" + glbcUID }

// build creates everything on Compute Engine as the controller does: with an instance
// group of the cluster's nodes, and the scheme EXTERNAL.
func (g *glbc) build(ctx context.Context, address *compute.Address) error {
	service, err := g.cluster.CoreV1().Services(g.namespace).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	g.port = int64(service.Spec.Ports[0].NodePort)
	instances, tag, err := g.machines(ctx)
	if err != nil {
		return err
	}
	group, port := "projects/"+g.project+"/zones/"+g.zone+"/instanceGroups/"+g.group(), fmt.Sprintf("port%d", g.port)
	return g.all(ctx, http.StatusConflict,
		g.Firewalls.Insert(g.project, &compute.Firewall{
			Name: g.firewall(), Network: g.global("networks/default"), SourceRanges: []string{"130.211.0.0/22", "35.191.0.0/16"},
			Allowed: []*compute.FirewallAllowed{{IPProtocol: "tcp", Ports: []string{"30000-32767"}}}, TargetTags: []string{tag},
		}),
		g.InstanceGroups.Insert(g.project, g.zone, &compute.InstanceGroup{
			Name: g.group(), NamedPorts: []*compute.NamedPort{{Name: port, Port: g.port}},
		}),
		g.InstanceGroups.AddInstances(g.project, g.zone, g.group(), &compute.InstanceGroupsAddInstancesRequest{Instances: instances}),
		g.HealthChecks.Insert(g.project, &compute.HealthCheck{
			Name: g.backend(), Type: "HTTP", HttpHealthCheck: &compute.HTTPHealthCheck{Port: g.port, RequestPath: "/"},
		}),
		g.BackendServices.Insert(g.project, &compute.BackendService{
			Name: g.backend(), LoadBalancingScheme: "EXTERNAL", Protocol: "HTTP", PortName: port,
			HealthChecks: []string{g.global("healthChecks/" + g.backend())},
			Backends:     []*compute.Backend{{Group: group, BalancingMode: "RATE", MaxRatePerInstance: 1}},
		}),
		g.UrlMaps.Insert(g.project, &compute.UrlMap{Name: g.named("um"), DefaultService: g.global("backendServices/" + g.backend())}),
		g.TargetHttpProxies.Insert(g.project, &compute.TargetHttpProxy{Name: g.named("tp"), UrlMap: g.global("urlMaps/" + g.named("um"))}),
		g.GlobalForwardingRules.Insert(g.project, &compute.ForwardingRule{
			Name: g.named("fw"), IPAddress: address.Address, IPProtocol: "TCP", PortRange: "80",
			Target: g.global("targetHttpProxies/" + g.named("tp")),
		}),
	)
}

// machines returns the machines of the cluster's nodes, and their network tag.
func (g *glbc) machines(ctx context.Context) (all []*compute.InstanceReference, tag string, err error) {
	nodes, err := g.cluster.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", err
	}
	for i := range nodes.Items {
		parts := strings.Split(strings.TrimPrefix(nodes.Items[i].Spec.ProviderID, "gce://"), "/")
		if len(parts) != 3 {
			return nil, "", fmt.Errorf("node %s is not a machine of Compute Engine", nodes.Items[i].Name)
		}
		g.zone = parts[1]
		machine, err := g.Instances.Get(parts[0], parts[1], parts[2]).Context(ctx).Do()
		if err != nil {
			return nil, "", err
		}
		tag = machine.Tags.Items[0]
		all = append(all, &compute.InstanceReference{Instance: machine.SelfLink})
	}
	return all, tag, nil
}

// letGo deletes the load balancer, and then releases the Ingress. What it recorded on the
// Ingress remains.
func (g *glbc) letGo(ctx context.Context, i *networkingv1.Ingress) error {
	g.stays.Lock()
	defer g.stays.Unlock()
	err := g.all(ctx, http.StatusNotFound,
		g.GlobalForwardingRules.Delete(g.project, g.named("fw")),
		g.TargetHttpProxies.Delete(g.project, g.named("tp")),
		g.UrlMaps.Delete(g.project, g.named("um")),
		g.BackendServices.Delete(g.project, g.backend()),
		g.HealthChecks.Delete(g.project, g.backend()),
		g.InstanceGroups.Delete(g.project, g.zone, g.group()),
		g.Firewalls.Delete(g.project, g.firewall()),
	)
	if err != nil {
		return err
	}
	g.built = false
	i.Finalizers = slices.DeleteFunc(i.Finalizers, func(f string) bool { return f == glbcFinalizer })
	_, err = g.cluster.NetworkingV1().Ingresses(g.namespace).Update(ctx, i, metav1.UpdateOptions{FieldManager: glbcManager})
	return err
}
