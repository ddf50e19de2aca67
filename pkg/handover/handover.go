package handover

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/takeover"
	"github.com/fedsync/fedsync/pkg/wire"
)

// Takeover is a federation whose clusters may still belong to another source than the
// configured one.
type Takeover struct {
	Federation *federation.Federation
	Revision   federation.Revision
	Repository string // for display
	Source     string // its digest
	Clusters   []takeover.Cluster

	options takeover.Options
}

// Inspect reads the repository and finds which source each cluster of its federation
// belongs to. It writes nothing.
func Inspect(ctx context.Context, cfg *config.Config, version string, log *zap.Logger) (*Takeover, error) {
	src, snapshot, f, err := preview.Read(ctx, cfg, secret.New())
	if err != nil {
		return nil, err
	}
	return Of(ctx, cfg, version, log, src, snapshot.Revision, f, f.Clusters)
}

// Rename is a federation that had another name in this repository, and what its
// clusters have under that name.
type Rename struct {
	Federation *federation.Federation
	Former     string
	Revision   federation.Revision
	Repository string // for display
	Clusters   []takeover.Cluster

	options takeover.RenameOptions
}

// InspectRename reads the repository and finds what each cluster of its federation has
// under the federation's former name. It writes nothing.
func InspectRename(ctx context.Context, cfg *config.Config, version string, log *zap.Logger, former string) (*Rename, error) {
	src, snapshot, f, err := preview.Read(ctx, cfg, secret.New())
	if err != nil {
		return nil, err
	}
	if f.Name == former {
		return nil, fmt.Errorf("%s is the federation's current name in %s, not a former one", former, snapshot.Revision)
	}
	kube, err := config.NewKubeconfig(cfg, log)
	if err != nil {
		return nil, err
	}
	r := &Rename{Federation: f, Former: former, Revision: snapshot.Revision, Repository: src.String()}
	r.options = takeover.RenameOptions{
		Options: takeover.Options{Clients: map[string]dynamic.Interface{}, Errors: map[string]error{}, Timeout: cfg.RequestTimeout},
		Mappers: map[string]takeover.Mapper{},
	}
	r.options.Owner = identity.Owner(src, cfg.Revision, f.Name)
	r.options.Former = identity.Owner(src, cfg.Revision, former)
	for _, c := range f.Clusters {
		client, err := wire.NewClient(cfg, kube, c.Context, version, log)
		if err != nil {
			r.options.Errors[c.Name] = err
			continue
		}
		r.options.Clients[c.Name], r.options.Mappers[c.Name] = client.Dynamic, client.Kinds
	}
	r.Clusters = takeover.InspectFormer(ctx, r.options)
	return r, ctx.Err()
}

// Move moves what was found to the federation's current name; see takeover.Rename.
func (r *Rename) Move(ctx context.Context, force bool) ([]takeover.Moved, error) {
	return takeover.Rename(ctx, r.options, r.Clusters, force)
}

// Of finds which source some clusters of a federation belong to.
func Of(ctx context.Context, cfg *config.Config, version string, log *zap.Logger, src *source.Source, at federation.Revision, f *federation.Federation, clusters []federation.Cluster) (*Takeover, error) {
	kube, err := config.NewKubeconfig(cfg, log)
	if err != nil {
		return nil, err
	}
	t := &Takeover{Federation: f, Revision: at, Repository: src.String()}
	t.options = takeover.Options{
		Owner:   identity.Owner(src, cfg.Revision, f.Name),
		Clients: map[string]dynamic.Interface{}, Errors: map[string]error{}, Timeout: cfg.RequestTimeout,
	}
	t.Source = t.options.Owner.Source
	for _, c := range clusters {
		client, err := wire.NewClient(cfg, kube, c.Context, version, log)
		if err != nil {
			t.options.Errors[c.Name] = err
			continue
		}
		t.options.Clients[c.Name] = client.Dynamic
	}
	t.Clusters = takeover.Inspect(ctx, t.options)
	return t, ctx.Err()
}

// OfAnother reports whether a cluster is known to belong to another source.
func (t *Takeover) OfAnother(c takeover.Cluster) bool {
	return c.Err == nil && c.Claim.OfAnother(t.Source) && !slices.Contains(t.options.Owner.FormerSources, c.Claim.Source)
}

// Move moves what was found of another source to this one; see takeover.Move.
func (t *Takeover) Move(ctx context.Context, force bool) ([]takeover.Moved, error) {
	return takeover.Move(ctx, t.options, t.Clusters, force)
}
