package gcp

import (
	"context"

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
