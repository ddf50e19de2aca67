package federation

import "slices"

// Autoscaler is a HorizontalPodAutoscaler in a cluster, managed by fedsync or not.
type Autoscaler struct {
	Namespace string    `file:"namespace" default:"default" doc:"Its namespace."`
	Name      string    `file:"name,required" doc:"Its name."`
	Target    ObjectRef `file:"target,required" ref:"kind group name" doc:"What it scales, in its own namespace."`
	Ours      bool      `file:"ours" doc:"Whether it has fedsync's label."`
	// Owner is empty if it has no owner.
	Owner string `file:"owner" doc:"The object that owns it, such as ScaledObject/web."`
}

// Object returns the reference of the HorizontalPodAutoscaler.
func (a Autoscaler) Object() ObjectRef {
	return ObjectRef{Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: a.Namespace, Name: a.Name}
}

// Autoscaled reports whether a HorizontalPodAutoscaler in the cluster sets the
// replicas of a workload. If AutoscalersKnown is false, a negative answer is not certain.
func (f ClusterFacts) Autoscaled(ref ObjectRef) bool {
	return slices.ContainsFunc(f.Autoscalers, func(a Autoscaler) bool { return a.Target == ref })
}

// StorageClass is a StorageClass in a cluster.
type StorageClass struct {
	Name string `file:"name,required" doc:"Its name."`
	// WaitsForConsumer reports whether a volume is provisioned only when a pod needs it.
	WaitsForConsumer bool `file:"waitsForConsumer" doc:"Whether its volumeBindingMode is WaitForFirstConsumer."`
}

// IngressController is the controller that serves a class of Ingresses in a cluster.
type IngressController struct {
	// Class is the name of the IngressClass.
	Class      string `file:"name,required" doc:"Its name."`
	Controller string `file:"controller" doc:"Its controller, such as k8s.io/ingress-nginx."`
}
