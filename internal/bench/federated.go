package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// federated is a running federation: a repository, and fedsync, which syncs clusters with
// it.
type federated struct {
	*fleet
	program string
	dir     string   // of fedsync's cache and log
	args    []string // of fedsync, in addition to those that it needs
	repo    *repository
	fedsync *daemon
}

// patience limits the wait for anything short, even on a busy machine.
const patience = 2 * time.Minute

// quiet is the pause between two runs, so that what one run causes (changes of
// endpoints, pods, an Ingress's status) is no load on the next.
const quiet = 300 * time.Millisecond

// federate makes a repository, starts fedsync on it and waits until its objects are
// live.
func (b *bench) federate(ctx context.Context, name string, files map[string]string, args ...string) (*federated, error) {
	l, err := b.openFleet(ctx)
	if err != nil {
		return nil, err
	}
	f := &federated{fleet: l, program: b.fedsync, dir: b.daemonDir(name), args: args}
	if f.repo, err = newRepository(ctx, filepath.Join(b.dir, name), files); err != nil {
		return nil, err
	}
	if err = f.start(ctx); err == nil {
		err = f.settle(ctx)
	}
	if err != nil {
		_ = f.close() // the error is known
		return nil, err
	}
	return f, nil
}

// daemonDir returns the folder for the cache and the log of a fedsync of this program.
func (b *bench) daemonDir(name string) string {
	if b.keep != "" {
		return filepath.Join(b.keep, "fedsync-"+name)
	}
	return filepath.Join(b.dir, "fedsync-"+name)
}

func (f *federated) start(ctx context.Context) (err error) {
	f.fedsync, err = startDaemon(ctx, f.program, f.dir, f.repo.bare, f.sandbox.Kubeconfig(), f.args...)
	return err
}

func (f *federated) close() error {
	f.repo.close()
	if f.fedsync == nil {
		return nil
	}
	err := f.fedsync.Stop()
	f.fedsync = nil
	return err
}

// restart kills fedsync and starts it again. It returns how long the new process took to
// find that there is nothing to do.
func (f *federated) restart(ctx context.Context) (time.Duration, error) {
	f.fedsync.Kill()
	if err := f.start(ctx); err != nil {
		return 0, err
	}
	err := f.fedsync.until(ctx, patience, "be ready after a restart", func(r *status.Report) bool {
		for _, c := range r.Clusters {
			if !c.Current || c.State != federation.ClusterReady {
				return false
			}
		}
		return live(f.repo.head)(r)
	})
	return time.Since(f.fedsync.Began), err
}

// prepare commits files, and waits until git has finished: all that remains is to publish
// the commit.
func (f *federated) prepare(ctx context.Context, files map[string]string, message string) (id string, err error) {
	if id, err = f.repo.commit(ctx, files, message); err != nil {
		return "", err
	}
	return id, sleep.For(ctx, quiet)
}

// deliver pushes files. It returns the time just before the branch moved.
func (f *federated) deliver(ctx context.Context, files map[string]string, message string) (time.Time, error) {
	id, err := f.prepare(ctx, files, message)
	if err != nil {
		return time.Time{}, err
	}
	return f.repo.publish(id)
}

// settle waits until the newest commit is live and healthy everywhere, and its effects in
// the clusters are over.
func (f *federated) settle(ctx context.Context) error {
	if err := f.fedsync.until(ctx, patience, "settle", live(f.repo.head)); err != nil {
		return err
	}
	return sleep.For(ctx, quiet)
}

// settleIn waits until the newest commit has reached some clusters, whatever the state of
// the other clusters.
func (f *federated) settleIn(ctx context.Context, clusters []string) error {
	err := f.fedsync.until(ctx, patience, "settle", func(r *status.Report) bool {
		for _, c := range r.Clusters {
			if slices.Contains(clusters, c.Name) && (!c.Current || c.Outcome != status.Success) {
				return false
			}
		}
		return r.Revision.SHA == f.repo.head
	})
	if err != nil {
		return err
	}
	return sleep.For(ctx, quiet)
}

// untilState waits until fedsync reports clusters in a state.
func (f *federated) untilState(ctx context.Context, state federation.ClusterState, clusters ...string) error {
	return f.fedsync.until(ctx, time.Minute, fmt.Sprintf("find out that clusters are %s", state), func(r *status.Report) bool {
		so := 0
		for _, c := range r.Clusters {
			if c.State == state && slices.Contains(clusters, c.Name) {
				so++
			}
		}
		return so == len(clusters)
	})
}

// untilFound waits until a finding is reported, or is no longer reported.
func (f *federated) untilFound(ctx context.Context, id string, there bool) error {
	what := "report of a finding " + id
	if !there {
		what = "no more " + what
	}
	return f.fedsync.until(ctx, time.Minute, what, func(r *status.Report) bool {
		return there == slices.ContainsFunc(r.Findings, func(f federation.Finding) bool { return f.ID == id })
	})
}
