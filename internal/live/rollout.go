package live

import (
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// KindDeployment is the kind of a Deployment.
const KindDeployment = "Deployment"

// defaultUnavailable is Kubernetes' default for maxUnavailable and maxSurge.
const defaultUnavailable = "25%"

// rollingOut reports whether a Deployment is replacing its pods and has not exceeded
// its progress deadline.
func rollingOut(u *unstructured.Unstructured, replicas int64) bool {
	if u.GetKind() != KindDeployment {
		return false
	}
	for _, condition := range Objects(u, "status", "conditions") {
		c := &unstructured.Unstructured{Object: condition}
		if Text(c, "type") == "Progressing" && Text(c, "status") == "False" {
			return false
		}
	}
	return Number(u, 0, "status", "observedGeneration") < u.GetGeneration() ||
		Number(u, 0, "status", "updatedReplicas") < replicas
}

// Unavailable returns how many pods may be unavailable during a rollout. Other
// pods are affected every few seconds, so none of them is missing for long.
func Unavailable(u *unstructured.Unstructured, replicas int64) int64 {
	if Text(u, "spec", "strategy", "type") == "Recreate" || !rollingOut(u, replicas) {
		return 0
	}
	most := share(u, replicas, "maxUnavailable", false)
	if most == 0 && share(u, replicas, "maxSurge", true) == 0 {
		return 1 // otherwise the rollout could not begin
	}
	return most
}

// share resolves a number or a percentage as the Deployment's controller does.
func share(u *unstructured.Unstructured, replicas int64, field string, roundUp bool) int64 {
	written := intstr.FromString(defaultUnavailable)
	switch value, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "strategy", "rollingUpdate", field); value := value.(type) {
	case string:
		written = intstr.FromString(value)
	case int64:
		written = intstr.FromInt32(int32(min(max(value, 0), math.MaxInt32))) //nolint:gosec // It is within the bounds.
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&written, int(replicas), roundUp)
	if err != nil {
		return 0 // no API server accepts it
	}
	return int64(n)
}
