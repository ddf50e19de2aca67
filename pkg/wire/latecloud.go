package wire

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce"
)

// NewCompute returns the client of a project. It is opened at the first call,
// because finding credentials can take seconds.
func NewCompute(cfg *config.Config, project, version string, secrets *secret.Set, log *zap.Logger) gcp.Cloud {
	return &lateCloud{open: func(ctx context.Context) (gcp.Cloud, error) {
		return gce.New(ctx, gce.Options{
			Project: project, Endpoint: cfg.GCPEndpoint, QPS: cfg.GCPRate,
			UserAgent: "fedsync/" + version, Log: log, Secrets: secrets,
		})
	}}
}

// lateCloud is a Cloud that is opened at the first call, and again at later calls
// as long as that fails.
type lateCloud struct {
	open func(context.Context) (gcp.Cloud, error)

	mu     sync.Mutex
	cloud  gcp.Cloud
	failed time.Time // when opening first failed
}

func (c *lateCloud) opened(ctx context.Context) (gcp.Cloud, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cloud != nil {
		return c.cloud, nil
	}
	cloud, err := c.open(ctx)
	if err != nil {
		if c.failed.IsZero() {
			c.failed = time.Now()
		}
		return nil, err
	}
	c.cloud = cloud
	return cloud, nil
}

// Observe implements gcp.Cloud. Without credentials nothing can be read, and the
// result reports that.
func (c *lateCloud) Observe(ctx context.Context, scope gcp.Scope) gcp.Observed {
	cloud, err := c.opened(ctx)
	if err != nil {
		return gcp.Observed{
			At: time.Now(), Resources: map[gcp.ID]gcp.Resource{},
			Errors: []gcp.ReadError{{What: "everything", Err: err, Since: c.failed}},
		}
	}
	return cloud.Observe(ctx, scope)
}

// Do implements gcp.Cloud.
func (c *lateCloud) Do(ctx context.Context, a gcp.Action) error {
	cloud, err := c.opened(ctx)
	if err != nil {
		return err
	}
	return cloud.Do(ctx, a)
}

// Health implements gcp.Cloud.
func (c *lateCloud) Health(ctx context.Context, service, group gcp.ID) (gcp.GroupHealth, error) {
	cloud, err := c.opened(ctx)
	if err != nil {
		return gcp.GroupHealth{}, err
	}
	return cloud.Health(ctx, service, group)
}

// Missing returns which of the permissions are missing, if that can be queried.
func (c *lateCloud) Missing(ctx context.Context, permissions []string) ([]string, error) {
	cloud, err := c.surveyor(ctx)
	if err != nil {
		return nil, err
	}
	return cloud.Missing(ctx, permissions)
}

// Quotas returns the quotas of the project.
func (c *lateCloud) Quotas(ctx context.Context) ([]gcp.Quota, error) {
	cloud, err := c.surveyor(ctx)
	if err != nil {
		return nil, err
	}
	return cloud.Quotas(ctx)
}

func (c *lateCloud) surveyor(ctx context.Context) (*gce.Client, error) {
	cloud, err := c.opened(ctx)
	if err != nil {
		return nil, err
	}
	compute, ok := cloud.(*gce.Client)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return compute, nil
}

// Calls returns how often each method was called.
func (c *lateCloud) Calls() map[string]int {
	c.mu.Lock()
	cloud := c.cloud
	c.mu.Unlock()
	if counts, ok := cloud.(interface{ Calls() map[string]int }); ok {
		return counts.Calls()
	}
	return nil
}
