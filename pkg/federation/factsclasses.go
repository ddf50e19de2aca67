package federation

import "slices"

// Autoscaler is a HorizontalPodAutoscaler in a cluster, ours or not.
type Autoscaler struct {
	Namespace string    `file:"namespace" default:"default" doc:"Its namespace."`
	Name      string    `file:"name,required" doc:"Its name."`
	Target    ObjectRef `file:"target,required" ref:"kind group name" doc:"What it scales, in its namespace."`
	Ours      bool      `file:"ours" doc:"Whether it bears our label."`
	// Owner is empty where nothing made it.
	Owner string `file:"owner" doc:"What made it, as in ScaledObject/web."`
}

// Object is the HorizontalPodAutoscaler.
func (a Autoscaler) Object() ObjectRef {
	return ObjectRef{Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: a.Namespace, Name: a.Name}
}

// Autoscaled reports whether a HorizontalPodAutoscaler in the cluster sets the
// replicas of a workload. Where AutoscalersKnown is false, it may do so nevertheless.
func (f ClusterFacts) Autoscaled(ref ObjectRef) bool {
	return slices.ContainsFunc(f.Autoscalers, func(a Autoscaler) bool { return a.Target == ref })
}

// StorageClass is a StorageClass in a cluster.
type StorageClass struct {
	Name string `file:"name,required" doc:"Its name."`
	// WaitsForConsumer reports whether a volume is made only when a pod needs it.
	WaitsForConsumer bool `file:"waitsForConsumer" doc:"Whether its volumeBindingMode is WaitForFirstConsumer."`
}

// IngressController is which controller serves a class of Ingresses in a cluster.
type IngressController struct {
	// Class is the name of the IngressClass.
	Class      string `file:"name,required" doc:"Its name."`
	Controller string `file:"controller" doc:"Its controller, as in k8s.io/ingress-nginx."`
}
