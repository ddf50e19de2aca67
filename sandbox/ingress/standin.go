// Package ingress stands in for GLBC, the controller that gives Ingresses a
// Google Cloud load balancer, in one cluster.
//
// It does to the cluster what GLBC does: it takes the Ingresses of class gce,
// waits for node ports, then writes the address into the status and the names of
// the load balancer's parts into annotations, with ordinary updates under the
// name glbc; it reports backends by their ready endpoints, keeps the ConfigMap
// kube-system/ingress-uid and emits GLBC's events. There is no load balancer, and
// nothing is asked of Compute Engine: see [Addresses].
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

// StandIn serves one cluster.
type StandIn struct {
	cluster   string
	client    kubernetes.Interface
	addresses *Addresses
	log       *slog.Logger

	queue workqueue.TypedRateLimitingInterface[key]

	// All below belongs to the one goroutine that works off the queue.
	ingresses networkinglisters.IngressLister
	services  corelisters.ServiceLister
	slices    discoverylisters.EndpointSliceLister
	uids      corelisters.ConfigMapLister
	lastUID   map[string]string // what the ConfigMap said last
	said      map[key]said
}

// key names an Ingress; the zero key is the ConfigMap with the UID.
type key = types.NamespacedName

// said is what an Ingress was told in events, so that it is told once.
type said struct {
	uid     types.UID
	waiting string
}

const fieldManager = "glbc"

// New returns the stand-in for a cluster. What goes wrong is written to log,
// which may be io.Discard, and tried again.
func New(cluster string, config *rest.Config, addresses *Addresses, log io.Writer) (*StandIn, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = fieldManager
	config.Timeout = 0 // it would end the watches; every write has its own
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("stand in for GLBC in %s: %w", cluster, err)
	}
	return &StandIn{
		cluster:   cluster,
		client:    client,
		addresses: addresses,
		log:       slog.New(slog.NewTextHandler(log, nil)),
		said:      map[key]said{},
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
	s.queue.Add(key{}) // there may be no ConfigMap that could speak up
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
			// What we saw was older than what we meant to change: as usual.
			s.queue.AddRateLimited(k)
		case ctx.Err() == nil:
			s.log.Warn("trying again", "cluster", s.cluster, "ingress", k.String(), "error", err)
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

// follow calls changed for every object that an informer hears of.
func (s *StandIn) follow(informer cache.SharedIndexInformer, changed func(any)) {
	// The error is that of an informer which was stopped already.
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

// uidChanged also wakes the Ingresses that wait for a UID.
func (s *StandIn) uidChanged(any) {
	s.queue.Add(key{})
	all, _ := s.ingresses.List(labels.Everything()) // a cache cannot fail
	for _, i := range all {
		s.ingressChanged(i)
	}
}

// enqueueUsers wakes the Ingresses that have a Service behind them.
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

// slim drops what is never read from the objects that are kept.
func slim(o any) (any, error) {
	if _, ok := o.(*networkingv1.Ingress); ok {
		return o, nil // written back as a whole
	}
	if m, err := meta.Accessor(o); err == nil {
		m.SetManagedFields(nil)
	}
	return o, nil
}
