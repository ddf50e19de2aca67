package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/federation"
)

// portNames returns the names of the ports of the Service nginx, sorted.
func (f *fixture) portNames() []string {
	f.Helper()
	ports, _, _ := unstructured.NestedSlice(f.get(object.Services, "nginx").Object, "spec", "ports")
	var names []string
	for _, p := range ports {
		names = append(names, fmt.Sprint(p.(map[string]any)["name"]))
	}
	slices.Sort(names)
	return names
}

// What an unknown field manager set stays and is reported, until the operator
// configures the manager.
func TestAdoptionTakesOverOnlyFromKnownTools(t *testing.T) {
	probe := `{"metadata":{"labels":{"probed":"yes"}},"spec":{"ports":[{"name":"probe","port":99}]}}`
	for _, c := range []struct {
		manager      string
		setting      []string
		taken, found bool
	}{
		{manager: "kubectl-patch", taken: true},
		{manager: "manager", found: true},
		{manager: "gke-something-controller", found: true},
		{manager: "Go-http-client", found: true},
		{manager: "gatekeeper"},
		{manager: "team-deployer", setting: []string{"manager", "team-*"}, taken: true},
		{manager: "manager", setting: []string{"manager", "team-*"}, taken: true},
	} {
		t.Run(fmt.Sprintf("%s with %v", c.manager, c.setting), func(t *testing.T) {
			f := newFixture(t)
			f.start("one", func(o *Options) { o.AdoptFrom = c.setting })
			f.create("kubectl-client-side-apply", earlier)
			f.patchAs(c.manager, object.Services, "nginx", probe)
			differences, err := f.Diff(t.Context(), federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{f.app("web", nginx)}})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(fmt.Sprint(differences), "probed"); got != c.taken {
				t.Errorf("Diff = %v; speaks of what is taken: %v, want %v", differences, got, c.taken)
			}
			r := f.mustSync(f.app("web", nginx))
			want := []string{"http", "probe"}
			if c.taken {
				want = want[:1]
			}
			if got := f.portNames(); !slices.Equal(got, want) {
				t.Errorf("ports = %v, want %v", got, want)
			}
			if _, stays := f.get(object.Services, "nginx").GetLabels()["probed"]; stays == c.taken {
				t.Errorf("the label stays: %v, want %v", stays, !c.taken)
			}
			f.upToDate()
			r.Findings = f.now().Findings
			if got := strings.Contains(fmt.Sprint(r.Findings), "set by "+c.manager); got != c.found {
				t.Errorf("findings = %v; speak of %s: %v, want %v", r.Findings, c.manager, got, c.found)
			}
		})
	}
}

// If an item of an unknown manager takes the place of Git's, Git's could not be
// applied.
func TestAdoptionReplacesConflictingItemsOfAnyTool(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl-client-side-apply", strings.Replace(earlier, "  - {name: http, port: 80, targetPort: 7070}\n", "", 1))
	f.patchAs("manager", object.Services, "nginx", `{"spec":{"ports":[{"name":"http","port":83}]}}`)
	r := f.mustSync(f.app("web", nginx))
	f.wantChanges(r.Changes, "adopted Service/nginx", "created ReplicaSet/nginx", "created Ingress/nginx")
	ports, _, _ := unstructured.NestedSlice(f.get(object.Services, "nginx").Object, "spec", "ports")
	if len(ports) != 1 || ports[0].(map[string]any)["port"] != int64(80) {
		t.Errorf("ports = %v, want Git's alone", ports)
	}
	if labels := f.get(object.Services, "nginx").GetLabels(); labels["tier"] != "" {
		t.Errorf("labels = %v, want those of kubectl gone", labels)
	}
}

// A cluster component injects the certificate by which API servers trust a webhook. It
// stays, whatever the component's name.
func TestAdoptionLeavesTheCABundleOfAWebhook(t *testing.T) {
	f := newFixture(t)
	hooks := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
	manifest := `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NAMESPACE}
webhooks:
- name: shop.example.org
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  timeoutSeconds: 1
  rules: [{apiGroups: [shop.example.org], apiVersions: ["*"], operations: [CREATE], resources: [orders]}]
  clientConfig: {service: {name: shop, namespace: NAMESPACE, path: /v}}`
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() { _ = f.admin.Resource(hooks).Delete(ctx, f.namespace, metav1.DeleteOptions{}) })
	f.create("kubectl-client-side-apply", manifest)
	live, err := f.admin.Resource(hooks).Get(t.Context(), f.namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list, _, _ := unstructured.NestedSlice(live.Object, "webhooks")
	const bundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
	if err := unstructured.SetNestedField(list[0].(map[string]any), bundle, "clientConfig", "caBundle"); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedSlice(live.Object, list, "webhooks"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.admin.Resource(hooks).Update(t.Context(), live, metav1.UpdateOptions{FieldManager: "shop-injector"}); err != nil {
		t.Fatal(err)
	}
	f.mustSync(f.app("web", manifest))
	if live, err = f.admin.Resource(hooks).Get(t.Context(), f.namespace, metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	list, _, _ = unstructured.NestedSlice(live.Object, "webhooks")
	if got, _, _ := unstructured.NestedString(list[0].(map[string]any), "clientConfig", "caBundle"); got != bundle {
		t.Errorf("caBundle = %q after the adoption, want it as it was", got)
	}
}

// The rules of an aggregated ClusterRole are its controller's, whoever wrote them
// first.
func TestAdoptionLeavesTheRulesOfAnAggregatedClusterRole(t *testing.T) {
	roles := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	const aggregated = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {example.com/to: monitoring}}]}`
	const rules = `
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]`
	for name, before := range map[string]string{
		"that was one":  aggregated + rules,
		"that was none": strings.Replace(aggregated, "aggregationRule", "#", 1) + rules,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			ctx := context.WithoutCancel(t.Context())
			t.Cleanup(func() { _ = f.admin.Resource(roles).Delete(ctx, f.namespace, metav1.DeleteOptions{}) })
			f.create("kubectl-client-side-apply", before)
			f.mustSync(f.app("web", aggregated))
			live, err := f.admin.Resource(roles).Get(t.Context(), f.namespace, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if list, _, _ := unstructured.NestedSlice(live.Object, "rules"); len(list) != 1 {
				t.Errorf("rules = %v after the adoption, want them as they were", list)
			}
			if live.Object["aggregationRule"] == nil {
				t.Error("it is not aggregated")
			}
		})
	}
}
