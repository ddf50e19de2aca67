package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// The annotations and the finalizer that GLBC reads.
const (
	classAnnotation     = "kubernetes.io/ingress.class"
	addressAnnotation   = "kubernetes.io/ingress.global-static-ip-name"
	allowHTTPAnnotation = "kubernetes.io/ingress.allow-http"
	certAnnotation      = "ingress.gcp.kubernetes.io/pre-shared-cert"
	finalizer           = "networking.gke.io/ingress-finalizer"
)

// prefix is the prefix of the annotations that GLBC writes.
const prefix = "ingress.kubernetes.io/"

// syncIngress makes the changes that GLBC would make to one Ingress.
func (s *StandIn) syncIngress(ctx context.Context, k key) error {
	i, err := s.ingresses.Ingresses(k.Namespace).Get(k.Name)
	if apierrors.IsNotFound(err) {
		s.addresses.Release(s.cluster, k.String())
		delete(s.reported, k)
		return nil
	}
	if err != nil {
		return err
	}
	if i.DeletionTimestamp != nil {
		return s.removeFinalizer(ctx, i)
	}
	if !ours(i) {
		return nil
	}
	if s.reported[k].uid != i.UID {
		s.reported[k] = report{uid: i.UID}
		s.emit(ctx, i, corev1.EventTypeNormal, "ADD", k.String())
	}
	u := s.uid()
	if built := builtWith(i); built != "" {
		u = built
	}
	if u == "" {
		return nil
	}
	n := newNames(i.Namespace, i.Name, u)
	health, err := s.health(i, n)
	if wait, ok := errors.AsType[*waitError](err); ok {
		if s.reported[k].waiting != wait.reason {
			s.reported[k] = report{uid: i.UID, waiting: wait.reason}
			s.emit(ctx, i, corev1.EventTypeWarning, "Translate", "Translation failed: invalid ingress spec: "+wait.reason)
		}
		return nil // a change of the Service enqueues the Ingress again
	}
	if err != nil {
		return err
	}
	s.reported[k] = report{uid: i.UID}
	if i, err = s.address(ctx, i); err != nil {
		return err
	}
	return s.annotate(ctx, i, annotations(i, n, health))
}

// ours reports whether GLBC handles an Ingress. The annotation decides; without it,
// spec.ingressClassName always means another controller.
func ours(i *networkingv1.Ingress) bool {
	switch i.Annotations[classAnnotation] {
	case "gce":
		return true
	case "":
		return i.Spec.IngressClassName == nil
	default:
		return false
	}
}

// builtWith returns the UID of the load balancer that an Ingress already has, since a
// changed UID applies only to new load balancers. It returns "" if there is none, or if
// its name was truncated and so lacks the UID.
func builtWith(i *networkingv1.Ingress) uid {
	name := i.Annotations[prefix+"url-map"]
	if len(name) > longest || !strings.HasPrefix(name, fmt.Sprintf("k8s-um-%s-%s--", i.Namespace, i.Name)) {
		return ""
	}
	return effective(name)
}

// removeFinalizer removes the finalizer that fedsync or GLBC set. There is no load
// balancer to delete first.
func (s *StandIn) removeFinalizer(ctx context.Context, i *networkingv1.Ingress) error {
	if !slices.Contains(i.Finalizers, finalizer) {
		return nil
	}
	i = i.DeepCopy()
	i.Finalizers = slices.DeleteFunc(i.Finalizers, func(f string) bool { return f == finalizer })
	_, err := s.client.NetworkingV1().Ingresses(i.Namespace).Update(ctx, i, metav1.UpdateOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// waitError reports what an Ingress needs before it can have a load balancer.
type waitError struct{ reason string }

func (e *waitError) Error() string { return "waiting: " + e.reason }

// The states in the backends annotation.
const (
	healthy   = "HEALTHY"
	unhealthy = "UNHEALTHY"
	unknown   = "Unknown"
)

// health returns the state of every backend by its name, or a waitError if a backend
// has no node port.
func (s *StandIn) health(i *networkingv1.Ingress, n names) (map[string]string, error) {
	all := map[string]string{}
	for _, b := range backends(i) {
		service, err := s.services.Services(i.Namespace).Get(b.Name)
		if apierrors.IsNotFound(err) {
			return nil, &waitError{fmt.Sprintf("could not find service %q", i.Namespace+"/"+b.Name)}
		}
		if err != nil {
			return nil, err
		}
		port, err := nodePort(service, b.Port)
		if err != nil {
			return nil, err
		}
		if all[n.backend(port)], err = s.ready(service); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// backends returns the backends of an Ingress that are Services. GLBC ignores resource
// backends.
func backends(i *networkingv1.Ingress) []networkingv1.IngressServiceBackend {
	var all []networkingv1.IngressServiceBackend
	add := func(b *networkingv1.IngressBackend) {
		if b != nil && b.Service != nil {
			all = append(all, *b.Service)
		}
	}
	add(i.Spec.DefaultBackend)
	for _, rule := range i.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			add(&path.Backend)
		}
	}
	return all
}

func nodePort(service *corev1.Service, wanted networkingv1.ServiceBackendPort) (int32, error) {
	name := service.Namespace + "/" + service.Name
	for _, p := range service.Spec.Ports {
		if p.Port != wanted.Number && (wanted.Name == "" || p.Name != wanted.Name) {
			continue
		}
		if p.NodePort == 0 {
			return 0, &waitError{fmt.Sprintf("service %q is type %q, expected \"NodePort\" or \"LoadBalancer\"", name, service.Spec.Type)}
		}
		return p.NodePort, nil
	}
	if wanted.Name != "" {
		return 0, &waitError{fmt.Sprintf("could not find port %q in service %q", wanted.Name, name)}
	}
	return 0, &waitError{fmt.Sprintf("could not find port \"%d\" in service %q", wanted.Number, name)}
}

// ready returns the state of a backend as Google's health checks would: healthy if an
// endpoint is ready, and unknown without endpoints.
func (s *StandIn) ready(service *corev1.Service) (string, error) {
	slices, err := s.slices.EndpointSlices(service.Namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name}))
	if err != nil {
		return "", err
	}
	state := unknown
	for _, slice := range slices {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				return healthy, nil
			}
			state = unhealthy
		}
	}
	return state, nil
}

// address writes the load balancer's address into the status and returns the updated
// Ingress.
func (s *StandIn) address(ctx context.Context, i *networkingv1.Ingress) (*networkingv1.Ingress, error) {
	var ip netip.Addr
	var err error
	if name := i.Annotations[addressAnnotation]; name != "" {
		ip, err = s.addresses.Static(name)
	} else {
		ip, err = s.addresses.Ephemeral(s.cluster, i.Namespace+"/"+i.Name)
	}
	if err != nil {
		return nil, err
	}
	if now := i.Status.LoadBalancer.Ingress; len(now) == 1 && now[0].IP == ip.String() {
		return i, nil
	}
	i = i.DeepCopy()
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: ip.String()}}
	i, err = s.client.NetworkingV1().Ingresses(i.Namespace).UpdateStatus(ctx, i, metav1.UpdateOptions{FieldManager: fieldManager})
	if err != nil {
		return nil, fmt.Errorf("write the address: %w", err)
	}
	s.emit(ctx, i, corev1.EventTypeNormal, "StandIn", "The sandbox allocated this address without calling Compute Engine")
	s.emit(ctx, i, corev1.EventTypeNormal, "CREATE", "ip: "+ip.String())
	return i, nil
}

// annotations returns the annotations that GLBC would write, with "" for those that must
// not exist.
func annotations(i *networkingv1.Ingress, n names, health map[string]string) map[string]string {
	// A map of strings always encodes, with sorted keys.
	backends, _ := json.Marshal(health)
	all := map[string]string{
		"url-map":               n.urlMap(),
		"backends":              string(backends),
		"target-proxy":          n.targetProxy(),
		"forwarding-rule":       n.forwardingRule(),
		"https-target-proxy":    "",
		"https-forwarding-rule": "",
		"ssl-cert":              "",
		"static-ip":             "",
	}
	http := i.Annotations[allowHTTPAnnotation] != "false"
	if !http {
		all["target-proxy"], all["forwarding-rule"] = "", ""
	}
	cert := i.Annotations[certAnnotation]
	if cert == "" && len(i.Spec.TLS) > 0 {
		cert = n.certificate(i.Spec.TLS[0].SecretName)
	}
	if cert != "" {
		all["https-target-proxy"], all["https-forwarding-rule"], all["ssl-cert"] = n.httpsTargetProxy(), n.httpsForwardingRule(), cert
		if http && i.Annotations[addressAnnotation] == "" {
			// Two forwarding rules share an address that is not reserved: GLBC
			// reserves it, under the name of the first rule.
			all["static-ip"] = n.forwardingRule()
		}
	}
	return all
}

// annotate sets the wanted annotations, with one update or none.
func (s *StandIn) annotate(ctx context.Context, i *networkingv1.Ingress, wanted map[string]string) error {
	now := maps.Clone(i.Annotations)
	if now == nil {
		now = map[string]string{}
	}
	for name, value := range wanted {
		if value == "" {
			delete(now, prefix+name)
		} else {
			now[prefix+name] = value
		}
	}
	if maps.Equal(now, i.Annotations) {
		return nil
	}
	i = i.DeepCopy()
	i.Annotations = now
	_, err := s.client.NetworkingV1().Ingresses(i.Namespace).Update(ctx, i, metav1.UpdateOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("write the annotations: %w", err)
	}
	return nil
}

// emit creates an event about an Ingress. It only logs a failure, since nothing depends
// on events.
func (s *StandIn) emit(ctx context.Context, i *networkingv1.Ingress, kind, reason, message string) {
	const component = "loadbalancer-controller"
	now := metav1.Now()
	_, err := s.client.CoreV1().Events(i.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: i.Name + ".", Namespace: i.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "Ingress",
			Namespace: i.Namespace, Name: i.Name, UID: i.UID, ResourceVersion: i.ResourceVersion,
		},
		Type: kind, Reason: reason, Message: message,
		Source:         corev1.EventSource{Component: component},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		s.log.Warn("event not created", "cluster", s.cluster, "ingress", i.Namespace+"/"+i.Name, "reason", reason, "error", err)
	}
}
