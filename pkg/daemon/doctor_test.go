package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestAHealthyFederationHasNoFinding(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	w.grace = time.Second
	sha := w.repo.Push("web", map[string]string{
		"fedsync.yaml":          w.file("web"),
		"apps/web/ingress.yaml": w.ingress(),
		"apps/web/service.yaml": w.service(),
		"apps/web/web.yaml":     w.shared(6, true),
		"apps/web/more.yaml":    w.everyday(),
	})
	for _, when := range []string{"at first", "after a restart"} {
		d := w.start()
		silent(t, d, sha, when)
		d.stop()
	}
}

// everyday is what else is in many repositories: an Ingress with rules and a certificate,
// a Deployment that is scaled by load, and Services of both kinds, one without its node
// port.
func (w *world) everyday() string {
	return strings.ReplaceAll(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: api
  namespace: NAMESPACE
  annotations: {kubernetes.io/ingress.class: gce, kubernetes.io/ingress.global-static-ip-name: NAMESPACE}
spec:
  tls: [{hosts: [api.example.com], secretName: api}]
  rules:
  - host: api.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: api, port: {name: http}}}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: api, namespace: NAMESPACE}
type: kubernetes.io/tls
stringData: {tls.crt: a, tls.key: b}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: NAMESPACE}
spec: {type: NodePort, selector: {app: api}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: inside, namespace: NAMESPACE}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: NAMESPACE}
spec:
  replicas: 5
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: "example.com/api:1"}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: api, namespace: NAMESPACE}
spec:
  maxReplicas: 10
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`, "NAMESPACE", w.namespace)
}

// silent waits for a success, and checks for three grace periods that nothing is reported.
func silent(t *testing.T, d *ran, sha, when string) {
	t.Helper()
	d.live(sha)
	enough, again := time.After(3*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for {
		r := d.reports.Newest()
		if r.State != status.Success || len(r.Findings) > 0 {
			t.Fatalf("%s: a healthy federation is reported as: %s", when, describe(r))
		}
		select {
		case <-enough:
			return
		case <-again.C:
		}
	}
}

func TestAnObjectThatTheOperatorDoesNotAllowIsRefused(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	w.cfg.AllowKinds = []string{"ConfigMap", "Service"}
	d := w.start()
	w.repo.Push("web", map[string]string{
		"fedsync.yaml":          w.file("web"),
		"apps/web/ingress.yaml": w.ingress(),
		"apps/web/service.yaml": w.service(),
		"apps/web/more.yaml":    w.settings("more", "1"),
	})
	for _, cluster := range s.Clusters() {
		refused := failing("policy", cluster, w.ref("Ingress", "web"), "kind Ingress.networking.k8s.io is not allowed here; allowed: ConfigMap, Service", "ask the operator of fedsync to allow it")
		d.await("the Ingress is refused in "+cluster, func(r *status.Report) string {
			if !refused.shown(r) || r.State != status.Failure {
				return "there is no " + refused.String()
			}
			return ""
		})
		w.awaitValue(cluster, "more", "1") // the rest of the app exists
		if w.get(cluster, "Ingress", "web") != nil {
			t.Errorf("the Ingress is in %s, want it refused", cluster)
		}
	}
	d.live(w.repo.Push("without", map[string]string{"apps/web/ingress.yaml": sourcetest.Removed}))
}
