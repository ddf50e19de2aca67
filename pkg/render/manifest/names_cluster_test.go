package manifest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/lab"
)

// kindsToName are objects that an API server accepts with any valid name, as YAML
// without the metadata, by "RESOURCE.VERSION.GROUP KIND"; cluster-scoped ones end
// with "!".
var kindsToName = map[string]string{
	"configmaps.v1. ConfigMap":                         "{}",
	"endpoints.v1. Endpoints":                          "{}",
	"limitranges.v1. LimitRange":                       "{spec: {limits: []}}",
	"namespaces.v1. Namespace!":                        "{}",
	"nodes.v1. Node!":                                  "{}",
	"persistentvolumeclaims.v1. PersistentVolumeClaim": "{spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
	"persistentvolumes.v1. PersistentVolume!":          "{spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /a}}}",
	"pods.v1. Pod":                                     "{spec: {containers: [{name: a, image: a}]}}",
	"podtemplates.v1. PodTemplate":                     "{template: {metadata: {labels: {a: a}}, spec: {containers: [{name: a, image: a}]}}}",
	"replicationcontrollers.v1. ReplicationController": "{spec: {selector: {a: a}, template: {metadata: {labels: {a: a}}, spec: {containers: [{name: a, image: a}]}}}}",
	"resourcequotas.v1. ResourceQuota":                 "{spec: {}}",
	"secrets.v1. Secret":                               "{}",
	"serviceaccounts.v1. ServiceAccount":               "{}",
	"services.v1. Service":                             "{spec: {ports: [{port: 80}]}}",

	"mutatingwebhookconfigurations.v1.admissionregistration.k8s.io MutatingWebhookConfiguration!":     "{}",
	"validatingwebhookconfigurations.v1.admissionregistration.k8s.io ValidatingWebhookConfiguration!": "{}",
	"validatingadmissionpolicies.v1.admissionregistration.k8s.io ValidatingAdmissionPolicy!": `{spec: {validations: [{expression: "true"}],
	  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}}}`,
	"validatingadmissionpolicybindings.v1.admissionregistration.k8s.io ValidatingAdmissionPolicyBinding!": "{spec: {policyName: a, validationActions: [Deny]}}",

	"daemonsets.v1.apps DaemonSet":        "{spec: {selector: {matchLabels: {a: a}}, template: {metadata: {labels: {a: a}}, spec: {containers: [{name: a, image: a}]}}}}",
	"deployments.v1.apps Deployment":      "{spec: {selector: {matchLabels: {a: a}}, template: {metadata: {labels: {a: a}}, spec: {containers: [{name: a, image: a}]}}}}",
	"replicasets.v1.apps ReplicaSet":      "{spec: {selector: {matchLabels: {a: a}}, template: {metadata: {labels: {a: a}}, spec: {containers: [{name: a, image: a}]}}}}",
	"statefulsets.v1.apps StatefulSet":    "{spec: {serviceName: a, selector: {matchLabels: {a: a}}, template: {metadata: {labels: {a: a}}, spec: {containers: [{name: a, image: a}]}}}}",
	"jobs.v1.batch Job":                   "{spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}",
	"cronjobs.v1.batch CronJob":           "{spec: {schedule: '0 0 * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}}}",
	"leases.v1.coordination.k8s.io Lease": "{}",

	"horizontalpodautoscalers.v2.autoscaling HorizontalPodAutoscaler":      "{spec: {maxReplicas: 1, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}}",
	"endpointslices.v1.discovery.k8s.io EndpointSlice":                     "{addressType: IPv4, endpoints: []}",
	"flowschemas.v1.flowcontrol.apiserver.k8s.io FlowSchema!":              "{spec: {priorityLevelConfiguration: {name: exempt}, matchingPrecedence: 1000}}",
	"ingresses.v1.networking.k8s.io Ingress":                               "{spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}}",
	"ingressclasses.v1.networking.k8s.io IngressClass!":                    "{spec: {controller: a.example/b}}",
	"networkpolicies.v1.networking.k8s.io NetworkPolicy":                   "{spec: {podSelector: {}}}",
	"runtimeclasses.v1.node.k8s.io RuntimeClass!":                          "{handler: a}",
	"poddisruptionbudgets.v1.policy PodDisruptionBudget":                   "{spec: {minAvailable: 1, selector: {matchLabels: {a: a}}}}",
	"priorityclasses.v1.scheduling.k8s.io PriorityClass!":                  "{value: 1}",
	"csidrivers.v1.storage.k8s.io CSIDriver!":                              "{spec: {attachRequired: false}}",
	"storageclasses.v1.storage.k8s.io StorageClass!":                       "{provisioner: a.example/b}",
	"volumeattributesclasses.v1.storage.k8s.io VolumeAttributesClass!":     "{driverName: a.example, parameters: {a: a}}",
	"roles.v1.rbac.authorization.k8s.io Role":                              "{rules: []}",
	"clusterroles.v1.rbac.authorization.k8s.io ClusterRole!":               "{rules: []}",
	"rolebindings.v1.rbac.authorization.k8s.io RoleBinding":                "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}",
	"clusterrolebindings.v1.rbac.authorization.k8s.io ClusterRoleBinding!": "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}",
}

// stricter are the kinds for which an API server refuses more names than we do:
// because of its version, or because it derives labels and names from them.
var stricter = []string{"CronJob", "Job", "Pod", "Service", "StatefulSet"}

func TestEveryRefusedNameIsRefusedByAnAPIServer(t *testing.T) {
	sandbox := lab.Shared(t)
	config := sandbox.RESTConfig(sandbox.Clusters()[0])
	config.WarningHandler = rest.NoWarnings{} // many names are not recommended
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "A", "a.b", "a-", "-a", "1a", "a_b", "a:b", ".", "..", "a/b", "a%b", "a b", "é", "a..b", "a.-b", "system:node-x", "a~b"}
	random := rand.New(rand.NewPCG(3, 4))
	for range 12 {
		if name := oddText(random, "aB1-.:_"); name != "" {
			names = append(names, name)
		}
	}
	seen := map[schema.GroupKind]bool{}
	for key, body := range kindsToName {
		resource, kind, namespaced := parseKind(key)
		seen[kind.GroupKind()] = true
		t.Run(kind.Kind, func(t *testing.T) {
			for i, name := range names {
				err := dryRun(t, client, resource, kind, namespaced, name, body)
				reasons := nameReasons(kind.GroupKind(), name)
				switch {
				case i == 0 && err != nil:
					t.Fatalf("the API server refuses the name %q, so that the test proves nothing: %v", name, err)
				case len(reasons) > 0 && err == nil:
					t.Errorf("name %q is refused as %q, but the API server accepts it", name, reasons)
				case len(reasons) == 0 && err != nil && !slices.Contains(stricter, kind.Kind):
					t.Errorf("name %q is not refused, but the API server refuses it: %v", name, err)
				}
			}
		})
	}
	for group, kinds := range subdomainKinds {
		for _, kind := range kinds {
			// These require a fixed name for their content, or need something that
			// no test cluster has.
			if !seen[schema.GroupKind{Group: group, Kind: kind}] && !slices.Contains([]string{
				"CustomResourceDefinition", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "PriorityLevelConfiguration",
			}, kind) {
				t.Errorf("names of kind %s in group %q were not tried", kind, group)
			}
		}
	}
}

func parseKind(key string) (schema.GroupVersionResource, schema.GroupVersionKind, bool) {
	full, kind, _ := strings.Cut(key, " ")
	parts := strings.SplitN(full, ".", 3)
	kind, cluster := strings.CutSuffix(kind, "!")
	return schema.GroupVersionResource{Group: parts[2], Version: parts[1], Resource: parts[0]},
		schema.GroupVersionKind{Group: parts[2], Version: parts[1], Kind: kind}, !cluster
}

// dryRun returns the error of an API server for a dry run of creating an
// object.
func dryRun(t *testing.T, client dynamic.Interface, resource schema.GroupVersionResource, kind schema.GroupVersionKind, namespaced bool, name, body string) error {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(body), &u.Object); err != nil {
		t.Fatal(err)
	}
	u.SetGroupVersionKind(kind)
	u.SetName(name)
	objects := dynamic.ResourceInterface(client.Resource(resource))
	if namespaced {
		u.SetNamespace("default")
		objects = client.Resource(resource).Namespace("default")
	}
	_, err := objects.Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
