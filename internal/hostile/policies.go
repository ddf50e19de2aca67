package hostile

import (
	"fmt"
	"strings"
)

// policies returns cases with objects that the repository must not have:
// fedsync's own, and those that the operator's settings exclude.
func policies() []Case {
	return []Case{short(ownObjects()), forgedLabels(), short(beyondNamespaces()), beyondKinds(), patchedBeyond()}
}

// ownObjects has fedsync's inventory, its claim, its kept objects, and its
// namespace.
func ownObjects() Case {
	refs := []string{
		"{name: fedsync-web-a, namespace: fedsync-system, labels: {applyset.kubernetes.io/id: x}}", "{name: any, namespace: fedsync-system}",
		"{name: kept-x, namespace: fedsync-system, labels: {fedsync.dev/kept: \"true\"}}", "{name: fedsync-claim-web, namespace: fedsync-system}",
	}
	kinds := []string{"v1 ConfigMap", "v1 Secret", "coordination.k8s.io/v1 Lease", "v1 Service", "apps/v1 Deployment", "coordination.k8s.io/v1beta1 LeaseCandidate"}
	return Case{
		Name: "policy/own-objects",
		Want: Want{Refused: `fedsync-system`, Never: []string{"namespace: fedsync-system", "name: fedsync-system", "applyset.kubernetes.io/id", "fedsync.dev/kept"}},
		Build: func(r *Repository, _ World) {
			text := repeated(len(refs)*len(kinds), func(i int) string {
				ref, kind := refs[i/len(kinds)], kinds[i%len(kinds)]
				version, kind, _ := strings.Cut(kind, " ")
				return fmt.Sprintf("---\napiVersion: %s\nkind: %s\nmetadata: %s\n", version, kind, ref)
			})
			r.app(map[string]string{
				"all.yaml": text + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: fedsync-system, labels: {a: b}}\n",
			})
		},
	}
}

// forgedLabels claims that an object is another inventory, or belongs to one.
func forgedLabels() Case {
	return Case{
		Name: "policy/forged-labels",
		Build: func(r *Repository, _ World) {
			r.app(map[string]string{"all.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  labels: {applyset.kubernetes.io/part-of: applyset-forged-v1, fedsync.dev/app: other}\n" +
				"  annotations: {applyset.kubernetes.io/contains-group-kinds: Secret, applyset.kubernetes.io/tooling: kubectl/v1}\n" +
				"  managedFields: [{manager: fedsync, operation: Apply}]\n  ownerReferences: [{apiVersion: v1, kind: Node, name: x, uid: y, controller: true}]\n" +
				"  uid: forged\n  resourceVersion: \"1\"\n  deletionTimestamp: \"2020-01-01T00:00:00Z\"\n  finalizers: [a/b]\n  generateName: x\nstatus: {a: b}\n"})
		},
	}
}

// beyondNamespaces has what --allow-namespaces excludes, in disguise.
func beyondNamespaces() Case {
	return Case{
		Name: "policy/namespaces", Args: []string{"--allow-namespaces", "default"},
		Want: Want{Refused: `kube-system`, Never: []string{"kube-system", "ClusterRoleBinding"}},
		Build: func(r *Repository, _ World) {
			const in = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\n"
			text := fmt.Sprintf(in, "a", "kube-system") + fmt.Sprintf(in, "b", "\" kube-system\"") + fmt.Sprintf(in, "c", "KUBE-SYSTEM") +
				fmt.Sprintf(in, "d", "kube-system/../kube-system") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n" +
				"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, namespace: default}\n" +
				"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x, namespace: default}\n" +
				"---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: e, namespace: kube-system}}\n" +
				"---\napiVersion: v1\nkind: ConfigMapList\nmetadata: {namespace: default}\nitems:\n- {metadata: {name: f, namespace: kube-system}}\n"
			r.app(map[string]string{"all.yaml": text})
		},
	}
}

// beyondKinds has what --allow-kinds excludes, in disguise.
func beyondKinds() Case {
	return Case{
		Name: "policy/kinds", Args: []string{"--allow-kinds", "ConfigMap"},
		Want: Want{Refused: `Secret|Role`, Never: []string{"kind: Secret", "kind: secret", "kind: ClusterRole", "kind: SecretList"}},
		Build: func(r *Repository, _ World) {
			kinds := []string{"v1 Secret", "v1 secret", "/v1 Secret", "core/v1 Secret", "v1 SecretList", "example.com/v1 ConfigMap", "rbac.authorization.k8s.io/v1 ClusterRole", "v1 Configmap"}
			var apps []string
			for i, kind := range kinds {
				version, kind, _ := strings.Cut(kind, " ")
				apps = append(apps, letters(i))
				r.File("apps/"+letters(i)+"/x.yaml", fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: x%d}\nitems: []\n", version, kind, i))
			}
			r.federation(apps...)
		},
	}
}

// patchedBeyond has objects that become excluded ones when they are built.
func patchedBeyond() Case {
	return Case{
		Name: "policy/patched", Args: []string{"--allow-namespaces", "default", "--allow-kinds", "ConfigMap"},
		Want: Want{Refused: `apps/|Secret|kube-system`, Never: []string{"namespace: kube-system", "kind: Secret"}},
		Build: func(r *Repository, _ World) {
			var apps []string
			for i, more := range []string{
				"patches: [{target: {kind: ConfigMap}, options: {allowKindChange: true}, patch: '[{\"op\": \"replace\", \"path\": \"/kind\", \"value\": \"Secret\"}]'}]\n",
				"patches: [{target: {kind: ConfigMap}, options: {allowKindChange: true}, patch: '[{\"op\": \"replace\", \"path\": \"\", \"value\": {\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"z\"}}}]'}]\n",
				"patches: [{target: {kind: ConfigMap}, patch: '[{\"op\": \"add\", \"path\": \"/metadata/namespace\", \"value\": \"kube-system\"}]'}]\n",
				"namespace: kube-system\n",
				"replacements: [{source: {kind: ConfigMap, fieldPath: data.k}, targets: [{select: {kind: ConfigMap}, fieldPaths: [metadata.namespace], options: {create: true}}]}]\n",
				"configMapGenerator: [{name: g, namespace: kube-system, literals: [a=b]}]\n", "secretGenerator: [{name: g, literals: [a=b]}]\n",
			} {
				app := letters(i)
				apps = append(apps, app)
				r.File("apps/"+app+"/innocent.yaml", configMap("x"+app, "kube-system"))
				r.File("apps/"+app+"/kustomization.yaml", kustomization(more))
			}
			r.federation(apps...)
		},
	}
}
