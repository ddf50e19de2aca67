package readiness_test

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer/readiness"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func TestHealthCheckFollowsTheReadinessProbe(t *testing.T) {
	const probe = "{httpGet: {path: /healthz, port: 8080}, periodSeconds: 7, timeoutSeconds: 2}"
	for name, test := range map[string]struct {
		probe string
		want  gcp.HealthCheck
	}{
		"by name":         {"{httpGet: {path: /ok, port: web}}", gcp.HealthCheck{Protocol: "HTTP", Path: "/ok", Host: "", Interval: 10, Timeout: 1, Healthy: 1, Unhealthy: 3}},
		"HTTPS":           {"{httpGet: {path: ok, port: web, scheme: HTTPS}}", gcp.HealthCheck{Protocol: "HTTPS", Path: "/ok", Host: "", Interval: 10, Timeout: 1, Healthy: 1, Unhealthy: 3}},
		"host":            {"{httpGet: {path: /, port: web, httpHeaders: [{name: host, value: shop.example}]}}", gcp.HealthCheck{Protocol: "HTTP", Path: "/", Host: "shop.example", Interval: 10, Timeout: 1, Healthy: 1, Unhealthy: 3}},
		"TCP":             {"{tcpSocket: {port: web}, failureThreshold: 4, successThreshold: 2}", gcp.HealthCheck{Protocol: "TCP", Path: "", Host: "", Interval: 10, Timeout: 1, Healthy: 2, Unhealthy: 4}},
		"often":           {"{tcpSocket: {port: web}, periodSeconds: 1, timeoutSeconds: 9}", gcp.HealthCheck{Protocol: "TCP", Path: "", Host: "", Interval: 5, Timeout: 5, Healthy: 1, Unhealthy: 3}},
		"rarely":          {"{tcpSocket: {port: web}, periodSeconds: 900, failureThreshold: 50}", gcp.HealthCheck{Protocol: "TCP", Path: "", Host: "", Interval: 300, Timeout: 1, Healthy: 1, Unhealthy: 10}},
		"another port":    {"{httpGet: {path: /ok, port: 9090}}", readiness.Default},
		"a command":       {"{exec: {command: [ok]}}", readiness.Default},
		"an unknown name": {"{httpGet: {path: /ok, port: admin}}", readiness.Default},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			s.Edit("ReplicaSet/nginx", probe, test.probe)
			want := s.Build()
			checks := gcptest.KindOf(want, gcp.KindHealthCheck)
			if len(checks) != 1 || checks[0].Spec != gcp.Spec(test.want) {
				t.Errorf("health check %+v, want %+v; findings:\n%s", checks, test.want, gcptest.Findings(want))
			}
		})
	}
	s := gcptest.NewScene(1)
	s.Edit("ReplicaSet/nginx", "/healthz", `"/a b\n"`)
	if text := gcptest.Findings(s.Build()); !strings.HasPrefix(text, "E probe c1: apps/ReplicaSet/default/nginx: the path or host") {
		t.Errorf("findings of a path that no request can have:\n%s", text)
	}
}

func TestWorkloadsWithoutAProbeDoNotCount(t *testing.T) {
	s := gcptest.NewScene(2)
	canary := strings.NewReplacer("name: nginx, namespace", "name: canary, namespace",
		"        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 7, timeoutSeconds: 2}\n", "").Replace(gcptest.ReplicasYAML)
	s.Objects["ReplicaSet/canary"] = canary
	want := s.Build()
	if check := gcptest.KindOf(want, gcp.KindHealthCheck)[0].Spec.(gcp.HealthCheck); check.Path != "/healthz" || len(want.Findings) > 0 {
		t.Errorf("health check %+v, findings:\n%s", check, gcptest.Findings(want))
	}
	// Two workloads with different probes are refused.
	s.Objects["ReplicaSet/canary"] = strings.NewReplacer("name: nginx, namespace", "name: canary, namespace", "/healthz", "/canary").Replace(gcptest.ReplicasYAML)
	if text := gcptest.Findings(s.Build()); !strings.Contains(text, "differ between workloads of cluster c1") {
		t.Errorf("findings:\n%s", text)
	}
	// A cluster whose pods have no probe differs from one whose pods have one.
	delete(s.Objects, "ReplicaSet/canary")
	s.Instead("c2", "ReplicaSet/nginx", strings.Replace(canary, "name: canary", "name: nginx", 1))
	if text := gcptest.Findings(s.Build()); !strings.Contains(text, "differ between clusters c1 and c2") {
		t.Errorf("findings:\n%s", text)
	}
}
