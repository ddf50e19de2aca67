package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/lab/faults"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// faultyWorld is a world in which daemons reach the clusters through proxies of the
// test's own.
func faultyWorld(t *testing.T) *world {
	t.Helper()
	return newWorld(t, lab.Shared(t)).behindProxies()
}

// behindProxies puts proxies of the test's own in front of the clusters.
func (w *world) behindProxies() *world {
	w.t.Helper()
	w.front = w.sandbox.Faults(w.t)
	w.cfg.Kubeconfig = w.front.Kubeconfig()
	return w
}

// proxy returns the proxy in front of one of the clusters, by its number.
func (w *world) proxy(i int) *lab.Proxy {
	w.t.Helper()
	return w.front.Proxy(w.sandbox.Clusters()[i])
}

// dynamic returns a client of a cluster that bypasses the proxies.
func (w *world) dynamic(cluster string) dynamic.Interface {
	w.t.Helper()
	if w.direct != nil {
		return w.direct(cluster)
	}
	if w.front != nil {
		return w.front.Proxy(cluster).Dynamic()
	}
	return w.sandbox.Dynamic(w.t, cluster)
}

// client is like dynamic, but returns a typed client.
func (w *world) client(cluster string) kubernetes.Interface {
	w.t.Helper()
	if w.front != nil {
		return w.front.Proxy(cluster).Client()
	}
	return w.sandbox.Client(w.t, cluster)
}

// writesTo returns a rule for the requests that change ConfigMaps in the test's namespace,
// or the one with the name, if it is not empty.
func (w *world) writesTo(name string, rule faults.Rule) faults.Rule {
	rule.Method = "POST|PUT|PATCH"
	rule.Path = "/namespaces/" + w.namespace + "/configmaps(/[^/]+)?$"
	if name != "" {
		rule.Path = faults.Object("configmaps", w.namespace, name)
	}
	return rule
}

// denial returns the answer of a policy that denies.
func denial() faults.Rule {
	r := faults.Status(422)
	r.Reason = string(metav1.StatusReasonInvalid)
	r.Message = `$RESOURCE "$NAME" is forbidden: ValidatingAdmissionPolicy 'sandbox' with binding 'sandbox' denied request: not here`
	return r
}

// writesOf counts the requests to change an object, including failed ones.
func writesOf(p *lab.Proxy, resource, name string) int {
	return len(p.Requests().Of(resource).Writes().Where(func(r faults.Request) bool { return r.Name == name }))
}

// claimOf returns the holder of the claim in a cluster, the writer of the federation; ""
// if there is no claim.
func (w *world) claimOf(cluster string) string {
	w.t.Helper()
	lease, err := w.dynamic(cluster).Resource(claim.Resource).Namespace(claim.Namespace).
		Get(w.t.Context(), claim.Name(w.name), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		w.t.Fatalf("read the claim of %s in %s: %v", w.name, cluster, err)
	}
	holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity")
	return holder
}

// inventory returns what the inventory of an app lists in a cluster.
func (w *world) inventory(cluster, app string) string {
	w.t.Helper()
	parent, err := w.dynamic(cluster).Resource(kinds["ConfigMap"]).Namespace(federation.SystemNamespace).
		Get(w.t.Context(), inventory.ParentName(w.name, app), metav1.GetOptions{})
	if err != nil {
		w.t.Fatalf("read the inventory of %s in %s: %v", app, cluster, err)
	}
	return parent.GetAnnotations()["applyset.kubernetes.io/contains-group-kinds"]
}

// lacks is a condition: no finding has all of these words.
func lacks(words ...string) func(*status.Report) string {
	has := hasFinding(words...)
	return func(r *status.Report) string {
		if has(r) == "" {
			return fmt.Sprintf("there is a finding with %q", words)
		}
		return ""
	}
}

// allOf is a condition: all of the conditions are met.
func allOf(questions ...func(*status.Report) string) func(*status.Report) string {
	return func(r *status.Report) string {
		for _, question := range questions {
			if missing := question(r); missing != "" {
				return missing
			}
		}
		return ""
	}
}

// is is a condition on the state of a revision.
func is(sha string, states ...status.State) func(*status.Report) string {
	return func(r *status.Report) string {
		if r.Revision.SHA != sha || !slices.Contains(states, r.State) {
			return fmt.Sprintf("%s is %s, want %s as %v", r.Revision, r.State, sha[:7], states)
		}
		return ""
	}
}

// during checks every report for a while.
func (r *ran) during(d time.Duration, what string, question func(*status.Report) string) {
	r.t.Helper()
	enough, again := time.After(d), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for {
		if report := r.reports.Newest(); report != nil {
			if missing := question(report); missing != "" {
				r.t.Fatalf("%s: %s\nreport: %s", what, missing, describe(report))
			}
		}
		select {
		case <-enough:
			return
		case <-again.C:
		}
	}
}

// many returns n ConfigMaps, as one file.
func (w *world) many(n int, value string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("---\n" + w.settings(fmt.Sprintf("many-%d", i), value))
	}
	return b.String()
}

// custom is the resource of the definition that definition makes.
func (w *world) custom() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: w.namespace + ".example.com", Version: "v1", Resource: "carts"}
}

// definition returns a definition of Carts, in a group of the test's own.
func (w *world) definition() string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: carts.%[1]s}
spec:
  group: %[1]s
  names: {kind: Cart, listKind: CartList, plural: carts, singular: cart}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, w.custom().Group)
}

// cart returns an object of the kind that definition defines.
func (w *world) cart(name string) string {
	return fmt.Sprintf("apiVersion: %s/v1\nkind: Cart\nmetadata: {name: %s, namespace: %s}\n", w.custom().Group, name, w.namespace)
}
