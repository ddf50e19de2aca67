package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// The statuses that controllers of the Gateway API set decide about a revision immediately.
func TestAGatewayAndItsRoutesDecideAboutARevision(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	w.gatewayAPI()
	clusters := w.sandbox.Clusters()
	d := w.start()
	sha := w.repo.Push("first", map[string]string{
		"fedsync.yaml": w.file("web"),
		"apps/web/gateway.yaml": fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: %[1]s}
spec:
  gatewayClassName: test
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: %[1]s}
spec:
  parentRefs: [{name: web}, {name: inner}]
  hostnames: [shop.example.com]
`, w.namespace),
	})
	d.await("nobody has taken them", allOf(is(sha, status.Pending), notHealthy(clusters[0], "Gateway", federation.Progressing), notHealthy(clusters[0], "HTTPRoute", federation.Progressing)))

	for _, c := range clusters {
		w.program(c, "192.0.2.80")
		w.accept(c, "web", true)
		w.accept(c, "inner", true)
	}
	report := d.live(sha)
	if len(report.Addresses) != 1 || report.Addresses[0].Address != "192.0.2.80" || !report.Addresses[0].Object.IsGateway() {
		t.Errorf("addresses: %+v, want the Gateway's", report.Addresses)
	}

	took := func(what string, change func(), want ...func(*status.Report) string) {
		change()
		from := time.Now()
		d.await(what, allOf(want...))
		t.Logf("%s: told after %s", what, time.Since(from).Round(time.Millisecond))
	}
	bad := clusters[1]
	took("one parent of two refuses the route", func() { w.accept(bad, "inner", false) },
		is(sha, status.Failure), notHealthy(bad, "HTTPRoute", federation.Degraded))
	took("it takes it again", func() { w.accept(bad, "inner", true) }, is(sha, status.Success))
	took("the address is lost", func() { w.program(bad) },
		is(sha, status.Pending, status.Success), notHealthy(bad, "Gateway", federation.Progressing))
	took("the address is there again", func() { w.program(bad, "192.0.2.80") }, is(sha, status.Success))

	// The controller is gone: no controller handles changes then.
	second := w.repo.Push("second", map[string]string{"apps/web/gateway.yaml": fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: %s}
spec:
  gatewayClassName: test
  listeners: [{name: http, port: 8080, protocol: HTTP}]
`, w.namespace)})
	d.await("nobody looks at the change", allOf(is(second, status.Pending), notHealthy(bad, "Gateway", federation.Progressing)))
}

// notHealthy is a condition: an object of a kind is not healthy.
func notHealthy(cluster, kind string, want federation.Health) func(*status.Report) string {
	return func(r *status.Report) string {
		for _, c := range r.Clusters {
			for _, o := range c.Objects {
				if c.Name == cluster && o.Object.Kind == kind {
					if o.Health == want {
						return ""
					}
					return fmt.Sprintf("%s in %s is %s, want %s", kind, cluster, o.Health, want)
				}
			}
		}
		return "there is no " + kind + " in " + cluster
	}
}

func gatewayKind(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: federation.GatewayGroup, Version: "v1", Resource: resource}
}

// gatewayAPI defines the kinds of the Gateway API, without their schemas, until the test's
// end.
func (w *world) gatewayAPI() {
	w.t.Helper()
	w.t.Cleanup(func() {
		for _, cluster := range w.sandbox.Clusters() {
			for _, plural := range []string{"gateways", "httproutes"} {
				err := w.sandbox.Dynamic(w.t, cluster).Resource(definitions).Delete(context.WithoutCancel(w.t.Context()), plural+"."+federation.GatewayGroup, metav1.DeleteOptions{})
				if err != nil && !apierrors.IsNotFound(err) {
					w.t.Error(err)
				}
			}
		}
	})
	for _, cluster := range w.sandbox.Clusters() {
		for plural, kind := range map[string]string{"gateways": "Gateway", "httproutes": "HTTPRoute"} {
			definition := fmt.Sprintf(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
				"metadata":{"name":%[1]q,"annotations":{"api-approved.kubernetes.io":"unapproved, for a test"}},
				"spec":{"group":%[2]q,"scope":"Namespaced","names":{"kind":%[3]q,"listKind":"%[3]sList","plural":%[4]q},
				"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
				"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`,
				plural+"."+federation.GatewayGroup, federation.GatewayGroup, kind, plural)
			u := &unstructured.Unstructured{}
			if err := json.Unmarshal([]byte(definition), u); err != nil {
				w.t.Fatal(err)
			}
			if _, err := w.dynamic(cluster).Resource(definitions).Create(w.t.Context(), u, metav1.CreateOptions{}); err != nil {
				w.t.Fatal(err)
			}
			eventually(w.t, "the kind is served", func() string {
				_, err := w.dynamic(cluster).Resource(gatewayKind(plural)).Namespace(w.namespace).List(w.t.Context(), metav1.ListOptions{})
				if err != nil {
					return err.Error()
				}
				return ""
			})
		}
	}
}

// program acts as the controller of a Gateway and sets its addresses.
func (w *world) program(cluster string, addresses ...string) {
	w.t.Helper()
	var all []map[string]any
	for _, a := range addresses {
		all = append(all, map[string]any{"type": "IPAddress", "value": a})
	}
	w.setStatus(cluster, "gateways", func(generation int64, _ map[string]any) map[string]any {
		return map[string]any{"addresses": all, "conditions": []any{
			says("Accepted", true, generation), says("Programmed", true, generation),
		}}
	})
}

// accept acts as the controller of a route's parent and accepts the route.
func (w *world) accept(cluster, parent string, accepts bool) {
	w.t.Helper()
	w.setStatus(cluster, "httproutes", func(generation int64, was map[string]any) map[string]any {
		parents, _, _ := unstructured.NestedSlice(was, "parents")
		parents = slices.DeleteFunc(parents, func(p any) bool {
			name, _, _ := unstructured.NestedString(p.(map[string]any), "parentRef", "name")
			return name == parent
		})
		return map[string]any{"parents": append(parents, map[string]any{
			"parentRef": map[string]any{"name": parent}, "controllerName": "example.com/test",
			"conditions": []any{says("Accepted", accepts, generation), says("ResolvedRefs", true, generation)},
		})}
	})
}

func says(kind string, yes bool, generation int64) map[string]any {
	status := map[bool]string{true: "True", false: "False"}[yes]
	return map[string]any{"type": kind, "status": status, "reason": "Test" + status, "message": "", "observedGeneration": generation}
}

func (w *world) setStatus(cluster, resource string, status func(generation int64, was map[string]any) map[string]any) {
	w.t.Helper()
	client := w.dynamic(cluster).Resource(gatewayKind(resource)).Namespace(w.namespace)
	u, err := client.Get(w.t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	was, _, _ := unstructured.NestedMap(u.Object, "status")
	patch, err := json.Marshal(map[string]any{"status": status(u.GetGeneration(), was)})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := client.Patch(w.t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		w.t.Fatal(err)
	}
}
