package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// measureHundredPorts pushes 100 Services without node ports in one commit. The band
// has 86, less what is used already: the rest get ports above it, with a warning
// each.
func measureHundredPorts(ctx context.Context, b *bench) (rows []Row, err error) {
	const services = 100
	u, err := b.openUnpinned(ctx, "hundred")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, u.close(context.WithoutCancel(ctx))) }()
	floor := Row{What: "floor: 100 Services with given ports, until all creations are answered", Unit: "ms", Of: "rounds"}
	took := Row{What: "100 Services without node ports: push to live, until seen", Unit: "ms", Of: "pushes"}
	wrong := Row{What: "Services without one port everywhere of their own", Unit: "Services", Of: "pushes"}
	above := Row{What: "Services with a port above the band", Unit: "Services", Of: "pushes"}
	unwarned := Row{What: "of these without a warning", Unit: "Services", Of: "pushes"}
	off := Row{What: "of these more or fewer than the band lacks", Unit: "Services", Of: "pushes"}
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
		used, err := u.usedInBand(ctx)
		if err != nil {
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
		x, err := u.judge(ctx)
		if err != nil {
			return nil, err
		}
		floor.Values = append(floor.Values, milliseconds(least))
		took.Values = append(took.Values, milliseconds(last.Sub(moved)))
		wrong.Values = append(wrong.Values, float64(x.wrong))
		above.Values = append(above.Values, float64(x.above))
		unwarned.Values = append(unwarned.Values, float64(x.unwarned))
		off.Values = append(off.Values, math.Abs(float64(x.above-max(0, services-(bandSize-used)))))
		b.tell("100 Services in %.0f ms (floor %.0f ms): %d above the band, of which %d ports were used; %d wrong, %d without a warning",
			milliseconds(last.Sub(moved)), milliseconds(least), x.above, used, x.wrong, x.unwarned)
		if err := u.remove(ctx); err != nil {
			return nil, err
		}
	}
	return []Row{floor, took, wrong.worstWithin(0), above, unwarned.worstWithin(0), off.worstWithin(0)}, nil
}

// verdict is what is to be said of many Services' node ports.
type verdict struct {
	wrong    int // not one port everywhere, or one of two Services
	above    int // above the band
	unwarned int // of these without a warning
}

func (u *unpinned) judge(ctx context.Context) (v verdict, err error) {
	ports, err := u.nodePorts(ctx, u.names)
	if err != nil {
		return v, err
	}
	report, err := u.fedsync.report(ctx)
	if err != nil {
		return v, err
	}
	warned := map[string]bool{}
	for _, f := range report.Findings {
		if f.ID == "D11b" && f.Severity == federation.SeverityWarning && strings.Contains(f.Message.String(), "above the static band") {
			warned[f.Object.Name] = true
		}
	}
	taken := map[int64]bool{}
	for _, name := range u.names {
		port := u.onePort(ports[name])
		if port == 0 || taken[port] {
			v.wrong++
		}
		taken[port] = true
		if port >= bandFirst+bandSize {
			v.above++
			if !warned[name] {
				v.unwarned++
			}
		}
	}
	return v, nil
}
