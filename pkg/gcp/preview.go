package gcp

import (
	"context"
	"sync"

	"go.uber.org/zap"
)

// Preview looks once and returns what there is, what there should be, and what a
// keeper would do; it changes nothing. Certificates of Secrets are not read.
func Preview(ctx context.Context, cloud Cloud, in Input) (Wanted, Observed, Planned) {
	k := NewKeeper(KeeperOptions{Cloud: cloud, Log: zap.NewNop()})
	for range 2 { // which groups there are follows from the machines, which a look reads
		k.look(ctx, &in)
	}
	k.seen.Health = map[ID]map[ID]GroupHealth{}
	s := k.decide(&in)
	return s.want, k.seen, s.planned
}

// AskHealth asks every wanted backend service that is there for the health of its
// groups. What cannot be asked before the context ends is not in the answer.
func AskHealth(ctx context.Context, cloud Cloud, want Wanted, seen Observed) map[ID]map[ID]GroupHealth {
	var mu sync.Mutex // protects health
	health := map[ID]map[ID]GroupHealth{}
	room := make(chan struct{}, healthAtOnce)
	var asking sync.WaitGroup
	for _, id := range sortedIDs(want.Resources) {
		service, ok := seen.Resources[id].Spec.(Service)
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
					health[id] = map[ID]GroupHealth{}
				}
				health[id][b.Group] = h
			})
		}
	}
	asking.Wait()
	return health
}
