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

// Follow answers as the cluster's API server says until ctx ends, and tells see of
// all Nodes first and whenever one of them changed; they are not its to change.
// Afterwards the nodes answer as they did last. Only one call may be under way.
func (n *Nodes) Follow(ctx context.Context, config *rest.Config, see func([]*corev1.Node)) error {
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
		return nil // half of what there is must not replace what was known
	}
	show := func() {
		k := f.known()
		n.set(k)
		see(k.nodes)
	}
	show()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.nodesChanged:
			show()
		case <-f.othersChanged:
			n.set(f.known())
		}
	}
}

// follower has what the watches said.
type follower struct {
	factory informers.SharedInformerFactory
	// A change that was not looked at yet includes the next one: hence a capacity
	// of one.
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
	wake(nodes.Informer(), f.nodesChanged)
	wake(services.Informer(), f.othersChanged)
	wake(slices.Informer(), f.othersChanged)
	return f
}

func wake(informer cache.SharedIndexInformer, changed chan<- struct{}) {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	// The error is that of an informer which was stopped already.
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { tell() },
		UpdateFunc: func(_, _ any) { tell() },
		DeleteFunc: func(any) { tell() },
	})
}

// known reads the caches, which cannot fail.
func (f *follower) known() known {
	var k known
	k.nodes, _ = f.nodes.List(labels.Everything())
	k.services, _ = f.services.List(labels.Everything())
	k.slices, _ = f.slices.List(labels.Everything())
	return k
}

// slim drops what is never read from the objects that are kept.
func slim(o any) (any, error) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetManagedFields(nil)
	}
	return o, nil
}
