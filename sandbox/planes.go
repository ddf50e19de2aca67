package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/fedsync/fedsync/sandbox/cluster"
	"github.com/fedsync/fedsync/sandbox/faults"
)

// planes starts second control planes for the clusters of a sandbox. It implements
// [faults.Planes].
type planes struct {
	sandbox *Sandbox

	mu   sync.Mutex // one backup at a time; protects last
	last int
}

// Backup copies the store that all clusters share. It stops them for some tenths of
// a second.
func (p *planes) Backup(context.Context) (string, error) {
	dir, err := p.folder("backups")
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.sandbox.etcd.copyTo(filepath.Join(dir, "etcd")); err != nil {
		return "", fmt.Errorf("back up the clusters: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	return dir, nil
}

// Start starts a complete control plane with its own store. As after an etcd snapshot
// restore, objects have the resourceVersions of the backup, and later writes reuse the
// resourceVersions that followed the backup.
func (p *planes) Start(ctx context.Context, name, backup string) (faults.Plane, error) {
	action := "rebuild"
	if backup != "" {
		action = "restore"
	}
	started, err := p.start(ctx, name, backup)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", action, name, err)
	}
	return started, nil
}

func (p *planes) start(ctx context.Context, name, backup string) (_ *plane, err error) {
	s := p.sandbox
	var first *cluster.Cluster
	for _, c := range s.clusters {
		if c.Name() == name {
			first = c
		}
	}
	if first == nil {
		return nil, errors.New("cluster not found")
	}
	dir, err := p.folder("planes")
	if err != nil {
		return nil, err
	}
	started := &plane{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, started.Stop())
		}
	}()
	if backup != "" {
		if err := copyFolder(filepath.Join(dir, "etcd"), filepath.Join(backup, "etcd")); err != nil {
			return nil, fmt.Errorf("copy the backup: %w", err)
		}
	}
	id := filepath.Base(dir)
	if started.etcd, err = startEtcd(s.group, s.options, "etcd-"+id, filepath.Join(dir, "etcd"), s.fail); err != nil {
		return nil, err
	}
	logs := filepath.Join(s.options.Logs, name+"-"+id)
	if started.Cluster, err = first.Successor(filepath.Join(dir, "cluster"), logs, started.etcd.url()); err != nil {
		return nil, err
	}
	return started, started.Up(ctx)
}

// folder makes the directory of the next backup or control plane.
func (p *planes) folder(kind string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	dir := filepath.Join(p.sandbox.dir, kind, fmt.Sprint(p.last))
	return dir, os.MkdirAll(dir, 0o700)
}

// plane is a second control plane.
type plane struct {
	*cluster.Cluster
	etcd *etcd
	dir  string
}

// Stop ends its programs and removes their data.
func (p *plane) Stop() error {
	var errs []error
	if p.Cluster != nil {
		errs = append(errs, p.Remove())
	}
	if p.etcd != nil {
		errs = append(errs, p.etcd.program.Kill(), p.etcd.port.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(p.dir))...)
}
