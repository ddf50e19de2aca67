package object

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rank returns the wave in which objects of a kind are applied: what other objects
// depend on comes first, what leads traffic to them comes last. Deletions go from the
// highest to the lowest.
func Rank(gk schema.GroupKind) int {
	if i, ok := ranks[gk]; ok {
		return i
	}
	return rankOther
}

// The waves.
const (
	rankNamespace = iota
	rankDefinition
	rankGround // classes, quotas, accounts
	rankRole
	rankBinding
	rankContent // what pods mount and read
	rankService
	rankWorkload
	rankScaler // what points at workloads
	rankOther  // custom objects and other kinds
	rankWebhook
	RankIngress
)

var ranks = func() map[schema.GroupKind]int {
	out := map[schema.GroupKind]int{}
	for _, r := range []struct {
		rank  int
		group string
		kinds []string
	}{
		{rankNamespace, "", []string{"Namespace"}},
		{rankDefinition, "apiextensions.k8s.io", []string{"CustomResourceDefinition"}},
		{rankGround, "", []string{"ResourceQuota", "LimitRange", "ServiceAccount", "PersistentVolume"}},
		{rankGround, "scheduling.k8s.io", []string{"PriorityClass"}},
		{rankGround, "storage.k8s.io", []string{"StorageClass", "CSIDriver"}},
		{rankGround, "node.k8s.io", []string{"RuntimeClass"}},
		{rankGround, "networking.k8s.io", []string{"IngressClass", "NetworkPolicy"}},
		{rankRole, "rbac.authorization.k8s.io", []string{"Role", "ClusterRole"}},
		{rankBinding, "rbac.authorization.k8s.io", []string{"RoleBinding", "ClusterRoleBinding"}},
		{rankContent, "", []string{"ConfigMap", "Secret", "PersistentVolumeClaim"}},
		{rankService, "", []string{"Service", "Endpoints"}},
		{rankService, "discovery.k8s.io", []string{"EndpointSlice"}},
		{rankWorkload, "", []string{"Pod", "ReplicationController"}},
		{rankWorkload, "apps", []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"}},
		{rankWorkload, "batch", []string{"Job", "CronJob"}},
		{rankScaler, "autoscaling", []string{"HorizontalPodAutoscaler"}},
		{rankScaler, "policy", []string{"PodDisruptionBudget"}},
		{rankWebhook, "admissionregistration.k8s.io", []string{
			"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
			"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
		}},
		{rankWebhook, "apiregistration.k8s.io", []string{"APIService"}},
		{RankIngress, "networking.k8s.io", []string{"Ingress"}},
		{RankIngress, "extensions", []string{"Ingress"}},
	} {
		for _, kind := range r.kinds {
			out[schema.GroupKind{Group: r.group, Kind: kind}] = r.rank
		}
	}
	return out
}()
