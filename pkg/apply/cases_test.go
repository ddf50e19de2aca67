package apply

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/standing"
	"github.com/fedsync/fedsync/pkg/federation"
)

// complete runs the Applier until the cluster matches the plan.
func (f *fixture) complete(within time.Duration) standing.Standing {
	f.Helper()
	f.open.Store(true)
	defer f.open.Store(false)
	f.Wake()
	f.untilWithin(within, "the cluster is as the plan says", func() bool {
		f.watch()
		return f.now().Complete
	})
	return f.now()
}

// deny creates a policy that refuses ConfigMaps in the namespace that contain "denied".
func (f *fixture) deny() (allow func()) {
	f.Helper()
	client := f.sandbox.Client(f.T, f.cluster).AdmissionregistrationV1()
	fail, equivalent := admissionv1.Fail, admissionv1.Equivalent
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": f.namespace}}
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}
	policy.Spec = admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: &fail,
		MatchConstraints: &admissionv1.MatchResources{
			MatchPolicy: &equivalent, NamespaceSelector: selector, ObjectSelector: &metav1.LabelSelector{},
			ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}}},
		},
		Validations: []admissionv1.Validation{{Expression: `!has(object.data) || !("denied" in object.data)`, Message: "not now"}},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}
	binding.Spec = admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: f.namespace, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}
	if _, err := client.ValidatingAdmissionPolicies().Create(f.Context(), policy, metav1.CreateOptions{}); err != nil {
		f.Fatal(err)
	}
	allow = func() {
		ctx := context.WithoutCancel(f.Context())
		_ = client.ValidatingAdmissionPolicyBindings().Delete(ctx, f.namespace, metav1.DeleteOptions{})
		_ = client.ValidatingAdmissionPolicies().Delete(ctx, f.namespace, metav1.DeleteOptions{})
	}
	f.Cleanup(allow)
	if _, err := client.ValidatingAdmissionPolicyBindings().Create(f.Context(), binding, metav1.CreateOptions{}); err != nil {
		f.Fatal(err)
	}
	// A policy takes effect some time after it is created.
	f.until("the policy denies", func() bool {
		_, err := f.admin.Resource(object.ConfigMaps).Namespace(f.namespace).Create(f.Context(), f.objects("x", configMap("probe", "denied"))[0].Unstructured(),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy")
	})
	return allow
}

func configMap(name, key string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: NAMESPACE}\ndata: {%s: v}", name, key)
}

func TestWhatAPolicyDeniedIsAppliedWhenItNoLongerDoes(t *testing.T) {
	f := newFixture(t)
	allow := f.deny()
	r := f.sync(f.app("web", configMap("one", "fine"), configMap("two", "denied"), configMap("three", "denied"), nginx))
	f.wantFinding(r.Findings, "D10", "not now")
	if r.Complete || !r.Final {
		t.Errorf("complete %v, final %v: want a failure that only a manual change ends", r.Complete, r.Final)
	}
	if !f.exists(object.ConfigMaps, "one") || !f.exists(ingresses, "nginx") {
		t.Error("what is not denied was not applied")
	}
	r = f.Apply(f.plan) // a second failure of one revision's objects
	f.wantFinding(r.Findings, "D10", "not now")
	allow()
	if s := f.complete(time.Minute); len(s.Findings) > 0 {
		t.Errorf("findings = %v, want none", s.Findings)
	}
	if !f.exists(object.ConfigMaps, "two") || !f.exists(object.ConfigMaps, "three") {
		t.Error("what was denied is missing")
	}
}

func TestAnObjectThatAUserFixesIsAppliedWithinSeconds(t *testing.T) {
	f := newFixture(t)
	binding := func(role string) string {
		return fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %s}
subjects: [{kind: User, name: nobody, apiGroup: rbac.authorization.k8s.io}]`, role)
	}
	f.mustSync(f.app("web", binding("one"), nginx))
	r := f.sync(f.app("web", binding("two"), nginx)) // a roleRef cannot be changed
	f.wantFinding(r.Findings, "D10", "immutable")
	bindings := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}
	if err := f.admin.Resource(bindings).Namespace(f.namespace).Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := f.complete(10 * time.Second); len(s.Findings) > 0 {
		t.Errorf("findings = %v, want none", s.Findings)
	}
}

func TestANamespaceThatSomebodyDeletesIsMadeAgainWhenItIsGone(t *testing.T) {
	f := newFixture(t)
	other := f.namespace + "-b"
	t.Cleanup(func() {
		_ = f.admin.Resource(object.Namespaces).Delete(context.WithoutCancel(t.Context()), other, metav1.DeleteOptions{})
	})
	f.plan = federation.ClusterPlan{Cluster: f.cluster, CreateNamespaces: true, Apps: []federation.AppPlan{f.app("web", strings.ReplaceAll(nginx, "NAMESPACE", other))}}
	f.learnKinds()
	f.watch()
	if r := f.Apply(f.plan); !r.Complete {
		t.Fatalf("not complete: %v", r.Findings)
	}
	// A foreign finalizer blocks the deletion.
	held := f.objects("x", strings.ReplaceAll(configMap("held", "k"), "NAMESPACE", other))[0].Unstructured()
	held.SetFinalizers([]string{"example.com/slow"})
	if _, err := f.admin.Resource(object.ConfigMaps).Namespace(other).Create(t.Context(), held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.admin.Resource(object.Namespaces).Delete(t.Context(), other, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.until("its objects are gone", func() bool { return len(f.Inventory()["web"]) == 0 })
	r := f.settle()
	if r.Complete || r.Final {
		t.Errorf("complete %v, final %v: want neither while it terminates", r.Complete, r.Final)
	}
	f.wantFinding(r.Findings, "D09", "is being terminated")
	f.until("the finding quotes the namespace", func() bool {
		return strings.Contains(fmt.Sprint(f.now().Findings), "example.com/slow")
	})
	f.counter.reset()
	f.settle()
	f.wantRequests() // an event follows when it is gone
	if _, err := f.admin.Resource(object.ConfigMaps).Namespace(other).Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := f.complete(20 * time.Second); len(s.Findings) > 0 {
		t.Errorf("findings = %v, want none", s.Findings)
	}
}

func TestADeletionIsReportedUntilTheObjectIsGone(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	hold := func(finalizers string) {
		f.patchAs("somebody", ingresses, "nginx", `{"metadata":{"finalizers":`+finalizers+`}}`)
	}
	hold(`["example.com/load-balancer"]`)
	t.Cleanup(func() {
		_, _ = f.admin.Resource(ingresses).Namespace(f.namespace).Patch(context.WithoutCancel(t.Context()), "nginx", types.MergePatchType,
			[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	})
	docs := strings.Split(nginx, "\n---\n")
	r := f.sync(f.app("web", docs[0]))
	check := func(r Result) {
		t.Helper()
		if r.Complete || r.Final {
			t.Errorf("complete %v, final %v: want neither while it is being deleted", r.Complete, r.Final)
		}
		note := f.wantFinding(r.Findings, "deleting", "waits for the finalizer example.com/load-balancer")
		if note.Severity != federation.SeverityNote {
			t.Errorf("severity = %s, want a note before the deadline", note.Severity)
		}
		if !f.exists(replicaSets, "nginx") {
			t.Error("the ReplicaSet went before the Ingress was gone")
		}
	}
	check(r)
	for _, x := range f.Standing(time.Now().Add(time.Hour)).Findings {
		if x.ID == "deleting" && (x.Severity != federation.SeverityError || !strings.Contains(x.Remedy.String(), "example.com/load-balancer")) {
			t.Errorf("after the deadline: %+v, want a failure that names the finalizer", x)
		}
	}
	// The same after a restart, and without another deletion request.
	f.start("one")
	r = f.sync(f.app("web", docs[0]))
	check(r)
	f.wantRequests()
	hold("null")
	if s := f.complete(10 * time.Second); len(s.Findings) > 0 {
		t.Errorf("findings = %v, want none", s.Findings)
	}
	if f.exists(replicaSets, "nginx") {
		t.Error("the ReplicaSet is still there")
	}
}

func TestWhatIsWantedAgainIsMadeWhenItIsGone(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.patchAs("somebody", ingresses, "nginx", `{"metadata":{"finalizers":["example.com/load-balancer"]}}`)
	uid := f.get(ingresses, "nginx").GetUID()
	docs := strings.Split(nginx, "\n---\n")
	f.sync(f.app("web", docs[0], docs[1]))
	r := f.sync(f.app("web", docs...))
	if r.Complete || r.Final {
		t.Errorf("complete %v, final %v: want neither while it is being deleted", r.Complete, r.Final)
	}
	f.wantFinding(r.Findings, "deleting", "it is created again when it is gone")
	f.patchAs("somebody", ingresses, "nginx", `{"metadata":{"finalizers":null}}`)
	f.complete(10 * time.Second)
	if f.get(ingresses, "nginx").GetUID() == uid {
		t.Error("the Ingress is the one that was being deleted")
	}
}

const cart = `
apiVersion: GROUP/v1
kind: Cart
metadata: {name: NAME, namespace: NAMESPACE}
spec: {size: 3}`

const cartDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: carts.GROUP}
spec:
  group: GROUP
  names: {kind: Cart, plural: carts, singular: cart}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}`

func TestADefinitionStaysWhileObjectsThatAreNotOursExist(t *testing.T) {
	f := newFixture(t)
	group := f.namespace + ".example.com"
	in := strings.NewReplacer("GROUP", group)
	carts := schema.GroupVersionResource{Group: group, Version: "v1", Resource: "carts"}
	t.Cleanup(func() {
		_ = f.admin.Resource(definitions).Delete(context.WithoutCancel(t.Context()), "carts."+group, metav1.DeleteOptions{})
	})
	f.plan = federation.ClusterPlan{
		Cluster: f.cluster, Revision: federation.Revision{SHA: "one"},
		Apps: []federation.AppPlan{f.app("web", in.Replace(cartDefinition), in.Replace(strings.Replace(cart, "NAME", "ours", 1)), nginx)},
	}
	f.Want(f.plan)
	for _, x := range f.complete(20 * time.Second).Findings {
		t.Errorf("finding %v, want none where a definition comes with its object", x)
	}
	for _, name := range []string{"a", "b", "c"} {
		f.create("kubectl", in.Replace(strings.Replace(cart, "NAME", name, 1)))
	}
	r := f.sync(f.app("web", nginx))
	f.wantFinding(r.Findings, "held", "3 objects of its kind that fedsync does not manage")
	if !r.Complete || !r.Final {
		t.Errorf("complete %v, final %v: want both, as for a Namespace", r.Complete, r.Final)
	}
	if f.exists(carts, "ours") || !f.exists(carts, "a") {
		t.Error("want only the foreign objects left")
	}
	// After a restart the same.
	f.start("one")
	r = f.sync(f.app("web", nginx))
	f.wantFinding(r.Findings, "held", "3 objects")
	for _, name := range []string{"a", "b", "c"} {
		if err := f.admin.Resource(carts).Namespace(f.namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.open.Store(true)
	f.Wake()
	f.untilWithin(time.Minute, "the definition is gone", func() bool {
		_, err := f.admin.Resource(definitions).Get(t.Context(), "carts."+group, metav1.GetOptions{})
		return apierrors.IsNotFound(err) && f.now().Complete && len(f.now().Findings) == 0
	})
}

func TestAPermissionThatIsGrantedLaterIsUsedWithinAMinute(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("other", deployment)) // creates fedsync-system
	f.restrict(false, rbacv1.PolicyRule{APIGroups: []string{"", "apps"}, Resources: []string{"services", "replicasets"}, Verbs: []string{"*"}})
	f.start("one")
	r := f.sync(f.app("web", nginx))
	f.wantFinding(r.Findings, "inventory", "nothing is pruned")
	f.wantFinding(r.Findings, "D07", "ingresses")
	client := f.sandbox.Client(f.T, f.cluster).RbacV1()
	for _, namespace := range []string{f.namespace, federation.SystemNamespace} {
		role, err := client.Roles(namespace).Get(t.Context(), f.namespace, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{"", "networking.k8s.io"}, Resources: []string{"configmaps", "ingresses"}, Verbs: []string{"*"}})
		if _, err := client.Roles(namespace).Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.complete(time.Minute)
	f.open.Store(true)
	f.Wake()
	f.untilWithin(time.Minute, "no finding is left", func() bool { return len(f.now().Findings) == 0 })
	f.wantParent("Ingress.networking.k8s.io,ReplicaSet.apps,Service", f.namespace)
}

// A remedy that a user has to carry out contains the object's name, in one line.
func TestRemediesNameWhatHelps(t *testing.T) {
	job := func(image string) string {
		return fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: NAMESPACE}
spec:
  suspend: true
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: %q}]}`, image)
	}
	f := newFixture(t)
	f.mustSync(f.app("web", job("one")))
	r := f.sync(f.app("web", job("two"), `
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: old, namespace: NAMESPACE}`, `
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata: {name: old, namespace: NAMESPACE}`))
	found := f.wantFinding(r.Findings, "D10", "field is immutable")
	if remedy, want := found.Remedy.String(), "kubectl -n "+f.namespace+" delete job.batch migrate"; !strings.Contains(remedy, want) || !strings.Contains(remedy, "restore the field in apps/web/all.yaml") {
		t.Errorf("remedy = %q, want %q", remedy, want)
	}
	if text := found.Message.String(); len(text) > 300 || strings.Contains(text, "PodTemplateSpec") {
		t.Errorf("message = %q, want it without the template", text)
	}
	for kind, want := range map[string]string{"Ingress": "networking.k8s.io/v1", "PodDisruptionBudget": "policy/v1"} {
		if found := f.wantFinding(r.Findings, "D10", `no matches for kind "`+kind+`"`); found.Remedy.String() != "write apiVersion: "+want+", which this cluster serves" {
			t.Errorf("remedy for %s = %q, want %s", kind, found.Remedy, want)
		}
	}
}
