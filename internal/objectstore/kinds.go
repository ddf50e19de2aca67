package objectstore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
)

// kind is a kind of object in one version, and how it is served. The built-in kinds are
// shared by all stores and never change.
type kind struct {
	gvk        schema.GroupVersionKind
	resource   string // the plural, as in paths
	singular   string
	short      []string
	namespaced bool
	status     bool // it has the status subresource
	scale      bool // it has the scale subresource
	generation bool // metadata.generation counts the changes of its spec
	storage    schema.GroupVersion

	typed     bool // it is a Go type of k8s.io/api, and not an Unstructured
	converter managedfields.TypeConverter
	defaults  func(runtime.Object)

	mu       sync.Mutex // protects managers
	managers map[string]*managedfields.FieldManager
}

func (k *kind) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.gvk.Group, Resource: k.resource}
}

// empty returns an object of the kind without content.
func (k *kind) empty() runtime.Object {
	if k.typed {
		o, err := scheme.Scheme.New(k.gvk)
		if err != nil {
			panic(fmt.Sprintf("objectstore: kind %s: %v", k.gvk, err))
		}
		o.GetObjectKind().SetGroupVersionKind(k.gvk)
		return o
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(k.gvk)
	return u
}

// row is one row of the table of built-in kinds.
type row struct {
	object       runtime.Object
	resource     string
	scope        scope
	subresources string // "status", "status scale" or none
	generation   bool
	short        string
}

type scope bool

const (
	inNamespace scope = true
	inCluster   scope = false
)

// builtin returns the kinds that an API server serves without definitions, by path.
var builtin = sync.OnceValue(func() map[schema.GroupVersionResource]*kind {
	converter := applyconfigurations.NewTypeConverter(scheme.Scheme)
	out := map[schema.GroupVersionResource]*kind{}
	for _, r := range []row{
		{&corev1.ConfigMap{}, "configmaps", inNamespace, "", false, "cm"},
		{&corev1.Secret{}, "secrets", inNamespace, "", false, ""},
		{&corev1.Service{}, "services", inNamespace, "status", false, "svc"},
		{&corev1.ServiceAccount{}, "serviceaccounts", inNamespace, "", false, "sa"},
		{&corev1.Endpoints{}, "endpoints", inNamespace, "", false, "ep"}, //nolint:staticcheck // clusters still serve it
		{&corev1.Pod{}, "pods", inNamespace, "status", true, "po"},
		{&corev1.PersistentVolumeClaim{}, "persistentvolumeclaims", inNamespace, "status", false, "pvc"},
		{&corev1.ResourceQuota{}, "resourcequotas", inNamespace, "status", false, "quota"},
		{&corev1.LimitRange{}, "limitranges", inNamespace, "", false, "limits"},
		{&corev1.Namespace{}, "namespaces", inCluster, "status", false, "ns"},
		{&corev1.Node{}, "nodes", inCluster, "status", false, "no"},
		{&corev1.PersistentVolume{}, "persistentvolumes", inCluster, "status", false, "pv"},
		{&appsv1.Deployment{}, "deployments", inNamespace, "status scale", true, "deploy"},
		{&appsv1.ReplicaSet{}, "replicasets", inNamespace, "status scale", true, "rs"},
		{&appsv1.StatefulSet{}, "statefulsets", inNamespace, "status scale", true, "sts"},
		{&appsv1.DaemonSet{}, "daemonsets", inNamespace, "status", true, "ds"},
		{&batchv1.Job{}, "jobs", inNamespace, "status", true, ""},
		{&batchv1.CronJob{}, "cronjobs", inNamespace, "status", true, "cj"},
		{&networkingv1.Ingress{}, "ingresses", inNamespace, "status", true, "ing"},
		{&networkingv1.IngressClass{}, "ingressclasses", inCluster, "", true, ""},
		{&networkingv1.NetworkPolicy{}, "networkpolicies", inNamespace, "", true, "netpol"},
		{&discoveryv1.EndpointSlice{}, "endpointslices", inNamespace, "", true, ""},
		{&autoscalingv2.HorizontalPodAutoscaler{}, "horizontalpodautoscalers", inNamespace, "status", true, "hpa"},
		{&policyv1.PodDisruptionBudget{}, "poddisruptionbudgets", inNamespace, "status", true, "pdb"},
		{&rbacv1.Role{}, "roles", inNamespace, "", false, ""},
		{&rbacv1.RoleBinding{}, "rolebindings", inNamespace, "", false, ""},
		{&rbacv1.ClusterRole{}, "clusterroles", inCluster, "", false, ""},
		{&rbacv1.ClusterRoleBinding{}, "clusterrolebindings", inCluster, "", false, ""},
		{&schedulingv1.PriorityClass{}, "priorityclasses", inCluster, "", true, "pc"},
		{&storagev1.StorageClass{}, "storageclasses", inCluster, "", false, "sc"},
		{&coordinationv1.Lease{}, "leases", inNamespace, "", false, ""},
		{&admissionregistrationv1.ValidatingAdmissionPolicy{}, "validatingadmissionpolicies", inCluster, "status", true, ""},
		{&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, "validatingadmissionpolicybindings", inCluster, "", true, ""},
		{&admissionregistrationv1.ValidatingWebhookConfiguration{}, "validatingwebhookconfigurations", inCluster, "", true, ""},
	} {
		gvks, _, err := scheme.Scheme.ObjectKinds(r.object)
		if err != nil {
			panic(err) // the table names types of the scheme
		}
		k := &kind{
			gvk: gvks[0], resource: r.resource, singular: strings.ToLower(gvks[0].Kind), short: strings.Fields(r.short),
			namespaced: bool(r.scope), status: strings.Contains(r.subresources, "status"), scale: strings.Contains(r.subresources, "scale"),
			generation: r.generation, storage: gvks[0].GroupVersion(),
			typed: true, converter: converter, defaults: setDefaults,
		}
		out[k.gvk.GroupVersion().WithResource(k.resource)] = k
	}
	definition := &kind{
		gvk: definitionKind, resource: "customresourcedefinitions", singular: "customresourcedefinition", short: []string{"crd", "crds"},
		status: true, generation: true, storage: definitionKind.GroupVersion(),
		converter: newDefinitionConverter(), defaults: setDefinitionDefaults,
	}
	out[definitions] = definition
	return out
})

// kinds returns everything that the store serves now, by path.
func (s *Store) kinds() map[schema.GroupVersionResource]*kind {
	out := maps.Clone(builtin())
	for _, d := range s.served {
		for _, k := range d.kinds {
			out[k.gvk.GroupVersion().WithResource(k.resource)] = k
		}
	}
	return out
}

// kindAt returns the kind of a path, or nil.
func (s *Store) kindAt(gvr schema.GroupVersionResource) *kind {
	if k := builtin()[gvr]; k != nil {
		return k
	}
	d := s.served[gvr.GroupResource()]
	if d == nil {
		return nil
	}
	i := slices.IndexFunc(d.kinds, func(k *kind) bool { return k.gvk.Version == gvr.Version })
	if i < 0 {
		return nil
	}
	return d.kinds[i]
}
