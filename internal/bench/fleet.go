package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/lab"
)

// fleet is the clusters, with clients of them.
type fleet struct {
	sandbox   *lab.Sandbox
	clusters  []*member
	sightings *sightings
}

// member is one member cluster.
type member struct {
	name   string
	client dynamic.Interface // without a rate limit
}

// openFleet returns the clusters. The first call starts them.
func (b *bench) openFleet(ctx context.Context) (*fleet, error) {
	if b.fleet != nil {
		return b.fleet, nil
	}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	b.tell("starting %d clusters …", b.clusters)
	var options []lab.Option
	if b.keep != "" {
		options = append(options, lab.WithLogs(filepath.Join(b.keep, "clusters")))
	}
	s, err := lab.Start(ctx, b.clusters, options...)
	if err != nil {
		return nil, err
	}
	l := &fleet{sandbox: s}
	for _, name := range s.Clusters() {
		config := s.RESTConfig(name)
		config.WarningHandlerWithContext = rest.NoWarnings{}
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			s.Stop()
			return nil, fmt.Errorf("make a client of %s: %w", name, err)
		}
		l.clusters = append(l.clusters, &member{name: name, client: client})
	}
	l.sightings = watchClusters(l.clusters)
	b.fleet = l
	return l, nil
}

func (l *fleet) close() {
	l.sightings.close()
	l.sandbox.Stop()
}

// each calls a function for all clusters concurrently.
func (l *fleet) each(f func(*member) error) error {
	var all errgroup.Group
	for _, m := range l.clusters {
		all.Go(func() error {
			if err := f(m); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// all takes an action, pause, resume, kill or start, on several clusters concurrently.
func (l *fleet) all(ctx context.Context, action string, clusters []string) error {
	var all errgroup.Group
	for _, name := range clusters {
		all.Go(func() error { return l.sandbox.Do(ctx, action, name) })
	}
	return all.Wait()
}

func (l *fleet) names() []string {
	names := make([]string, len(l.clusters))
	for i, m := range l.clusters {
		names[i] = m.name
	}
	return names
}

// build builds fedsync as the Makefile does, unless a program was given.
func (b *bench) build(ctx context.Context) error {
	if b.fedsync != "" {
		return nil
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	b.fedsync = filepath.Join(root, "bin", "fedsync")
	b.tell("building bin/fedsync …")
	return command(ctx, root, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+b.version, "-o", b.fedsync, "./cmd/fedsync")
}

// command runs a program, and returns an error with its output if it fails.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, bytes.TrimSpace(out))
	}
	return nil
}
