package main

import "context"

// measureRestart kills fedsync abruptly and starts it again with nothing changed.
func measureRestart(ctx context.Context, b *bench) ([]Row, error) {
	g, err := b.openGuide(ctx)
	if err != nil {
		return nil, err
	}
	ready := Row{What: "from the start until all clusters are known to be as Git says", Unit: "ms", Of: "restarts"}
	for range b.runs {
		if err := g.settle(ctx); err != nil {
			return nil, err
		}
		took, err := g.restart(ctx)
		if err != nil {
			return nil, err
		}
		ready.Values = append(ready.Values, milliseconds(took))
	}
	return []Row{ready}, nil
}
