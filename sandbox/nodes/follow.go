package nodes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Follow makes the nodes follow the cluster's API server until ctx ends. It calls
// onNodes with all Nodes at first and after each change; onNodes must not change them.
// Afterwards the nodes keep their last state. Only one call may be under way.
func (n *Nodes) Follow(ctx context.Context, config *rest.Config, onNodes func([]*corev1.Node)) error {
	config = rest.CopyConfig(config)
	config.UserAgent = "sandbox-nodes"
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("play the nodes of %s: %w", n.config.Cluster, err)
	}
	f := newFollower(client)
	f.factory.StartWithContext(ctx)
	defer f.factory.Shutdown()
	f.factory.WaitForCacheSyncWithContext(ctx)
	if ctx.Err() != nil {
		return nil // an incomplete state must not replace the last one
	}
	update := func() {
		k := f.known()
		n.set(k)
		onNodes(k.nodes)
	}
	update()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.nodesChanged:
			update()
		case <-f.othersChanged:
			n.set(f.known())
		}
	}
}

// follower holds the objects of the watches.
type follower struct {
	factory informers.SharedInformerFactory
	// The capacity is one, since one pending event covers all later changes.
	nodesChanged, othersChanged chan struct{}

	nodes    corelisters.NodeLister
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

func newFollower(client kubernetes.Interface) *follower {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	nodes, services, slices := factory.Core().V1().Nodes(), factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	f := &follower{
		factory:       factory,
		nodesChanged:  make(chan struct{}, 1),
		othersChanged: make(chan struct{}, 1),
		nodes:         nodes.Lister(),
		services:      services.Lister(),
		slices:        slices.Lister(),
	}
	notify(nodes.Informer(), f.nodesChanged)
	notify(services.Informer(), f.othersChanged)
	notify(slices.Informer(), f.othersChanged)
	return f
}

// notify sends on changed for every change, unless an event is pending.
func notify(informer cache.SharedIndexInformer, changed chan<- struct{}) {
	send := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	// It fails only if the informer was already stopped.
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { send() },
		UpdateFunc: func(_, _ any) { send() },
		DeleteFunc: func(any) { send() },
	})
}

// known returns the objects in the caches, which can always be read.
func (f *follower) known() known {
	var k known
	k.nodes, _ = f.nodes.List(labels.Everything())
	k.services, _ = f.services.List(labels.Everything())
	k.slices, _ = f.slices.List(labels.Everything())
	return k
}

// slim drops the fields that are never read, before an object enters a cache.
func slim(o any) (any, error) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetManagedFields(nil)
	}
	return o, nil
}
