package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/sleep"
)

// measurePort pushes Services without node ports, in turns with a floor that creates a
// Service with a given port in every cluster. In one cluster, a foreign Service has the
// first candidate of each Service.
func measurePort(ctx context.Context, b *bench) (rows []Row, err error) {
	u, err := b.openUnpinned(ctx, "port")
	if err != nil {
		return nil, err
	}
	var others []string // Services that fedsync does not manage
	defer func() {
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, u.close(ctx), u.vacate(ctx, others...))
	}()
	floor := Row{What: "floor: a Service with a given port, until all creations are answered", Unit: "ms", Of: "rounds"}
	chosen := Row{What: "a Service without node port: push to live, until seen", Unit: "ms", Of: "pushes"}
	for run := range b.some(2) {
		name, legacy := fmt.Sprintf("port-%d", run), fmt.Sprintf("legacy-%d", run)
		others = append(others, legacy, "floor-"+name)
		if err := u.clusters[run*5%len(u.clusters)].occupy(ctx, legacy, firstCandidate(name)); err != nil {
			return nil, err
		}
		if err := sleep.For(ctx, quiet); err != nil {
			return nil, err
		}
		least, err := u.createEverywhere(ctx, 32000+run, "floor-"+name)
		if err != nil {
			return nil, err
		}
		if err := u.settle(ctx); err != nil {
			return nil, err
		}
		seen, moved, err := u.add(ctx, name)
		if err != nil {
			return nil, err
		}
		last, err := u.last(ctx, seen)
		if err != nil {
			return nil, err
		}
		floor.Values = append(floor.Values, milliseconds(least))
		chosen.Values = append(chosen.Values, milliseconds(last.Sub(moved)))
		b.tell("floor %.0f ms, push %.0f ms", milliseconds(least), milliseconds(last.Sub(moved)))
	}
	ratio := chosen.Median() / floor.Median()
	return []Row{floor, chosen.must("median", ratio, 4, "× floor").medianWithin(1000)}, nil
}

// createEverywhere measures the minimum of work that creates Services in every cluster: a
// bare loop that has them in memory, with node ports from first on.
func (l *fleet) createEverywhere(ctx context.Context, first int, names ...string) (time.Duration, error) {
	bodies := make([][]byte, len(names))
	for i, name := range names {
		var err error
		if bodies[i], err = yaml.YAMLToJSON([]byte(guideObjects(name, first+i, 0, 0)["service.yaml"])); err != nil {
			return 0, err
		}
	}
	force := true
	began := time.Now()
	err := l.each(func(m *member) error {
		var all errgroup.Group
		all.SetLimit(8) // more concurrent requests are no faster
		for i, name := range names {
			all.Go(func() error {
				_, err := m.client.Resource(services).Namespace(namespace).Patch(ctx, name, types.ApplyPatchType, bodies[i],
					metav1.PatchOptions{FieldManager: floorName, Force: &force})
				return err
			})
		}
		return all.Wait()
	})
	return time.Since(began), err
}
