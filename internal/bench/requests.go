package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The names under which the account's requests are counted: its verbs, and what
// it asks that is no object.
const (
	flowPrefix = "bench-"
	probes     = "readyz"
	otherPaths = "urls" // sorts after probes, so that those are not counted here
	verbWatch  = "watch"
	verbList   = "list"
)

func verbs() []string {
	return append([]string{"get", verbList, verbWatch}, writes()...)
}

// writes are the verbs that change something.
func writes() []string { return []string{"create", "update", "patch", "delete", "deletecollection"} }

// counts are numbers of requests, by verb.
type counts map[string]float64

// requests reads from the API server's own metrics how many requests of the
// account it has let in since it started. The watches that it has begun count
// when they begin.
func (m *member) requests(ctx context.Context) (counts, error) {
	body, err := m.core.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	return parseCounts(body)
}

// parseCounts finds the account's requests in metrics.
func parseCounts(metrics []byte) (counts, error) {
	const head = `apiserver_flowcontrol_dispatched_requests_total{flow_schema="` + flowPrefix
	c := counts{}
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), head)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, `"`)
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("read the API server's metrics: %w", err)
		}
		c[name] += value
	}
	return c, lines.Err()
}

// requests asks all clusters.
func (l *lab) requests(ctx context.Context) (map[string]counts, error) {
	return l.requestsIn(ctx, l.names())
}

// requestsIn asks some clusters.
func (l *lab) requestsIn(ctx context.Context, clusters []string) (map[string]counts, error) {
	var mu sync.Mutex // protects all
	all := map[string]counts{}
	err := l.each(func(m *member) error {
		if !slices.Contains(clusters, m.name) {
			return nil
		}
		c, err := m.requests(ctx)
		mu.Lock()
		defer mu.Unlock()
		all[m.name] = c
		return err
	})
	return all, err
}

// since gives what was added.
func (c counts) since(before counts) counts {
	d := counts{}
	for name, n := range c {
		if n > before[name] {
			d[name] = n - before[name]
		}
	}
	return d
}

// sum adds the counts of some verbs up.
func (c counts) sum(names ...string) float64 {
	var n float64
	for _, name := range names {
		n += c[name]
	}
	return n
}

// besides adds up all counts but those.
func (c counts) besides(names ...string) float64 {
	var n float64
	for name, value := range c {
		if !slices.Contains(names, name) {
			n += value
		}
	}
	return n
}

// String gives "list 3, watch 4".
func (c counts) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %.0f", name, c[name]))
	}
	return strings.Join(parts, ", ")
}

// total adds all clusters up.
func total(all map[string]counts) counts {
	sum := counts{}
	for _, c := range all {
		for name, n := range c {
			sum[name] += n
		}
	}
	return sum
}

// since gives what was added in each cluster.
func since(now, before map[string]counts) map[string]counts {
	d := map[string]counts{}
	for name, c := range now {
		d[name] = c.since(before[name])
	}
	return d
}
