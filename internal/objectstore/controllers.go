package objectstore

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Pace is how long the controllers of a cluster take.
type Pace struct {
	Establish time.Duration // until a definition's kind is served
	Collect   time.Duration // until a namespace, definition or owner being deleted has lost another part
	Run       time.Duration // until the pods of a workload are ready
	Address   time.Duration // until an Ingress or a load balancer has its address
}

func (p Pace) withDefaults() Pace {
	setDefault(&p.Establish, 200*time.Millisecond)
	setDefault(&p.Collect, time.Second)
	setDefault(&p.Run, 2*time.Second)
	setDefault(&p.Address, 5*time.Second)
	return p
}

// rule is one controller: it processes an object some time after a change.
type rule struct {
	workload bool // it simulates workloads; the API server does not need it
	pace     func(Pace) time.Duration
	concerns func(change) bool
	// apply processes the current object, and reports whether to repeat that.
	apply func(*Store, work) bool
}

// controllers returns the controllers of a store:
//
//   - A namespace being deleted loses its objects, then itself.
//   - A definition is established; one being deleted loses its objects first.
//   - An object that is deleted in the foreground waits for the objects that it
//     owns; one that orphans them does not. Objects whose owner is gone are deleted.
//   - A Deployment, ReplicaSet or StatefulSet has all its replicas ready after a
//     while, or as many as there is room for. Pods are not created.
//   - An Ingress, and a Service of type LoadBalancer, has an address after a while.
//   - A Service has an EndpointSlice with the pods of the ReplicaSets that its
//     selector matches.
func controllers() []rule {
	return []rule{
		{pace: collectPace, concerns: terminating("namespaces"), apply: (*Store).collectNamespace},
		{pace: func(p Pace) time.Duration { return p.Establish }, concerns: alive("customresourcedefinitions"), apply: (*Store).establishDefinition},
		{pace: collectPace, concerns: terminating("customresourcedefinitions"), apply: (*Store).abolishDefinition},
		{pace: collectPace, concerns: waitsForDependents, apply: (*Store).collectDependents},
		{pace: collectPace, concerns: gone, apply: (*Store).collectOrphans},
		{workload: true, pace: func(p Pace) time.Duration { return p.Run }, concerns: alive("deployments", "replicasets", "statefulsets"), apply: (*Store).runWorkload},
		{workload: true, pace: func(p Pace) time.Duration { return p.Address }, concerns: alive("ingresses", "services"), apply: (*Store).giveAddress},
		{workload: true, pace: collectPace, concerns: of("services", "replicasets"), apply: (*Store).listEndpoints},
	}
}

func collectPace(p Pace) time.Duration { return p.Collect }

func terminating(resource string) func(change) bool {
	return func(c change) bool {
		return c.resource.Resource == resource && c.after != nil && c.after.meta.GetDeletionTimestamp() != nil
	}
}

func alive(resources ...string) func(change) bool {
	return func(c change) bool {
		return slices.Contains(resources, c.resource.Resource) && c.after != nil && c.after.meta.GetDeletionTimestamp() == nil
	}
}

func of(resources ...string) func(change) bool {
	return func(c change) bool { return slices.Contains(resources, c.resource.Resource) }
}

func waitsForDependents(c change) bool {
	return c.after != nil && c.after.meta.GetDeletionTimestamp() != nil &&
		(slices.Contains(c.after.meta.GetFinalizers(), metav1.FinalizerDeleteDependents) ||
			slices.Contains(c.after.meta.GetFinalizers(), metav1.FinalizerOrphanDependents))
}

func gone(c change) bool { return c.after == nil }

// collectNamespace deletes the objects of a namespace being deleted.
func (s *Store) collectNamespace(w work) bool {
	e := s.find(w.resource, w.name)
	if e == nil || e.meta.GetDeletionTimestamp() == nil {
		return false
	}
	remaining := 0
	for _, objects := range s.snapshot() {
		for _, o := range objects {
			if o.meta.GetNamespace() != w.name.Name {
				continue
			}
			left, err := s.remove(writing{kind: o.kind, name: nameOf(o.meta), trusted: true}, &metav1.DeleteOptions{})
			if err != nil || left != nil {
				remaining++
			}
		}
	}
	if remaining > 0 {
		return true
	}
	o := e.object.DeepCopyObject().(*corev1.Namespace)
	o.Spec.Finalizers = nil
	if len(o.Finalizers) > 0 {
		_, err := s.store(e.kind, w.name, o)
		return err != nil
	}
	_, err := s.store(e.kind, w.name, nil)
	return err != nil
}

// snapshot returns all objects, in a fixed order.
func (s *Store) snapshot() [][]*entry {
	var out [][]*entry
	resources := make([]schema.GroupResource, 0, len(s.objects))
	for gr := range s.objects {
		resources = append(resources, gr)
	}
	slices.SortFunc(resources, func(a, b schema.GroupResource) int {
		return slices.Compare([]string{a.Group, a.Resource}, []string{b.Group, b.Resource})
	})
	for _, gr := range resources {
		out = append(out, s.all(gr))
	}
	return out
}

func (s *Store) establishDefinition(w work) bool {
	e := s.find(w.resource, w.name)
	if e == nil || e.meta.GetDeletionTimestamp() != nil {
		return false
	}
	return s.establish(e) != nil
}

func (s *Store) abolishDefinition(w work) bool {
	e := s.find(w.resource, w.name)
	if e == nil || !slices.Contains(e.meta.GetFinalizers(), cleanup) {
		return false
	}
	done, err := s.abolish(e)
	return !done || err != nil
}

// collectDependents deletes or orphans the dependents of an object being deleted.
func (s *Store) collectDependents(w work) bool {
	e := s.find(w.resource, w.name)
	if e == nil || e.meta.GetDeletionTimestamp() == nil {
		return false
	}
	if slices.Contains(e.meta.GetFinalizers(), metav1.FinalizerOrphanDependents) {
		for _, o := range s.ownedBy(e.meta) {
			err := s.change(o.kind, o, "", "kube-controller-manager", func(x runtime.Object) {
				m := x.(metav1.Object)
				m.SetOwnerReferences(slices.DeleteFunc(m.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == e.meta.GetUID() }))
			})
			if err != nil {
				return true
			}
		}
		return s.unfinalize(e.kind, e, metav1.FinalizerOrphanDependents) != nil
	}
	remaining := false
	for _, o := range s.ownedBy(e.meta) {
		left, err := s.remove(writing{kind: o.kind, name: nameOf(o.meta), trusted: true}, &metav1.DeleteOptions{})
		remaining = remaining || err != nil || left != nil
	}
	if remaining {
		return true
	}
	return s.unfinalize(e.kind, e, metav1.FinalizerDeleteDependents) != nil
}

// collectOrphans deletes objects that have owners of which none exists.
func (s *Store) collectOrphans(work) bool {
	alive := map[string]bool{}
	all := s.snapshot()
	for _, objects := range all {
		for _, o := range objects {
			alive[string(o.meta.GetUID())] = true
		}
	}
	for _, objects := range all {
		for _, o := range objects {
			owners := o.meta.GetOwnerReferences()
			if len(owners) == 0 || slices.ContainsFunc(owners, func(r metav1.OwnerReference) bool { return alive[string(r.UID)] }) {
				continue
			}
			if _, err := s.remove(writing{kind: o.kind, name: nameOf(o.meta), trusted: true}, &metav1.DeleteOptions{}); err != nil {
				return true
			}
		}
	}
	return false
}

func (s *Store) ownedBy(m metav1.Object) []*entry {
	var out []*entry
	for _, objects := range s.snapshot() {
		for _, o := range objects {
			if slices.ContainsFunc(o.meta.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == m.GetUID() }) {
				out = append(out, o)
			}
		}
	}
	return out
}

// runWorkload sets the status of a workload from its spec.
func (s *Store) runWorkload(w work) bool {
	e := s.find(w.resource, w.name)
	if e == nil || e.meta.GetDeletionTimestamp() != nil {
		return false
	}
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	err := s.change(e.kind, e, "status", "kube-controller-manager", func(object runtime.Object) {
		switch o := object.(type) {
		case *appsv1.Deployment:
			want := *o.Spec.Replicas
			ready := min(want, s.room(w, want))
			o.Status.ObservedGeneration = o.Generation
			o.Status.Replicas, o.Status.UpdatedReplicas = want, want
			o.Status.ReadyReplicas, o.Status.AvailableReplicas, o.Status.UnavailableReplicas = ready, ready, want-ready
			available, reason, message := corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability."
			if ready < want {
				available, reason, message = corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
			}
			o.Status.Conditions = setCondition(o.Status.Conditions, appsv1.DeploymentCondition{
				Type: appsv1.DeploymentAvailable, Status: available, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now,
			})
			if ready == want {
				o.Status.Conditions = setCondition(o.Status.Conditions, appsv1.DeploymentCondition{
					Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable",
					Message: "Deployment has successfully progressed.", LastUpdateTime: now, LastTransitionTime: now,
				})
			}
		case *appsv1.ReplicaSet:
			want := *o.Spec.Replicas
			ready := min(want, s.room(w, want))
			o.Status = appsv1.ReplicaSetStatus{
				ObservedGeneration: o.Generation, Replicas: want, FullyLabeledReplicas: want, ReadyReplicas: ready, AvailableReplicas: ready,
			}
		case *appsv1.StatefulSet:
			want := *o.Spec.Replicas
			ready := min(want, s.room(w, want))
			o.Status.ObservedGeneration = o.Generation
			o.Status.Replicas, o.Status.CurrentReplicas, o.Status.UpdatedReplicas = want, want, want
			o.Status.ReadyReplicas, o.Status.AvailableReplicas = ready, ready
			o.Status.CurrentRevision, o.Status.UpdateRevision = "1", "1"
		}
	})
	return err != nil
}

// room returns how many replicas of a workload can run.
func (s *Store) room(w work, want int32) int32 {
	if n, ok := s.capacity[w.resource.Resource+"/"+w.name.String()]; ok {
		return n
	}
	return want
}

// SetCapacity sets how many replicas of a workload can be ready, and triggers its
// controller. The resource is a plural, such as "replicasets".
func (s *Store) SetCapacity(resource, namespace, name string, n int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.capacity == nil {
		s.capacity = map[string]int32{}
	}
	s.capacity[resource+"/"+namespace+"/"+name] = n
	for gr, objects := range s.objects {
		for id, e := range objects {
			if gr.Resource == resource && id.Namespace == namespace && id.Name == name {
				s.controlChange(change{resource: gr, version: e.version, after: e})
			}
		}
	}
}

// setCondition replaces a condition. It retains the times if nothing else changes.
func setCondition(all []appsv1.DeploymentCondition, c appsv1.DeploymentCondition) []appsv1.DeploymentCondition {
	out := slices.Clone(all)
	i := slices.IndexFunc(out, func(o appsv1.DeploymentCondition) bool { return o.Type == c.Type })
	if i < 0 {
		return append(out, c)
	}
	if out[i].Status == c.Status {
		c.LastTransitionTime = out[i].LastTransitionTime
		if out[i].Reason == c.Reason {
			c.LastUpdateTime = out[i].LastUpdateTime
		}
	}
	out[i] = c
	return out
}

// giveAddress sets the address of an Ingress or a load balancer to the cluster's.
func (s *Store) giveAddress(w work) bool {
	e := s.find(w.resource, w.name)
	if e == nil || e.meta.GetDeletionTimestamp() != nil {
		return false
	}
	if o, ok := e.object.(*corev1.Service); ok && o.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return false
	}
	err := s.change(e.kind, e, "status", "ingress-controller", func(object runtime.Object) {
		switch o := object.(type) {
		case *networkingv1.Ingress:
			o.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: s.Address}}
		case *corev1.Service:
			mode := corev1.LoadBalancerIPModeVIP
			o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: s.Address, IPMode: &mode}}
		}
	})
	return err != nil
}
