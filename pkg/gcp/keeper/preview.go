package keeper

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// Preview reads Compute Engine and returns the wanted state, the observed state and what
// a keeper would do. It changes nothing, and reads no certificates from Secrets.
func Preview(ctx context.Context, cloud gcp.Cloud, in gcp.Input) (gcp.Wanted, gcp.Observed, gcp.Planned) {
	k := New(Options{Cloud: cloud, Log: zap.NewNop()})
	for range 2 { // the wanted groups follow from the machines that are read
		k.readCloud(ctx, &in)
	}
	k.seen.Health = map[gcp.ID]map[gcp.ID]gcp.GroupHealth{}
	s := k.decide(&in)
	return s.want, k.seen, s.planned
}

// AskHealth asks every wanted backend service that exists for the health of its groups.
// Groups that cannot be asked before the context ends are not in the result.
func AskHealth(ctx context.Context, cloud gcp.Cloud, want gcp.Wanted, seen gcp.Observed) map[gcp.ID]map[gcp.ID]gcp.GroupHealth {
	var mu sync.Mutex // protects health
	health := map[gcp.ID]map[gcp.ID]gcp.GroupHealth{}
	room := make(chan struct{}, healthAtOnce)
	var asking sync.WaitGroup
	for _, id := range gcp.SortedIDs(want.Resources) {
		service, ok := seen.Resources[id].Spec.(gcp.Service)
		if !ok {
			continue
		}
		for _, b := range service.Backends {
			room <- struct{}{}
			asking.Go(func() {
				defer func() { <-room }()
				h, err := cloud.Health(ctx, id, b.Group)
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if health[id] == nil {
					health[id] = map[gcp.ID]gcp.GroupHealth{}
				}
				health[id][b.Group] = h
			})
		}
	}
	asking.Wait()
	return health
}
