package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
)

// cloud is the sandbox's Compute Engine, and the load balancer that fedsync made in
// it. --gcp=false leaves it out of the demo.
type cloud struct {
	*lab.GCPDescription

	address string // the load balancer's
	client  *http.Client
}

// block is appended to the example's fedsync.yaml when there is a Compute Engine.
const block = "  gcp:\n    project: %s\n"

// declare adds the project to fedsync.yaml.
func (c *cloud) declare(work string) error {
	path := filepath.Join(work, "fedsync.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, fmt.Appendf(data, block, c.Project), 0o644)
}

// open makes the client of the load balancer, with a new connection for each request.
func (c *cloud) open(address string) error {
	proxy, err := url.Parse(c.Proxy)
	if err != nil {
		return err
	}
	c.address = address
	c.client = &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true},
	}
	return nil
}

// ask sends one request to the address and returns the cluster that answered.
func (c *cloud) ask(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body) // a header names who answered
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	return resp.Header.Get("X-Cluster"), nil
}

// answers counts how many requests each cluster answered, and how many failed.
type answers struct {
	by     map[string]int
	failed int
}

func (c *cloud) askOften(ctx context.Context, n int) answers {
	a := answers{by: map[string]int{}}
	for range n {
		if cluster, err := c.ask(ctx); err == nil {
			a.by[cluster]++
		} else {
			a.failed++
		}
	}
	return a
}

func (a answers) String() string {
	parts := make([]string, 0, len(a.by)+1)
	for _, cluster := range slices.Sorted(maps.Keys(a.by)) {
		parts = append(parts, fmt.Sprintf("%s %d", cluster, a.by[cluster]))
	}
	return strings.Join(append(parts, fmt.Sprintf("failed %d", a.failed)), ", ")
}

// answeredBy waits until exactly these clusters, each of them, answer at the
// address and no request fails.
func (d *demo) answeredBy(ctx context.Context, clusters ...string) error {
	const each = 20
	want := slices.Sorted(slices.Values(clusters))
	var got answers
	err := wait(ctx, 2*time.Minute, "answers from "+strings.Join(clusters, ", "), func() (bool, error) {
		got = d.cloud.askOften(ctx, each*len(clusters))
		return got.failed == 0 && slices.Equal(slices.Sorted(maps.Keys(got.by)), want), ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("%w; last: %s", err, got)
	}
	say("http://%s/ answered by: %s", d.cloud.address, got)
	return nil
}

// oneAddress shows that the load balancer leads to every cluster.
func (d *demo) oneAddress(ctx context.Context, address string) error {
	if address == "" {
		return errors.New("the report has no address of a load balancer")
	}
	if err := d.cloud.open(address); err != nil {
		return err
	}
	say("\nOne address for all clusters: %s …", address)
	return d.answeredBy(ctx, d.clusters...)
}

// deadNodes kills the nodes of a cluster and revives them.
func (d *demo) deadNodes(ctx context.Context) error {
	lost := d.clusters[2]
	say("\nKilling the nodes of %s …", lost)
	started := time.Now()
	if err := d.sandbox.Do(ctx, "kill-nodes", lost); err != nil {
		return err
	}
	if err := d.answeredBy(ctx, d.clusters[:2]...); err != nil {
		return err
	}
	say("routed around after %s", since(started))
	if err := d.sandbox.Do(ctx, "revive-nodes", lost); err != nil {
		return err
	}
	return d.answeredBy(ctx, d.clusters...)
}
