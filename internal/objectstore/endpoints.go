package objectstore

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var (
	services       = schema.GroupResource{Resource: "services"}
	endpointSlices = schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}
)

// listEndpoints maintains one EndpointSlice for every Service of a namespace, with the
// pods that its selector matches.
func (s *Store) listEndpoints(w work) (again bool) {
	for _, e := range s.all(services) {
		service, ok := e.object.(*corev1.Service)
		if !ok || service.Namespace != w.name.Namespace || len(service.Spec.Selector) == 0 || service.DeletionTimestamp != nil {
			continue
		}
		again = s.putSlice(e, s.slice(service)) != nil || again
	}
	return again
}

func (s *Store) putSlice(service *entry, want *discoveryv1.EndpointSlice) error {
	const manager = "kube-controller-manager"
	live := s.find(endpointSlices, types.NamespacedName{Namespace: want.Namespace, Name: want.Name})
	if live == nil {
		return s.create(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), want, manager)
	}
	if owners := live.meta.GetOwnerReferences(); len(owners) != 1 || owners[0].UID != service.meta.GetUID() {
		_, err := s.remove(writing{kind: live.kind, name: nameOf(live.meta), trusted: true}, &metav1.DeleteOptions{})
		if err != nil {
			return err
		}
		return s.create(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), want, manager)
	}
	is, ok := live.object.(*discoveryv1.EndpointSlice)
	if ok && equality.Semantic.DeepEqual(is.Endpoints, want.Endpoints) && equality.Semantic.DeepEqual(is.Ports, want.Ports) && maps.Equal(is.Labels, want.Labels) {
		return nil
	}
	return s.change(live.kind, live, "", manager, func(object runtime.Object) {
		o := object.(*discoveryv1.EndpointSlice)
		o.Endpoints, o.Ports, o.Labels = want.Endpoints, want.Ports, want.Labels
	})
}

// slice returns the EndpointSlice that a Service should have.
func (s *Store) slice(service *corev1.Service) *discoveryv1.EndpointSlice {
	out := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name + "-x", Labels: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(service, corev1.SchemeGroupVersion.WithKind("Service"))},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	maps.Copy(out.Labels, service.Labels)
	out.Labels[discoveryv1.LabelServiceName] = service.Name
	out.Labels[discoveryv1.LabelManagedBy] = "endpointslice-controller.k8s.io"
	for _, p := range service.Spec.Ports {
		name, protocol, port := p.Name, p.Protocol, p.TargetPort.IntVal
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &port})
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	for _, e := range s.all(schema.GroupResource{Group: appsv1.GroupName, Resource: "replicasets"}) {
		set, ok := e.object.(*appsv1.ReplicaSet)
		if !ok || set.Namespace != service.Namespace || !selector.Matches(labels.Set(set.Spec.Template.Labels)) {
			continue
		}
		for i := range set.Status.Replicas {
			ready := i < set.Status.ReadyReplicas
			out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{
				Addresses:  []string{fmt.Sprintf("10.152.%d.%d", len(out.Endpoints)/250, 1+len(out.Endpoints)%250)},
				Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			})
		}
	}
	return out
}
