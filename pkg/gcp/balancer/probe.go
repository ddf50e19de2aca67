package balancer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// defaultCheck probes pods without a readiness probe, as Google's own controller does.
var defaultCheck = gcp.HealthCheck{Protocol: "HTTP", Path: "/", Interval: 15, Timeout: 15, Healthy: 1, Unhealthy: 2}

// The limits of health checks, in seconds and answers in a row.
const (
	minInterval  = 5
	maxInterval  = 300
	maxThreshold = 10
)

// templates returns the templates of the pods behind a Service in a cluster.
func (c *clusterView) templates(service *corev1.Service) []podTemplate {
	if len(service.Spec.Selector) == 0 {
		return nil
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	var found []podTemplate
	for _, t := range c.pods[cmp.Or(service.Namespace, metav1.NamespaceDefault)] {
		if selector.Matches(t.labels) {
			found = append(found, t)
		}
	}
	return found
}

// checks returns the health checks of the pods behind a Service port in a cluster,
// without duplicates: none if the plan has no such pods. The default check applies only
// if no workload has a probe.
func (c *clusterView) checks(service *corev1.Service, port corev1.ServicePort) ([]gcp.HealthCheck, error) {
	templates := c.templates(service)
	var found []gcp.HealthCheck
	for _, t := range templates {
		check, probed, err := t.check(port)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.workload, err)
		}
		if probed && !slices.Contains(found, check) {
			found = append(found, check)
		}
	}
	if len(found) == 0 && len(templates) > 0 {
		found = append(found, defaultCheck)
	}
	return found, nil
}

// check returns the health check that corresponds to the readiness probe of the
// container behind a port; false if no probe can be asked from outside the pod.
func (t podTemplate) check(port corev1.ServicePort) (gcp.HealthCheck, bool, error) {
	target := port.TargetPort
	if target == (intstr.IntOrString{}) {
		target = intstr.FromInt32(port.Port)
	}
	serving, served := t.containerPort(nil, target)
	for i := range t.spec.Containers {
		container := &t.spec.Containers[i]
		probe := container.ReadinessProbe
		if probe == nil {
			continue
		}
		asked, ok := probePort(probe)
		if !ok {
			continue
		}
		number, known := t.containerPort(container, asked)
		if !known || !served || number != serving {
			continue
		}
		check, err := healthCheck(probe)
		return check, true, err
	}
	return gcp.HealthCheck{}, false, nil
}

// probePort returns the port that a probe asks; false if it asks none.
func probePort(probe *corev1.Probe) (intstr.IntOrString, bool) {
	switch {
	case probe.HTTPGet != nil:
		return probe.HTTPGet.Port, true
	case probe.TCPSocket != nil:
		return probe.TCPSocket.Port, true
	}
	return intstr.IntOrString{}, false
}

// containerPort returns the number of a port that may be a name. It searches one
// container, or all of them if of is nil.
func (t podTemplate) containerPort(of *container, port intstr.IntOrString) (int32, bool) {
	if port.Type == intstr.Int {
		return port.IntVal, true
	}
	for i := range t.spec.Containers {
		if of != nil && of != &t.spec.Containers[i] {
			continue
		}
		for _, p := range t.spec.Containers[i].Ports {
			if p.Name == port.StrVal {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

// healthCheck translates a probe for Compute Engine. It applies the defaults of
// Kubernetes to fields that the manifest does not set.
func healthCheck(probe *corev1.Probe) (gcp.HealthCheck, error) {
	h := gcp.HealthCheck{
		Protocol:  "TCP",
		Interval:  min(max(int64(orDefault(probe.PeriodSeconds, 10)), minInterval), maxInterval),
		Timeout:   int64(orDefault(probe.TimeoutSeconds, 1)),
		Healthy:   min(int64(orDefault(probe.SuccessThreshold, 1)), maxThreshold),
		Unhealthy: min(int64(orDefault(probe.FailureThreshold, 3)), maxThreshold),
	}
	h.Timeout = min(h.Timeout, h.Interval)
	get := probe.HTTPGet
	if get == nil {
		return h, nil
	}
	h.Protocol, h.Path = "HTTP", get.Path
	if get.Scheme == corev1.URISchemeHTTPS {
		h.Protocol = "HTTPS"
	}
	if !strings.HasPrefix(h.Path, "/") {
		h.Path = "/" + h.Path
	}
	for _, header := range get.HTTPHeaders {
		if strings.EqualFold(header.Name, "Host") {
			h.Host = header.Value
		}
	}
	if len(h.Path) > 1024 || strings.ContainsFunc(h.Path+h.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return gcp.HealthCheck{}, errors.New("the path or host of the readiness probe cannot be used by a health check")
	}
	return h, nil
}

// orDefault returns the value if it is positive, and the fallback otherwise.
func orDefault(value, fallback int32) int32 {
	if value > 0 {
		return value
	}
	return fallback
}
