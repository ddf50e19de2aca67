package main

import (
	"context"
)

// measurePush measures how long a push takes to be live in all clusters, in turns with the
// floor, so that the same machine does both in the same minute.
func measurePush(ctx context.Context, b *bench) ([]Row, error) {
	g, err := b.openGuide(ctx)
	if err != nil {
		return nil, err
	}
	f := &floor{fleet: g.fleet}
	for range 2 { // create the objects, and warm up the connections
		if _, _, err := f.apply(ctx); err != nil {
			return nil, err
		}
	}
	if _, err := g.push(ctx, g.names()); err != nil {
		return nil, err
	}

	answered := Row{What: "floor: bare applies, until all are answered", Unit: "ms", Of: "rounds"}
	seen := Row{What: "floor: bare applies, until seen", Unit: "ms", Of: "rounds"}
	pushed := Row{What: "push to live, until seen", Unit: "ms", Of: "pushes"}
	annotated := Row{What: "the same where each overlay has commonAnnotations instead of patches", Unit: "ms", Of: "pushes"}
	cpu := Row{What: "processor time of fedsync for a push", Unit: "ms", Of: "pushes"}
	for range b.runs {
		if err := g.settle(ctx); err != nil {
			return nil, err
		}
		a, s, err := f.apply(ctx)
		if err != nil {
			return nil, err
		}
		if err := g.settle(ctx); err != nil {
			return nil, err
		}
		before, err := g.fedsync.Processor()
		if err != nil {
			return nil, err
		}
		took, err := g.push(ctx, g.names())
		if err != nil {
			return nil, err
		}
		after, err := g.fedsync.Processor()
		if err != nil {
			return nil, err
		}
		answered.Values = append(answered.Values, milliseconds(a))
		seen.Values = append(seen.Values, milliseconds(s))
		pushed.Values = append(pushed.Values, slowest(took))
		cpu.Values = append(cpu.Values, milliseconds(after-before))
		if err := g.settle(ctx); err != nil {
			return nil, err
		}
		same, err := g.pushAnnotated(ctx)
		if err != nil {
			return nil, err
		}
		annotated.Values = append(annotated.Values, slowest(same))
		b.tell("floor %.0f ms (seen %.0f ms), push %.0f ms, annotated %.0f ms", milliseconds(a), milliseconds(s), slowest(took), slowest(same))
	}
	ratio := pushed.Median() / answered.Median()
	return []Row{
		answered.medianWithin(floorLimit),
		seen,
		pushed.must("median", ratio, 4, "× floor").medianWithin(1000),
		annotated.must("median", annotated.Median()/answered.Median(), 3, "× floor"),
		cpu,
	}, nil
}

// floorLimit is above what the floor takes on the smallest machine that it was tried on,
// which has 2 cores. A floor that takes longer was measured wrongly, and comparisons with
// it mean nothing.
const floorLimit = 200 // ms
