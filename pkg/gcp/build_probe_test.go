package gcp

import (
	"strings"
	"testing"
)

func TestHealthCheckFollowsTheReadinessProbe(t *testing.T) {
	const probe = "{httpGet: {path: /healthz, port: 8080}, periodSeconds: 7, timeoutSeconds: 2}"
	for name, test := range map[string]struct {
		probe string
		want  HealthCheck
	}{
		"by name":         {"{httpGet: {path: /ok, port: web}}", HealthCheck{"HTTP", "/ok", "", 10, 1, 1, 3}},
		"HTTPS":           {"{httpGet: {path: ok, port: web, scheme: HTTPS}}", HealthCheck{"HTTPS", "/ok", "", 10, 1, 1, 3}},
		"host":            {"{httpGet: {path: /, port: web, httpHeaders: [{name: host, value: shop.example}]}}", HealthCheck{"HTTP", "/", "shop.example", 10, 1, 1, 3}},
		"TCP":             {"{tcpSocket: {port: web}, failureThreshold: 4, successThreshold: 2}", HealthCheck{"TCP", "", "", 10, 1, 2, 4}},
		"often":           {"{tcpSocket: {port: web}, periodSeconds: 1, timeoutSeconds: 9}", HealthCheck{"TCP", "", "", 5, 5, 1, 3}},
		"rarely":          {"{tcpSocket: {port: web}, periodSeconds: 900, failureThreshold: 50}", HealthCheck{"TCP", "", "", 300, 1, 1, 10}},
		"another port":    {"{httpGet: {path: /ok, port: 9090}}", defaultCheck},
		"a command":       {"{exec: {command: [ok]}}", defaultCheck},
		"an unknown name": {"{httpGet: {path: /ok, port: admin}}", defaultCheck},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			s.edit("ReplicaSet/nginx", probe, test.probe)
			want := s.build()
			checks := kindOf(want, KindHealthCheck)
			if len(checks) != 1 || checks[0].Spec != Spec(test.want) {
				t.Errorf("health check %+v, want %+v; findings:\n%s", checks, test.want, findings(want))
			}
		})
	}
	s := newScene(1)
	s.edit("ReplicaSet/nginx", "/healthz", `"/a b\n"`)
	if text := findings(s.build()); !strings.HasPrefix(text, "E probe c1: apps/ReplicaSet/default/nginx: the path or host") {
		t.Errorf("findings of a path that no request can have:\n%s", text)
	}
}

func TestWorkloadsWithoutAProbeDoNotCount(t *testing.T) {
	s := newScene(2)
	canary := strings.NewReplacer("name: nginx, namespace", "name: canary, namespace",
		"        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 7, timeoutSeconds: 2}\n", "").Replace(replicasYAML)
	s.objects["ReplicaSet/canary"] = canary
	want := s.build()
	if check := kindOf(want, KindHealthCheck)[0].Spec.(HealthCheck); check.Path != "/healthz" || len(want.Findings) > 0 {
		t.Errorf("health check %+v, findings:\n%s", check, findings(want))
	}
	// Two that ask for different things are one too many.
	s.objects["ReplicaSet/canary"] = strings.NewReplacer("name: nginx, namespace", "name: canary, namespace", "/healthz", "/canary").Replace(replicasYAML)
	if text := findings(s.build()); !strings.Contains(text, "differ between workloads of cluster c1") {
		t.Errorf("findings:\n%s", text)
	}
	// A cluster whose pods say nothing is not like one whose pods do.
	delete(s.objects, "ReplicaSet/canary")
	s.instead("c2", "ReplicaSet/nginx", strings.Replace(canary, "name: canary", "name: nginx", 1))
	if text := findings(s.build()); !strings.Contains(text, "differ between clusters c1 and c2") {
		t.Errorf("findings:\n%s", text)
	}
}

func TestNamespaceThatIsNotWritten(t *testing.T) {
	s := newScene(1)
	for key, text := range s.objects {
		s.objects[key] = strings.Replace(text, ", namespace: default", "", 1)
	}
	want := s.settle(t)
	if _, service := serviceOf(t, want); len(service.Backends) != 2 || want.Balancers[0].Ingress != sceneIngress {
		t.Errorf("service %+v, balancers %+v", service, want.Balancers)
	}
}
