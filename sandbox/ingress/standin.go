// Package ingress is a stand-in, in one cluster, for GLBC, the controller that creates
// Google Cloud load balancers for Ingresses.
//
// It makes the same changes to the cluster as GLBC. It handles the Ingresses of class
// gce and waits for node ports. Then it writes the address into the status, and the
// names of the load balancer's parts into annotations, with ordinary updates as field
// manager glbc. It reports the health of backends by their ready endpoints, maintains
// the ConfigMap kube-system/ingress-uid and emits GLBC's events. It creates no load
// balancer and does not call Compute Engine: see [Addresses].
package ingress

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// StandIn is the stand-in for GLBC in one cluster.
type StandIn struct {
	cluster   string
	client    kubernetes.Interface
	addresses *Addresses
	log       *slog.Logger

	queue workqueue.TypedRateLimitingInterface[key]

	// What follows is used only by the one goroutine that processes the queue.
	ingresses networkinglisters.IngressLister
	services  corelisters.ServiceLister
	slices    discoverylisters.EndpointSliceLister
	uids      corelisters.ConfigMapLister
	lastUID   map[string]string // the last data of the ConfigMap
	reported  map[key]report
}

// key names an Ingress; the zero key is the ConfigMap with the UID.
type key = types.NamespacedName

// report is what events have reported about an Ingress, so that each is emitted only
// once.
type report struct {
	uid     types.UID
	waiting string // the reason of the last waitError
}

const fieldManager = "glbc"

// New returns the stand-in for a cluster. It writes errors to log, which may be
// io.Discard, and tries again.
func New(cluster string, config *rest.Config, addresses *Addresses, log io.Writer) (*StandIn, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = fieldManager
	config.Timeout = 0 // a timeout would end the watches; every write has its own
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("start the stand-in for GLBC in %s: %w", cluster, err)
	}
	return &StandIn{
		cluster:   cluster,
		client:    client,
		addresses: addresses,
		log:       slog.New(slog.NewTextHandler(log, nil)),
		reported:  map[key]report{},
	}, nil
}

// Run plays GLBC until ctx ends. It may be called again afterwards.
func (s *StandIn) Run(ctx context.Context) {
	s.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[key](100*time.Millisecond, 5*time.Second))

	all := informers.NewSharedInformerFactoryWithOptions(s.client, 0, informers.WithTransform(slim))
	uid := informers.NewSharedInformerFactoryWithOptions(s.client, 0,
		informers.WithNamespace(metav1.NamespaceSystem),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, uidName).String()
		}))
	s.ingresses = all.Networking().V1().Ingresses().Lister()
	s.services = all.Core().V1().Services().Lister()
	s.slices = all.Discovery().V1().EndpointSlices().Lister()
	s.uids = uid.Core().V1().ConfigMaps().Lister()
	s.follow(all.Networking().V1().Ingresses().Informer(), s.ingressChanged)
	s.follow(all.Core().V1().Services().Informer(), s.serviceChanged)
	s.follow(all.Discovery().V1().EndpointSlices().Informer(), s.sliceChanged)
	s.follow(uid.Core().V1().ConfigMaps().Informer(), s.uidChanged)

	for _, f := range []informers.SharedInformerFactory{all, uid} {
		f.StartWithContext(ctx)
		defer f.Shutdown()
	}
	var work sync.WaitGroup
	defer work.Wait()
	defer s.queue.ShutDown()
	for _, f := range []informers.SharedInformerFactory{all, uid} {
		f.WaitForCacheSyncWithContext(ctx)
	}
	s.queue.Add(key{}) // if there is no ConfigMap, no event comes
	work.Go(func() { s.work(ctx) })
	<-ctx.Done()
}

func (s *StandIn) work(ctx context.Context) {
	for {
		k, shutdown := s.queue.Get()
		if shutdown {
			return
		}
		switch err := s.sync(ctx, k); {
		case err == nil:
			s.queue.Forget(k)
		case apierrors.IsConflict(err):
			// Our cache was stale, which is normal.
			s.queue.AddRateLimited(k)
		case ctx.Err() == nil:
			s.log.Warn("sync failed, retrying", "cluster", s.cluster, "ingress", k.String(), "error", err)
			s.queue.AddRateLimited(k)
		}
		s.queue.Done(k)
	}
}

func (s *StandIn) sync(ctx context.Context, k key) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if k == (key{}) {
		return s.syncUID(ctx)
	}
	return s.syncIngress(ctx, k)
}

// follow calls changed for every object that is added, updated or deleted.
func (s *StandIn) follow(informer cache.SharedIndexInformer, changed func(any)) {
	// It fails only if the informer was already stopped.
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, now any) { changed(now) },
		DeleteFunc: func(was any) {
			if unknown, ok := was.(cache.DeletedFinalStateUnknown); ok {
				was = unknown.Obj
			}
			changed(was)
		},
	})
}

func (s *StandIn) ingressChanged(o any) {
	if i, ok := o.(*networkingv1.Ingress); ok {
		s.queue.Add(key{Namespace: i.Namespace, Name: i.Name})
	}
}

func (s *StandIn) serviceChanged(o any) {
	if service, ok := o.(*corev1.Service); ok {
		s.enqueueUsers(service.Namespace, service.Name)
	}
}

func (s *StandIn) sliceChanged(o any) {
	if slice, ok := o.(*discoveryv1.EndpointSlice); ok {
		s.enqueueUsers(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName])
	}
}

// uidChanged also enqueues all Ingresses, since some may wait for a UID.
func (s *StandIn) uidChanged(any) {
	s.queue.Add(key{})
	all, _ := s.ingresses.List(labels.Everything()) // a cache cannot fail
	for _, i := range all {
		s.ingressChanged(i)
	}
}

// enqueueUsers enqueues the Ingresses that have the Service as a backend.
func (s *StandIn) enqueueUsers(namespace, service string) {
	all, _ := s.ingresses.Ingresses(namespace).List(labels.Everything()) // a cache cannot fail
	for _, i := range all {
		for _, b := range backends(i) {
			if b.Name == service {
				s.ingressChanged(i)
				break
			}
		}
	}
}

// slim drops the fields that are never read, before an object enters a cache.
func slim(o any) (any, error) {
	if _, ok := o.(*networkingv1.Ingress); ok {
		return o, nil // it is written back whole
	}
	if m, err := meta.Accessor(o); err == nil {
		m.SetManagedFields(nil)
	}
	return o, nil
}
