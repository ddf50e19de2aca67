package federation

import (
	"cmp"
	"slices"
	"strings"
)

// Autoscaler is a HorizontalPodAutoscaler in a cluster, ours or not.
type Autoscaler struct {
	Namespace, Name string
	Target          ObjectRef // whose replicas it sets
	Ours            bool
	// Owner is what made it, as in "ScaledObject/web"; empty where nothing did.
	Owner string
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
	Name string
	// WaitsForConsumer reports whether a volume is made only when a pod needs it:
	// volumeBindingMode is WaitForFirstConsumer.
	WaitsForConsumer bool
}

// IngressController is which controller serves a class of Ingresses in a cluster.
type IngressController struct {
	Class      string // the IngressClass's name
	Controller string // as in "k8s.io/ingress-nginx"
}

type autoscalerDocument struct {
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	Target    scaleDocument `json:"target"`
	Ours      bool          `json:"ours,omitempty"`
	Owner     string        `json:"owner,omitempty"`
}

// scaleDocument is what an autoscaler scales, within its namespace.
type scaleDocument struct {
	Kind  string  `json:"kind"`
	Group *string `json:"group,omitempty"`
	Name  string  `json:"name"`
}

type storageClassDocument struct {
	Name             string `json:"name"`
	WaitsForConsumer bool   `json:"waitsForConsumer,omitempty"`
}

type ingressClassDocument struct {
	Class      string `json:"name"`
	Controller string `json:"controller,omitempty"`
}

// classes adds what is known of autoscalers and classes.
func (d *clusterDocument) classes(f *ClusterFacts) {
	f.AutoscalersKnown = d.AutoscalersKnown
	for _, a := range d.Autoscalers {
		namespace := cmp.Or(a.Namespace, defaultNamespace)
		target := workloadDocument{Kind: a.Target.Kind, Group: a.Target.Group, Namespace: namespace, Name: a.Target.Name}
		f.Autoscalers = append(f.Autoscalers, Autoscaler{
			Namespace: namespace, Name: a.Name, Target: target.object(), Ours: a.Ours, Owner: a.Owner,
		})
	}
	slices.SortFunc(f.Autoscalers, func(a, b Autoscaler) int { return byName(a.Namespace, a.Name, b.Namespace, b.Name) })
	f.StorageClassesKnown = d.StorageClassesKnown
	for _, c := range d.StorageClasses {
		f.StorageClasses = append(f.StorageClasses, StorageClass(c))
	}
	slices.SortFunc(f.StorageClasses, func(a, b StorageClass) int { return strings.Compare(a.Name, b.Name) })
	f.IngressClassesKnown = d.IngressClassesKnown
	for _, c := range d.IngressClasses {
		f.IngressClasses = append(f.IngressClasses, IngressController(c))
	}
	slices.SortFunc(f.IngressClasses, func(a, b IngressController) int { return strings.Compare(a.Class, b.Class) })
}

// setClasses writes what is known of autoscalers and classes.
func (d *clusterDocument) setClasses(f *ClusterFacts) {
	d.AutoscalersKnown = f.AutoscalersKnown
	for _, a := range f.Autoscalers {
		d.Autoscalers = append(d.Autoscalers, autoscalerDocument{
			Namespace: a.Namespace, Name: a.Name, Ours: a.Ours, Owner: a.Owner,
			Target: scaleDocument{Kind: a.Target.Kind, Name: a.Target.Name, Group: unless(a.Target.Group, defaultGroup(a.Target.Kind))},
		})
	}
	d.StorageClassesKnown = f.StorageClassesKnown
	for _, c := range f.StorageClasses {
		d.StorageClasses = append(d.StorageClasses, storageClassDocument(c))
	}
	d.IngressClassesKnown = f.IngressClassesKnown
	for _, c := range f.IngressClasses {
		d.IngressClasses = append(d.IngressClasses, ingressClassDocument(c))
	}
}
