package daemon

import (
	"context"
	"fmt"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

// liftedWithin limits the time from the end of a refusal until the object is applied.
const liftedWithin = time.Minute

// An object that a cluster refuses is applied when the reason is gone, although there is no
// push and no event for the daemon. All reasons are real.
func TestWhatWasRefusedIsAppliedSoonAfterItIsAllowed(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := faultyWorld(t)
	proxy := w.proxy(0)
	cluster := proxy.Cluster()
	w.impersonate(cluster)
	w.role(cluster, append(all("get", "list", "watch"), rule("configmaps", "*"), rule("replicasets.apps", "*"))...)
	w.forbid(cluster, "policy")
	w.breakWebhook(cluster, "webhook")
	w.quota(cluster, corev1.ResourceList{"count/replicasets.apps": resource.MustParse("0")})
	w.taken(cluster, "taken")

	d := w.start()
	sha := w.repo.Push("refused", map[string]string{
		"fedsync.yaml":          w.file("web"),
		"apps/web/policy.yaml":  w.settings("policy", "1"),
		"apps/web/webhook.yaml": w.settings("webhook", "1"),
		"apps/web/taken.yaml":   w.settings("taken", "1"),
		"apps/web/quota.yaml":   w.replicaSet(1),
		"apps/web/right.yaml":   w.service(),
	})
	// On a busy machine a request may run into its timeout first, and is retried after a pause.
	d.awaitWithin(3*patience, "all five are refused", allOf(is(sha, status.Failure),
		hasFinding("E", cluster, "ConfigMap/"+w.namespace+"/policy", "not this one"),
		hasFinding("E", cluster, "ConfigMap/"+w.namespace+"/webhook", "failed calling webhook"),
		hasFinding("E", cluster, "ConfigMap/"+w.namespace+"/taken", "owned"),
		hasFinding("E", cluster, "ReplicaSet/"+w.namespace+"/web", "exceeded quota"),
		hasFinding("E", cluster, "Service/"+w.namespace+"/web", "forbidden"),
	))
	// It is refused more than one time, so that the pauses have begun to grow.
	eventually(t, "each is tried again", func() string {
		for _, name := range []string{"policy", "webhook"} {
			if n := writesOf(proxy, "configmaps", name); n < 3 {
				return fmt.Sprintf("%s was tried %d times", name, n)
			}
		}
		return ""
	})
	for _, name := range w.sandbox.Clusters()[1:] {
		w.awaitValue(name, "policy", "1")
	}

	w.allow(cluster)
	w.mendWebhook(cluster)
	w.withoutQuota(cluster)
	w.role(cluster, append(all("get", "list", "watch"), rule("configmaps", "*"), rule("replicasets.apps", "*"), rule("services", "*"))...)
	w.free(cluster, "taken")
	lifted := time.Now()
	within(t, liftedWithin, "all is applied", func() string {
		r := d.reports.Newest()
		if missing := is(sha, status.Success)(r); missing != "" {
			return missing + "\nreport: " + describe(r)
		}
		return ""
	})
	t.Logf("applied %s after the last refusal ended", time.Since(lifted))
	d.during(time.Second, "nothing of it is left in the report", func(r *status.Report) string {
		if got, want := findingIDs(r), "adopted "+cluster+" ConfigMap/"+w.namespace+"/taken"; got != want {
			return fmt.Sprintf("there is %s, want %s", got, want)
		}
		return ""
	})
}

// An object that cannot be changed is created again when a user deletes it, and is no
// longer reported.
func TestWhatSomebodyMendsByHandIsNoFailureAnyMore(t *testing.T) {
	w := faultyWorld(t)
	cluster := w.sandbox.Clusters()[0]
	fixed := func(value string) string { return w.settings("fixed", value) + "immutable: true\n" }
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/fixed.yaml": fixed("1")}))
	second := w.repo.Push("second", map[string]string{"apps/web/fixed.yaml": fixed("2")})
	for _, name := range w.sandbox.Clusters() {
		d.await("it is refused", allOf(is(second, status.Failure), hasFinding("E", name, "field is immutable")))
	}
	for _, name := range w.sandbox.Clusters() {
		w.deleteByHand(name, "ConfigMap", "fixed")
	}
	mended := time.Now()
	d.live(second)
	t.Logf("applied %s after it was deleted", time.Since(mended))
	w.awaitValue(cluster, "fixed", "2")
}

// Without permission to write inventories nothing is pruned. Pruning happens as soon as the
// permission is granted, without a push.
func TestARightThatIsGrantedLaterIsUsed(t *testing.T) {
	w := faultyWorld(t)
	cluster := w.proxy(0).Cluster()
	w.impersonate(cluster)
	w.role(cluster, append(all("get", "list", "watch"), ruleIn(w.namespace, "configmaps", "*"))...)
	d := w.start()
	unkept := hasFinding("W inventory", cluster, "cannot write the inventory", "write ConfigMaps")
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
		"apps/web/b.yaml": w.settings("b", "1"),
	}))
	second := w.repo.Push("second", map[string]string{"apps/web/b.yaml": sourcetest.Removed})
	d.await("it says that nothing is pruned", allOf(is(second, status.Success), unkept))
	if got := w.value(cluster, "b"); got != "1" {
		t.Errorf("b without an inventory is %q, want 1", got)
	}
	w.role(cluster, append(all("get", "list", "watch"), rule("configmaps", "*"))...)
	granted := time.Now()
	within(t, liftedWithin, "the inventory is written, and what left Git is pruned", func() string {
		if r := d.reports.Newest(); unkept(r) == "" {
			return describe(r)
		}
		if got := w.value(cluster, "b"); got != "-" {
			return fmt.Sprintf("b is %q", got)
		}
		return ""
	})
	t.Logf("done %s after the permission was granted", time.Since(granted))
	d.live(second)
}

// right is a rule of a role, for all namespaces or only one.
type right struct {
	rbacv1.PolicyRule

	namespace string
}

// all returns rules with some verbs for all that a daemon reads, and with all permissions
// for its own objects other than inventories.
func all(verbs ...string) []right {
	return []right{
		{PolicyRule: rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: verbs}},
		rule("leases.coordination.k8s.io", "*"),
		rule("secrets", "*"), // copies of objects that it takes over
	}
}

// rule allows verbs on a resource, such as "configmaps" or "replicasets.apps".
func rule(resource string, verbs ...string) right {
	group := schema.ParseGroupResource(resource)
	return right{PolicyRule: rbacv1.PolicyRule{APIGroups: []string{group.Group}, Resources: []string{group.Resource}, Verbs: verbs}}
}

// ruleIn is like rule, in one namespace.
func ruleIn(namespace, resource string, verbs ...string) right {
	r := rule(resource, verbs...)
	r.namespace = namespace
	return r
}

// impersonate makes daemons use a cluster as a user with the namespace's name, who has no
// permissions yet.
func (w *world) impersonate(cluster string) {
	w.t.Helper()
	w.changeKubeconfig(w.cfg.Kubeconfig, func(config *clientcmdapi.Config) {
		config.AuthInfos[config.Contexts[cluster].AuthInfo].Impersonate = w.namespace
	})
}

// role replaces the permissions of that user.
func (w *world) role(cluster string, rights ...right) {
	w.t.Helper()
	roles, ctx := w.client(cluster).RbacV1(), w.t.Context()
	meta := metav1.ObjectMeta{Name: w.namespace}
	user := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: w.namespace}}
	var everywhere, here []rbacv1.PolicyRule
	for _, r := range rights {
		if r.namespace == "" {
			everywhere = append(everywhere, r.PolicyRule)
		} else {
			here = append(here, r.PolicyRule)
		}
	}
	fail := func(err error) {
		w.t.Helper()
		if err != nil && !apierrors.IsAlreadyExists(err) {
			w.t.Fatal(err)
		}
	}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: everywhere}
	_, err := roles.ClusterRoles().Update(ctx, role, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		w.t.Cleanup(func() { w.revoke(cluster) })
		_, err = roles.ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	}
	fail(err)
	_, err = roles.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, Subjects: user,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
	}, metav1.CreateOptions{})
	fail(err)
	if len(here) == 0 {
		return
	}
	_, err = roles.Roles(w.namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: here}, metav1.CreateOptions{})
	fail(err)
	_, err = roles.RoleBindings(w.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: user,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
	}, metav1.CreateOptions{})
	fail(err)
}

// breakWebhook registers a webhook for ConfigMaps with a name in the test's namespace,
// whose server does not exist.
func (w *world) breakWebhook(cluster, name string) {
	w.t.Helper()
	client := w.sandbox.Client(w.t, cluster)
	_, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(w.t.Context(), &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name:                    "down.example.com",
			ClientConfig:            admissionv1.WebhookClientConfig{URL: new("https://127.0.0.1:1/")},
			FailurePolicy:           new(admissionv1.Fail),
			SideEffects:             new(admissionv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.namespace}},
			MatchConditions:         []admissionv1.MatchCondition{{Name: "name", Expression: fmt.Sprintf("object.metadata.name == %q", name)}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.mendWebhook(cluster) })
	w.awaitVerdict(cluster, name, true)
}

// mendWebhook ends breakWebhook; it may be called again.
func (w *world) mendWebhook(cluster string) {
	w.t.Helper()
	hooks := w.sandbox.Client(w.t, cluster).AdmissionregistrationV1().ValidatingWebhookConfigurations()
	err := hooks.Delete(context.WithoutCancel(w.t.Context()), w.namespace, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Error(err)
	}
}

// taken creates a ConfigMap that belongs to a foreign ApplySet.
func (w *world) taken(cluster, name string) {
	w.t.Helper()
	maps := w.sandbox.Client(w.t, cluster).CoreV1().ConfigMaps(w.namespace)
	_, err := maps.Create(w.t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{inventory.LabelPartOf: "applyset-of-somebody"}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// free removes the label of the foreign ApplySet from that ConfigMap.
func (w *world) free(cluster, name string) {
	w.t.Helper()
	w.update(cluster, "ConfigMap", name, func(u *unstructured.Unstructured) { u.SetLabels(nil) })
}

// deleteByHand deletes an object in the test's namespace, as a user would.
func (w *world) deleteByHand(cluster, kind, name string) {
	w.t.Helper()
	err := w.dynamic(cluster).Resource(kinds[kind]).Namespace(w.namespace).Delete(w.t.Context(), name, metav1.DeleteOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}
