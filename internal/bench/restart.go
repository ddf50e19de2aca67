package main

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/sleep"
)

// aftermath is how long a fedsync that was started again is watched after it
// says that everything is as it should be.
const aftermath = 3 * time.Second

// measureRestart kills fedsync without a warning, starts it again with nothing
// changed, and counts what it writes.
func measureRestart(ctx context.Context, b *bench) ([]Row, error) {
	g, err := b.openGuide(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.countsWrites(ctx); err != nil {
		return nil, err
	}
	if err := g.settle(ctx); err != nil {
		return nil, err
	}
	written := Row{What: "write requests after kill -9 and restart, all clusters", Unit: "requests", Of: "restarts"}
	changed := Row{What: "objects whose resourceVersion changed", Unit: "objects", Of: "restarts"}
	read := Row{What: "reads (get, list, discovery), for one cluster", Unit: "requests", Of: "restarts"}
	ready := Row{What: "from the start until all clusters are known to be as Git says", Unit: "ms", Of: "restarts"}
	for range b.runs {
		requests, err := g.requests(ctx)
		if err != nil {
			return nil, err
		}
		versions, err := g.versions(ctx)
		if err != nil {
			return nil, err
		}
		took, err := g.restart(ctx)
		if err != nil {
			return nil, err
		}
		if err := sleep.For(ctx, aftermath); err != nil {
			return nil, err
		}
		now, err := g.requests(ctx)
		if err != nil {
			return nil, err
		}
		after, err := g.versions(ctx)
		if err != nil {
			return nil, err
		}
		made := total(since(now, requests))
		written.Values = append(written.Values, made.sum(writes()...))
		read.Values = append(read.Values, made.sum("get", verbList, otherPaths)/float64(len(g.clusters)))
		ready.Values = append(ready.Values, milliseconds(took))
		different := differences(versions, after)
		changed.Values = append(changed.Values, float64(len(different)))
		if len(different) > 0 || made.sum(writes()...) > 0 {
			b.tell("a restart made requests (%s) and changed %v", made, different)
		}
	}
	return []Row{written.worstWithin(0), changed.worstWithin(0), read, ready}, nil
}

// countsWrites makes sure, by a push, that writes are counted: a count that is
// always 0 would please everybody.
func (g *guide) countsWrites(ctx context.Context) error {
	if err := g.settle(ctx); err != nil {
		return err
	}
	before, err := g.requests(ctx)
	if err != nil {
		return err
	}
	if _, err := g.push(ctx, g.names()); err != nil {
		return err
	}
	now, err := g.requests(ctx)
	if err != nil {
		return err
	}
	for cluster, made := range since(now, before) {
		if got, want := made.sum(writes()...), float64(len(kinds())); got < want {
			return fmt.Errorf("a push that changes %.0f objects made %.0f writes in %s: requests are not counted as they should be", want, got, cluster)
		}
	}
	return nil
}

// versions gives the resourceVersions of everything that fedsync has made.
//
// The controllers of the clusters write into these objects too: what is compared
// must have been left alone for a while.
func (g *guide) versions(ctx context.Context) (map[string]string, error) {
	var mu sync.Mutex // protects all
	all := map[string]string{}
	err := g.each(func(m *member) error {
		for _, kind := range append(kinds(), schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, schema.GroupVersionResource{Version: "v1", Resource: "secrets"}) {
			list, err := m.admin.Resource(kind).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			mu.Lock()
			for _, u := range list.Items {
				if u.GetName() == guideName || u.GetNamespace() == "fedsync-system" {
					all[fmt.Sprintf("%s/%s/%s/%s", m.name, kind.Resource, u.GetNamespace(), u.GetName())] = u.GetResourceVersion()
				}
			}
			mu.Unlock()
		}
		return nil
	})
	return all, err
}

// differences names what is not in both with the same value.
func differences(a, b map[string]string) []string {
	var names []string
	both := maps.Clone(a)
	maps.Copy(both, b)
	for name := range both {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	return names
}
