package facts_test

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/facts"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
	"github.com/fedsync/fedsync/pkg/probe"
	"github.com/fedsync/fedsync/pkg/watch"
)

// How the parts are connected for one cluster. The nudge triggers another read of the
// facts; it must not block.
func Example() {
	follow := func(ctx context.Context, cluster string, cfg *rest.Config, nudge func()) error {
		cfg.QPS = -1 // the watches would wait for each other
		cfg.WarningHandler = rest.NoWarnings{}
		tracked, connections := bounds.TrackConnections(cfg)
		client, err := dynamic.NewForConfig(tracked)
		if err != nil {
			return err
		}

		const partOf = "applyset.kubernetes.io/part-of"
		view := facts.NewView(func(u *unstructured.Unstructured) (federation.Observation, bool) {
			app := u.GetLabels()[partOf]
			return health.Judge(cluster, app, u), app != ""
		}, nudge)
		watcher := watch.NewWatcher(client, func(e watch.Event) {
			view.Observe(e)
			if e.Type == watch.Listed || e.Type == watch.Failed {
				nudge() // Synced has changed
			}
		})
		watcher.Want([]watch.Watch{{
			Resource:      schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
			LabelSelector: partOf,
		}})

		prober := probe.NewProber(cfg, probe.Options{})
		var running sync.WaitGroup
		running.Go(func() { watcher.Run(ctx) })
		running.Go(func() {
			prober.Run(ctx, func(p probe.Probe) {
				if p.State == federation.ClusterOffline {
					connections.Close()
				}
				if p.State == federation.ClusterReady {
					watcher.Poke()
				}
				nudge()
			})
		})
		running.Wait()
		return nil
	}
	_ = follow
}
