package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestFindingsOfObjectsComeAndGo(t *testing.T) {
	t.Parallel()
	s := lab.Shared(t)
	p := newPatient(t, s, func(*patient) {})
	for _, faults := range []func(*patient) []fault{replicaFaults, podFaults, portFaults, refusedObjects, ingressFaults} {
		for _, f := range faults(p) {
			p.try(t, f)
		}
	}
}

// patched returns an overlay that patches an object of the base.
func patched(patch string) string {
	return "resources: [../../base]\npatches:\n- patch: |-\n    " + strings.ReplaceAll(strings.TrimSpace(patch), "\n", "\n    ") + "\n"
}

// overlay returns the path of a cluster's overlay.
func overlay(cluster string) string { return "apps/web/clusters/" + cluster + "/kustomization.yaml" }

// with returns a file of the healthy patient with a part replaced.
func (p *patient) with(file, old, replacement string) map[string]string {
	was := p.files[file]
	if !strings.Contains(was, old) {
		p.world.t.Fatalf("%s does not contain %q", file, old)
	}
	return map[string]string{file: strings.Replace(was, old, replacement, 1)}
}

const (
	ingressFile    = "apps/web/base/ingress.yaml"
	serviceFile    = "apps/web/base/service.yaml"
	replicaSetFile = "apps/web/base/replicaset.yaml"
	moreFile       = "apps/web/base/more.yaml"
)

// preferring returns the ReplicaSet with other preferences of clusters.
func (p *patient) preferring(clusters string) map[string]string {
	return p.with(replicaSetFile, `{"*": {"weight": 1}}`, clusters)
}

func replicaFaults(p *patient) []fault {
	web, all := p.ref("ReplicaSet", "web"), p.sandbox.Clusters()
	return []fault{
		{
			name:  "maxima leave replicas over",
			files: p.preferring(`{"*": {"weight": 1, "maxReplicas": 1}}`),
			want:  []symptom{failing("replicas", "", web, "3 of 6 replicas cannot be placed", "every cluster has reached its maximum", "raise the maxima")},
		},
		{
			name:  "overlays ask for different totals",
			files: map[string]string{overlay(all[1]): patched("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web, namespace: " + p.namespace + "}\nspec: {replicas: 9}")},
			want:  []symptom{failing("replicas", "", web, "9 in "+all[1], "6 in "+all[0]+", "+all[2], "in the base")},
		},
		{
			name:  "preferences that cannot be read",
			files: p.preferring(`{"*": {"wieght": 1}}`),
			want:  []symptom{failing("annotation", "", web, "wieght", "correct it")},
		},
		{
			name:  "a cluster without a share",
			files: p.preferring(fmt.Sprintf(`{%q: {"weight": 1}, %q: {"weight": 1}}`, all[0], all[1])),
			want:  []symptom{note("no-share", all[2], p.ref("Service", "web"), "Ingress/"+p.namespace+"/web")},
		},
		{
			name: "pods elsewhere do not become ready",
			files: map[string]string{replicaSetFile: strings.Replace(
				p.preferring(fmt.Sprintf(`{%q: {"weight": 1}}`, all[0]))[replicaSetFile],
				"metadata: {labels: {app: web}}", `metadata: {labels: {app: web}, annotations: {sandbox.fedsync.dev/ready: "false"}}`, 1)},
			want: []symptom{note("replicas-held", "", web, all[1]+" keeps 2 in addition to its 0", all[2]+" keeps 2 in addition to its 0", all[0]+" has 2 of 6")},
			mend: func(p *patient) { p.annotatePods(all[0], 6, "true") },
		},
		{
			name:  "a cluster that is back is still declared lost",
			files: map[string]string{"fedsync.yaml": p.files["fedsync.yaml"] + "  failover: {confirmLost: [" + all[1] + "]}\n"},
			want:  []symptom{warning("confirm-lost", all[1], none, "counts again", "remove it from spec.failover.confirmLost")},
		},
	}
}

// annotatePods waits until web has count pods in a cluster and annotates them, so that the
// sandbox makes them ready or not.
func (w *world) annotatePods(cluster string, count int, ready string) {
	w.t.Helper()
	pods := w.sandbox.Client(w.t, cluster).CoreV1().Pods(w.namespace)
	var list *corev1.PodList
	eventually(w.t, fmt.Sprintf("web has %d pods in %s", count, cluster), func() (missing string) {
		var err error
		if list, err = pods.List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=web"}); err != nil || len(list.Items) != count {
			return fmt.Sprintf("it has %d, %v", len(list.Items), err)
		}
		return ""
	})
	patch := fmt.Appendf(nil, `{"metadata": {"annotations": {"sandbox.fedsync.dev/ready": %q}}}`, ready)
	for _, pod := range list.Items {
		if _, err := pods.Patch(w.t.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// second is another Service with node ports.
func (w *world) second(port int) string {
	return strings.Replace(strings.ReplaceAll(w.service(), "name: web, ", "name: second, "),
		fmt.Sprintf("nodePort: %d", w.nodePort), fmt.Sprintf("nodePort: %d", port), 1)
}

func portFaults(p *patient) []fault {
	web, second, all := p.ref("Service", "web"), p.ref("Service", "second"), p.sandbox.Clusters()
	other := p.sandbox.FreeNodePorts(p.world.t, 1)
	another := fmt.Sprintf("nodePort: %d", other)
	return []fault{
		{
			name: "overlays pin different node ports",
			files: map[string]string{overlay(all[1]): patched(fmt.Sprintf(
				"apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: %s}\nspec: {ports: [{name: http, port: 80, %s}]}", p.namespace, another))},
			want: []symptom{failing("D11", "", web, fmt.Sprintf("%d in %s", other, all[1]), fmt.Sprintf("%d in %s, %s", p.nodePort, all[0], all[2]), "pin one nodePort")},
		},
		{
			name:  "a port is pinned twice",
			files: map[string]string{moreFile: p.second(p.nodePort)},
			want:  []symptom{failing("D11b", "", second, fmt.Sprintf("nodePort %d", p.nodePort), web.String(), "pin another nodePort")},
		},
		{
			name: "a port out of the range",
			files: map[string]string{
				"fedsync.yaml": p.files["fedsync.yaml"] + "  nodePorts: {range: 30000-32700}\n",
				moreFile:       p.second(32701),
			},
			want: []symptom{failing("D11b", "", second, "nodePort 32701", "30000-32700", "correct nodePorts.range")},
		},
		{
			name:  "a port that somebody holds",
			cause: func(p *patient) { p.occupy(all[1], p.namespace, "legacy", other) },
			files: map[string]string{moreFile: p.second(other)},
			want:  []symptom{failing("D11b", all[1], second, "Service/"+p.namespace+"/legacy", "free "+fmt.Sprint(other))},
			mend:  func(p *patient) { p.remove(all[1], "legacy") },
		},
		{
			name: "Services that exist have different ports, none of them free everywhere",
			cause: func(p *patient) {
				p.occupy(all[0], p.namespace, "second", other)
				p.occupy(all[1], p.namespace, "second", other+1)
				p.occupy(all[2], p.namespace, "legacy", other)
				p.occupy(all[2], p.namespace, "older", other+1)
			},
			files: map[string]string{moreFile: strings.Replace(p.second(other), another, "", 1)},
			want:  []symptom{failing("D11", "", second, fmt.Sprintf("%d in %s", other, all[0]), fmt.Sprintf("%d in %s", other+1, all[1]))},
			mend: func(p *patient) {
				p.remove(all[2], "legacy")
				p.remove(all[2], "older")
			},
		},
	}
}

// remove deletes a Service.
func (w *world) remove(cluster, service string) {
	w.t.Helper()
	if err := w.sandbox.Client(w.t, cluster).CoreV1().Services(w.namespace).Delete(w.t.Context(), service, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func ingressFaults(p *patient) []fault {
	web, service, all := p.ref("Ingress", "web"), p.ref("Service", "web"), p.sandbox.Clusters()
	cert := federation.ObjectRef{Kind: "Secret", Namespace: p.namespace, Name: "cert"}
	tls := p.with(ingressFile, "spec:\n", "spec:\n  tls: [{secretName: cert}]\n")
	backend := "name: web, port: {number: 80}"
	clusterIP := fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: second, namespace: %[1]s}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: second
  namespace: %[1]s
  annotations: {kubernetes.io/ingress.class: gce, kubernetes.io/ingress.global-static-ip-name: %[1]s}
spec: {defaultBackend: {service: {name: second, port: {number: 80}}}}
`, p.namespace)
	return []fault{
		{
			name:  "the Service behind it is a ClusterIP",
			files: map[string]string{moreFile: clusterIP},
			want: []symptom{
				failing("D11c", all[0], p.ref("Service", "second"), "ClusterIP", "Ingress/"+p.namespace+"/second", "type: NodePort"),
				failing("D11c", all[2], p.ref("Service", "second")),
			},
		},
		{
			name: "one cluster uses another controller",
			files: map[string]string{overlay(all[1]): patched(fmt.Sprintf(
				"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: %s, annotations: {kubernetes.io/ingress.class: nginx}}", p.namespace))},
			want: []symptom{warning("D12", all[1], web, "uses nginx", "cannot share the IP of "+all[0]+", "+all[2], "kubernetes.io/ingress.class: gce")},
		},
		{
			name:  "a backend that is nowhere",
			files: p.with(ingressFile, backend, "name: wbe, port: {number: 80}"),
			want:  []symptom{failing("D20", "", web, "Service/"+p.namespace+"/wbe exists neither", "correct its name")},
		},
		{
			name:  "a port that its backend does not have",
			files: p.with(ingressFile, backend, "name: web, port: {number: 81}"),
			want:  []symptom{failing("D20", "", web, service.String()+" has no port 81; it has 80", serviceFile)},
		},
		{
			name:  "a certificate that is missing in one cluster",
			cause: func(p *patient) { p.certificate("a", all[0], all[2]) },
			files: tls,
			want:  []symptom{failing("D19", all[1], cert, "is missing", "create secret tls cert")},
			mend:  func(p *patient) { p.certificate("a", all[1]) },
		},
		{
			name: "a certificate of the wrong type",
			cause: func(p *patient) {
				p.withoutCertificate(all[1])
				p.secret(all[1], corev1.SecretTypeOpaque, "a")
			},
			files: tls,
			want:  []symptom{failing("D19", all[1], cert, `is of type "Opaque"`, "delete secret cert")},
			mend: func(p *patient) {
				p.withoutCertificate(all[1])
				p.certificate("a", all[1])
			},
		},
		{
			name: "certificates that differ",
			cause: func(p *patient) {
				p.withoutCertificate(all[1])
				p.certificate("b", all[1])
			},
			files: tls,
			want:  []symptom{failing("D19", "", cert, "different certificates", " in "+all[1]+"; ", " in "+all[0]+", "+all[2])},
			mend: func(p *patient) {
				p.withoutCertificate(all[1])
				p.certificate("a", all[1])
			},
		},
		{
			name:  "an address that is not reserved",
			files: p.with(ingressFile, "    kubernetes.io/ingress.global-static-ip-name: "+p.namespace+"\n", ""),
			want:  []symptom{failing("D17", "", web, "3 addresses instead of one", " in "+all[1], "gcloud compute addresses create web --global")},
		},
	}
}

// certificate makes the Secret that the Ingress names.
func (w *world) certificate(content string, clusters ...string) {
	w.t.Helper()
	for _, cluster := range clusters {
		w.secret(cluster, corev1.SecretTypeTLS, content)
	}
}

func (w *world) secret(cluster string, kind corev1.SecretType, content string) {
	w.t.Helper()
	cfg := w.sandbox.RESTConfig(cluster)
	cfg.WarningHandlerWithContext = rest.NoWarnings{} // it is no certificate at all
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = client.CoreV1().Secrets(w.namespace).Create(w.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "cert"}, Type: kind,
		StringData: map[string]string{"tls.crt": content, "tls.key": "key"},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) withoutCertificate(cluster string) {
	w.t.Helper()
	if err := w.sandbox.Client(w.t, cluster).CoreV1().Secrets(w.namespace).Delete(w.t.Context(), "cert", metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func podFaults(p *patient) []fault {
	web, service, all := p.ref("ReplicaSet", "web"), p.ref("Service", "web"), p.sandbox.Clusters()
	return []fault{
		{
			name:  "a selector that takes no pods",
			files: p.with(serviceFile, "selector: {app: web}", "selector: {app: wbe}"),
			want:  []symptom{warning("selector", "", service, "app=wbe matches no pods", web.String()+" has app=web", serviceFile)},
		},
		{
			name:  "no pod is ready in one cluster",
			cause: func(p *patient) { p.annotatePods(all[1], 2, "false") },
			want: []symptom{
				warning("D18", all[1], service, "no ready endpoint for networking.k8s.io/Ingress/"+p.namespace+"/web", "app=web", "0 ready and 2 not ready", "get pods -l app=web"),
				warning("D22", all[1], web, "0 of 2 ready", "describe replicaset.apps web"),
			},
			mend: func(p *patient) { p.annotatePods(all[1], 2, "true") },
		},
	}
}

func refusedObjects(p *patient) []fault {
	all := p.sandbox.Clusters()
	service, other := p.ref("Service", "web"), p.ref("ConfigMap", "other")
	quota := federation.ObjectRef{Kind: "ResourceQuota", Namespace: p.namespace, Name: "tight"}
	namespace := federation.ObjectRef{Kind: "Namespace", Name: p.namespace + "-more"}
	elsewhere := strings.Replace(p.settings("other", "1"), p.namespace, namespace.Name, 1)
	return []fault{
		{
			name:  "an object that the API servers find invalid",
			files: p.with(serviceFile, "type: NodePort", "type: NodePort\n  sessionAffinity: Sometimes"),
			want: []symptom{
				failing("D10", all[0], service, "Sometimes"),
				failing("D10", all[1], service),
				failing("D10", all[2], service),
			},
		},
		{
			name:    "a policy of one cluster",
			cause:   func(p *patient) { p.forbid(all[1], "other") },
			files:   map[string]string{moreFile: p.settings("other", "1")},
			refused: true,
			want:    []symptom{failing("D10", all[1], other, "not this one")},
			mend: func(p *patient) {
				p.allow(all[1])
				p.awaitVerdict(all[1], "other", false)
			},
		},
		{
			name: "a quota that has too little room",
			cause: func(p *patient) {
				one := resource.MustParse("1")
				p.quota(all[1], corev1.ResourceList{"pods": one, "services.nodeports": one, "count/configmaps": one})
			},
			files:   map[string]string{moreFile: p.second(p.sandbox.FreeNodePorts(p.world.t, 1)) + "---\n" + p.settings("other", "1")},
			refused: true,
			want: []symptom{
				failing("D08", all[1], quota, "pods: 2 planned of 1 at most", "services.nodeports: 1 used and 1 more needed of 1", "count/configmaps: ", "edit resourcequota tight"),
				failing("D08", all[1], p.ref("Service", "second"), "exceeded quota"),
				failing("D08", all[1], other, "exceeded quota"),
			},
			mend: func(p *patient) { p.withoutQuota(all[1]) },
		},
		{
			name: "a namespace that no cluster has",
			files: map[string]string{
				"fedsync.yaml": p.files["fedsync.yaml"] + "  createNamespaces: false\n",
				moreFile:       elsewhere,
			},
			refused: true,
			want: []symptom{
				failing("D09", all[0], namespace, "not found", "createNamespaces: true"),
				failing("D09", all[1], namespace),
				failing("D09", all[2], namespace),
			},
			mend: func(p *patient) {
				for _, cluster := range all {
					p.makeNamespace(cluster, namespace.Name)
				}
			},
		},
		{
			name:  "a namespace that is being deleted",
			cause: func(p *patient) { p.terminate(all[1], namespace.Name) },
			files: map[string]string{moreFile: elsewhere},
			want:  []symptom{failing("D09", all[1], namespace, "is being terminated", "wait until the namespace is gone")},
			mend:  func(p *patient) { p.release(all[1], namespace.Name) },
		},
	}
}

// forbid makes a cluster refuse ConfigMaps with a name in the test's namespace.
func (w *world) forbid(cluster, name string) {
	w.t.Helper()
	client := w.sandbox.Client(w.t, cluster)
	meta := metav1.ObjectMeta{Name: w.namespace}
	_, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(w.t.Context(), &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: meta,
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
				}}},
			},
			Validations: []admissionv1.Validation{{Expression: fmt.Sprintf("object.metadata.name != %q", name), Message: "not this one"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(w.t.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: meta,
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: meta.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.allow(cluster) })
	w.awaitVerdict(cluster, name, true)
}

// allow ends forbid; it may be called again.
func (w *world) allow(cluster string) {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	policies := w.sandbox.Client(w.t, cluster).AdmissionregistrationV1()
	for _, err := range []error{
		policies.ValidatingAdmissionPolicyBindings().Delete(ctx, w.namespace, metav1.DeleteOptions{}),
		policies.ValidatingAdmissionPolicies().Delete(ctx, w.namespace, metav1.DeleteOptions{}),
	} {
		if err != nil && !apierrors.IsNotFound(err) {
			w.t.Fatal(err)
		}
	}
}

// awaitVerdict waits until a policy is, or is no longer, in effect: an API server takes a
// moment to notice it.
func (w *world) awaitVerdict(cluster, name string, refused bool) {
	w.t.Helper()
	maps := w.sandbox.Client(w.t, cluster).CoreV1().ConfigMaps(w.namespace)
	eventually(w.t, "the policy is in effect", func() string {
		_, err := maps.Create(w.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if (err != nil) != refused {
			return fmt.Sprintf("refused is %v", err)
		}
		return ""
	})
}

// quota limits the test's namespace in a cluster, and waits until the limit is in effect.
func (w *world) quota(cluster string, hard corev1.ResourceList) {
	w.t.Helper()
	quotas := w.sandbox.Client(w.t, cluster).CoreV1().ResourceQuotas(w.namespace)
	_, err := quotas.Create(w.t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "tight"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "the quota is counted", func() string {
		if q, err := quotas.Get(w.t.Context(), "tight", metav1.GetOptions{}); err != nil || len(q.Status.Used) < len(hard) {
			return fmt.Sprint("it is not: ", err)
		}
		return ""
	})
}

func (w *world) withoutQuota(cluster string) {
	w.t.Helper()
	if err := w.sandbox.Client(w.t, cluster).CoreV1().ResourceQuotas(w.namespace).Delete(w.t.Context(), "tight", metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// makeNamespace creates a namespace that is deleted at the test's end.
func (w *world) makeNamespace(cluster, name string) {
	w.t.Helper()
	namespaces := w.sandbox.Client(w.t, cluster).CoreV1().Namespaces()
	if _, err := namespaces.Create(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// terminate deletes a namespace that a finalizer retains.
func (w *world) terminate(cluster, name string) {
	w.t.Helper()
	core := w.sandbox.Client(w.t, cluster).CoreV1()
	holder := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "holder", Finalizers: []string{"example.com/holds"}}}
	if _, err := core.ConfigMaps(name).Create(w.t.Context(), holder, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if err := core.Namespaces().Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.release(cluster, name) })
}

// release removes the finalizer from a namespace; it may be called again.
func (w *world) release(cluster, name string) {
	w.t.Helper()
	_, err := w.sandbox.Client(w.t, cluster).CoreV1().ConfigMaps(name).Patch(context.WithoutCancel(w.t.Context()), "holder",
		types.MergePatchType, []byte(`{"metadata": {"finalizers": null}}`), metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
}
