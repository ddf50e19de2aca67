package object

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// End is the end of a live Job, as it shows it.
type End int

// How a Job ended.
const (
	Runs End = iota // or it has no TTL, and is not deleted
	Completed
	Failed
)

// EndOf returns how a Job ended that its TTL will delete.
func EndOf(u *unstructured.Unstructured) End {
	if _, has, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "ttlSecondsAfterFinished"); !has {
		return Runs
	}
	conditions, _, _ := unstructured.NestedFieldNoCopy(u.Object, "status", "conditions")
	items, _ := conditions.([]any)
	for _, item := range items {
		c, _ := item.(map[string]any)
		if c["status"] != string(corev1.ConditionTrue) {
			continue
		}
		switch c["type"] {
		case "Complete":
			return Completed
		case "Failed":
			return Failed
		}
	}
	return Runs
}
