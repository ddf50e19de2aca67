package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// restrict limits the applier to these rules in the test's namespace. With inventory it
// may also read and write inventories.
func (f *fixture) restrict(inventory bool, rules ...rbacv1.PolicyRule) {
	f.Helper()
	f.config = f.sandbox.Restricted(f.cluster)
	client := f.sandbox.Client(f.T, f.cluster).RbacV1()
	bind := func(namespace string, rules []rbacv1.PolicyRule) {
		role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}, Rules: rules}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: f.namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: f.namespace},
			Subjects:   []rbacv1.Subject{{Kind: "User", Name: lab.RestrictedUser}},
		}
		if _, err := client.Roles(namespace).Create(f.Context(), role, metav1.CreateOptions{}); err != nil {
			f.Fatal(err)
		}
		if _, err := client.RoleBindings(namespace).Create(f.Context(), binding, metav1.CreateOptions{}); err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() {
			ctx := context.WithoutCancel(f.Context())
			_ = client.Roles(namespace).Delete(ctx, f.namespace, metav1.DeleteOptions{})
			_ = client.RoleBindings(namespace).Delete(ctx, f.namespace, metav1.DeleteOptions{})
		})
	}
	bind(f.namespace, rules)
	system := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"list"}}}
	if inventory {
		system[0].Verbs = []string{"*"}
	}
	bind(federation.SystemNamespace, system)
}

func TestAForbiddenKindStopsOnlyThatKind(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("other", deployment)) // creates fedsync-system
	f.restrict(true,
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"*"}},
		rbacv1.PolicyRule{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingresses"}, Verbs: []string{"get"}},
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: []string{"*"}},
	)
	f.start("one")
	f.plan = federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{f.app("web", nginx)}}
	r := f.Apply(f.plan)
	got := f.wantFinding(r.Findings, "D07", `cannot patch resource "ingresses"`)
	if !strings.Contains(got.Message.String(), `in the namespace "`+f.namespace+`"`) || got.Remedy.IsZero() {
		t.Errorf("finding = %+v, want the namespace and a remedy", got)
	}
	if !f.exists(object.Services, "nginx") || !f.exists(replicaSets, "nginx") || f.exists(ingresses, "nginx") {
		t.Error("want the Service and the ReplicaSet applied, and no Ingress")
	}
	if due := f.dueAt(time.Now().Add(state.PauseShared)); len(due) != 1 || due[0].Kind != "Ingress" {
		t.Errorf("due after %s: %v, want the Ingress: rights are granted without a commit", state.PauseShared, due)
	}
}

func TestWithoutAnInventoryObjectsAreAppliedAndNothingIsPruned(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("other", deployment))
	all := rbacv1.PolicyRule{APIGroups: []string{"", "apps", "networking.k8s.io"}, Resources: []string{"services", "replicasets", "ingresses"}, Verbs: []string{"*"}}
	f.restrict(false, all)
	f.start("one")
	f.plan = federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{f.app("web", nginx)}}
	r := f.Apply(f.plan)
	got := f.wantFinding(r.Findings, "inventory", "nothing is pruned")
	if got.Severity != federation.SeverityWarning {
		t.Errorf("severity = %s, want W", got.Severity)
	}
	if !r.Complete || !f.exists(ingresses, "nginx") {
		t.Errorf("complete = %v, changes %v: want the objects applied", r.Complete, describeChanges(r.Changes))
	}
	f.plan.Apps[0].Objects = f.plan.Apps[0].Objects[:2]
	f.Apply(f.plan)
	if !f.exists(ingresses, "nginx") {
		t.Error("the Ingress was pruned without an inventory")
	}
}

func TestASecretsContentIsInNoError(t *testing.T) {
	f := newFixture(t)
	r := f.sync(f.app("web", `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: NAMESPACE}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: aHVudGVyMg==}`, `
apiVersion: v1
kind: Secret
metadata: {name: other, namespace: NAMESPACE}
data: {password: "hunter2!"}`))
	if len(r.Changes) != 2 || r.Changes[0].Err == nil || r.Changes[1].Err == nil {
		t.Fatalf("changes = %v, want two failures", describeChanges(r.Changes))
	}
	texts := fmt.Sprintf("%v %+v", r.Findings, describeChanges(r.Changes))
	for _, c := range r.Changes {
		for err := c.Err; err != nil; err = errors.Unwrap(err) {
			texts += fmt.Sprintf(" %v %+v", err, err)
		}
	}
	if strings.Contains(texts, "hunter2") || strings.Contains(texts, "aHVudGVyMg") {
		t.Errorf("a Secret's content is in %s", texts)
	}
	f.wantFinding(r.Findings, "D10", "data[.dockerconfigjson]")
}

func TestAHungAPIServerCostsOneRequestsTime(t *testing.T) {
	s := lab.Own(t, 1)
	f := &fixture{T: t, sandbox: s, cluster: s.Clusters()[0], namespace: s.Namespace(t), seen: make(chan struct{}, 1)}
	f.federation, f.config, f.admin = f.namespace, s.RESTConfig(s.Clusters()[0]), s.Dynamic(t, s.Clusters()[0])
	defer func() { f.stop() }()
	const timeout = time.Second
	f.start("one", func(o *Options) { o.RequestTimeout = timeout })
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: NAMESPACE}\ndata: {v: '1'}", i))
	}
	f.mustSync(f.app("web", many...))
	s.Pause(t, f.cluster)
	for i := range many {
		many[i] = strings.Replace(many[i], "'1'", "'2'", 1)
	}
	start := time.Now()
	r := f.Apply(federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{f.app("web", many...)}})
	if took := time.Since(start); took > 4*timeout {
		t.Errorf("Apply took %s, want about %s and the time of one probe", took, timeout)
	}
	if r.Complete {
		t.Error("Apply is complete")
	}
	if due := f.dueAt(time.Now().Add(2 * state.PauseFirst)); len(due) != 1 {
		t.Errorf("due after the first pause: %v, want one object that shows whether the API server answers", due)
	}
	f.wantFinding(r.Findings, "D03", "does not answer")

	// Observe does not wait for an Apply that hangs.
	s.Resume(t, f.cluster)
	f.Retry()
	f.mustSync(f.app("web", many...))
	f.mustSync(f.app("web", many...))
	f.wantRequests()

	s.Kill(t, f.cluster)
	f.plan.Apps = []federation.AppPlan{f.app("web", strings.Replace(many[0], "'2'", "'3'", 1))}
	r = f.Apply(f.plan)
	f.wantFinding(r.Findings, "D03", "does not answer")
}

func TestRunObservesItsContext(t *testing.T) {
	f := newFixture(t)
	reached := make(chan struct{})
	f.counter.failWith(func(r *http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/services/nginx") {
			close(reached)
			<-r.Context().Done()
			return r.Context().Err()
		}
		return nil
	})
	f.open.Store(true)
	f.Want(federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{f.app("web", nginx)}})
	f.until("a request for the Service", func() bool {
		f.unwatched()
		select {
		case <-reached:
			return true
		default:
			return false
		}
	})
	start := time.Now()
	f.stop()
	if took := time.Since(start); took > drainTimeout+2*time.Second {
		t.Errorf("Run ended %s after its context, want at most %s", took, drainTimeout)
	}
	if f.now().Complete {
		t.Error("the cluster counts as complete although Run was ended")
	}
	if f.exists(ingresses, "nginx") {
		t.Error("Run went on after its context had ended")
	}
}
