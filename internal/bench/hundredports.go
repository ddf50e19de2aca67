package main

import (
	"context"
	"errors"
	"fmt"
)

// measureHundredPorts pushes 100 Services without node ports in one commit. The band
// has 86 ports, some of which may be in use: the other Services get ports above it.
func measureHundredPorts(ctx context.Context, b *bench) (rows []Row, err error) {
	const services = 100
	u, err := b.openUnpinned(ctx, "hundred")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, u.close(context.WithoutCancel(ctx))) }()
	floor := Row{What: "floor: 100 Services with given ports, until all creations are answered", Unit: "ms", Of: "rounds"}
	took := Row{What: "100 Services without node ports: push to live, until seen", Unit: "ms", Of: "pushes"}
	var names, others []string
	for i := range services {
		names = append(names, fmt.Sprintf("hundred-%02d", i))
		others = append(others, "floor-"+names[i])
	}
	for range b.some(6) {
		least, err := u.createEverywhere(ctx, 32100, others...)
		if err = errors.Join(err, u.vacate(context.WithoutCancel(ctx), others...)); err != nil {
			return nil, err
		}
		if err := u.settle(ctx); err != nil {
			return nil, err
		}
		seen, moved, err := u.add(ctx, names...)
		if err != nil {
			return nil, err
		}
		last, err := u.last(ctx, seen)
		if err != nil {
			return nil, err
		}
		if err := u.settle(ctx); err != nil {
			return nil, err
		}
		floor.Values = append(floor.Values, milliseconds(least))
		took.Values = append(took.Values, milliseconds(last.Sub(moved)))
		b.tell("100 Services in %.0f ms (floor %.0f ms)", milliseconds(last.Sub(moved)), milliseconds(least))
		if err := u.remove(ctx); err != nil {
			return nil, err
		}
	}
	return []Row{floor, took}, nil
}
