// Package readiness translates the readiness probes of pods into health checks of
// Compute Engine. It reads pod templates and a Service port, and returns the health checks
// that package balancer compares and wants. It is pure.
package readiness

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// Template is the pod template of a workload, or a Pod itself.
type Template struct {
	Workload federation.ObjectRef
	Labels   labels.Set
	Spec     PodSpec
}

// Pod holds the only fields that are decoded of a pod or of a pod template: decoding the
// quantities of its resources may take hours.
type Pod struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec PodSpec `json:"spec"`
}

// PodSpec is the part of a pod's spec that a health check depends on.
type PodSpec struct {
	Containers []Container `json:"containers"`
}

// Container is the part of a container that a health check depends on.
type Container struct {
	Ports          []corev1.ContainerPort `json:"ports"`
	ReadinessProbe *corev1.Probe          `json:"readinessProbe"`
}

// Workload holds the fields that are decoded of a ReplicaSet and similar kinds.
type Workload struct {
	Spec struct {
		Template Pod `json:"template"`
	} `json:"spec"`
}

// Default probes pods without a readiness probe, as Google's own controller does.
var Default = gcp.HealthCheck{Protocol: "HTTP", Path: "/", Interval: 15, Timeout: 15, Healthy: 1, Unhealthy: 2}

// The limits of health checks, in seconds and answers in a row.
const (
	minInterval  = 5
	maxInterval  = 300
	maxThreshold = 10
)

// Of returns the health checks of the pods behind a Service port, without duplicates:
// none if there are no templates. Default applies only if no workload has a probe.
func Of(templates []Template, port corev1.ServicePort) ([]gcp.HealthCheck, error) {
	var found []gcp.HealthCheck
	for _, t := range templates {
		check, probed, err := t.check(port)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Workload, err)
		}
		if probed && !slices.Contains(found, check) {
			found = append(found, check)
		}
	}
	if len(found) == 0 && len(templates) > 0 {
		found = append(found, Default)
	}
	return found, nil
}

// check returns the health check that corresponds to the readiness probe of the
// container behind a port; false if no probe can be asked from outside the pod.
func (t Template) check(port corev1.ServicePort) (gcp.HealthCheck, bool, error) {
	target := port.TargetPort
	if target == (intstr.IntOrString{}) {
		target = intstr.FromInt32(port.Port)
	}
	serving, served := t.containerPort(nil, target)
	for i := range t.Spec.Containers {
		container := &t.Spec.Containers[i]
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
		check, err := translate(probe)
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
func (t Template) containerPort(of *Container, port intstr.IntOrString) (int32, bool) {
	if port.Type == intstr.Int {
		return port.IntVal, true
	}
	for i := range t.Spec.Containers {
		if of != nil && of != &t.Spec.Containers[i] {
			continue
		}
		for _, p := range t.Spec.Containers[i].Ports {
			if p.Name == port.StrVal {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

// translate translates a probe for Compute Engine. It applies the defaults of
// Kubernetes to fields that the manifest does not set.
func translate(probe *corev1.Probe) (gcp.HealthCheck, error) {
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
