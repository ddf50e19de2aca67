package daemon

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/takeover"
	"github.com/fedsync/fedsync/pkg/wire"
)

// Takeover is a federation whose clusters may still belong to another source than the one
// that the settings name.
type Takeover struct {
	Federation *federation.Federation
	Revision   federation.Revision
	Repository string // as it is shown
	Source     string // its digest
	Clusters   []takeover.Cluster

	options takeover.Options
}

// LookAtTakeover reads the repository and asks every cluster of its federation to which
// source it belongs. It writes nothing.
func LookAtTakeover(ctx context.Context, cfg *config.Config, o Options) (*Takeover, error) {
	src, err := wire.NewSource(cfg, secret.New(), zap.NewNop())
	if err != nil {
		return nil, err
	}
	snapshot, err := src.Snapshot(ctx, cfg.Revision)
	if err != nil {
		return nil, err
	}
	f, err := render.Load(snapshot)
	if err != nil {
		return nil, err
	}
	return takeoverOf(ctx, cfg, o, src, snapshot.Revision, f, f.Clusters)
}

// Rename is a federation that had another name in this repository, and what its clusters
// have under that.
type Rename struct {
	Federation *federation.Federation
	Former     string
	Revision   federation.Revision
	Repository string // as it is shown
	Clusters   []takeover.Cluster

	options takeover.RenameOptions
}

// LookAtRename reads the repository and asks every cluster of its federation what it has
// under the name that the federation had before. It writes nothing.
func LookAtRename(ctx context.Context, cfg *config.Config, o Options, former string) (*Rename, error) {
	src, err := wire.NewSource(cfg, secret.New(), zap.NewNop())
	if err != nil {
		return nil, err
	}
	snapshot, err := src.Snapshot(ctx, cfg.Revision)
	if err != nil {
		return nil, err
	}
	f, err := render.Load(snapshot)
	if err != nil {
		return nil, err
	}
	if f.Name == former {
		return nil, fmt.Errorf("%s is the federation's name in %s, and not one that it had before", former, snapshot.Revision)
	}
	kube, err := config.NewKubeconfig(cfg, o.Log)
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
		client, err := wire.NewClient(cfg, kube, c.Context, o.Version, o.Log)
		if err != nil {
			r.options.Errors[c.Name] = err
			continue
		}
		r.options.Clients[c.Name], r.options.Mappers[c.Name] = client.Dynamic, client.Kinds
	}
	r.Clusters = takeover.LookBefore(ctx, r.options)
	return r, ctx.Err()
}

// Move makes what was found that of the federation's name now; see takeover.Rename.
func (r *Rename) Move(ctx context.Context, force bool) ([]takeover.Moved, error) {
	return takeover.Rename(ctx, r.options, r.Clusters, force)
}

// takeoverOf asks some clusters of a federation to which source they belong.
func takeoverOf(ctx context.Context, cfg *config.Config, o Options, src *source.Source, at federation.Revision, f *federation.Federation, clusters []federation.Cluster) (*Takeover, error) {
	kube, err := config.NewKubeconfig(cfg, o.Log)
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
		client, err := wire.NewClient(cfg, kube, c.Context, o.Version, o.Log)
		if err != nil {
			t.options.Errors[c.Name] = err
			continue
		}
		t.options.Clients[c.Name] = client.Dynamic
	}
	t.Clusters = takeover.Look(ctx, t.options)
	return t, ctx.Err()
}

// judgeSource says which clusters belong to another source: a daemon with these settings
// writes nothing there, and a single look has no claim of its own to meet theirs.
func (e *Examination) judgeSource(ctx context.Context, cfg *config.Config, d *Daemon) {
	var answer []federation.Cluster
	for _, c := range e.Federation.Clusters {
		if e.Comparison.Facts.Clusters[c.Name].State == federation.ClusterReady {
			answer = append(answer, c)
		}
	}
	t, err := takeoverOf(ctx, cfg, d.options, d.source, e.Snapshot.Revision, e.Federation, answer)
	if err != nil {
		return // whoever asked gave up, or the kubeconfig went, which is told
	}
	var theirs []string
	for _, c := range t.Clusters {
		if c.Err == nil && c.Claim.OfAnother(t.Source) && !slices.Contains(t.options.Owner.FormerSources, c.Claim.Source) {
			theirs = append(theirs, c.Name)
		}
	}
	if len(theirs) == 0 {
		return
	}
	e.find(federation.Finding{
		ID: federation.FindingOwned, Severity: federation.SeverityWarning,
		Message: untrusted.Textf("another source (repository, ref and federation) than %s keeps %s: a fedsync with these settings writes nothing there", t.Repository, untrusted.Some(theirs, 5)),
		Remedy:  untrusted.Const("in a clone, give --repo and --revision as the daemon has them; where the repository moved, see fedsync takeover"),
	})
}

// Move moves what was found of another source to this one; see takeover.Move.
func (t *Takeover) Move(ctx context.Context, force bool) ([]takeover.Moved, error) {
	return takeover.Move(ctx, t.options, t.Clusters, force)
}
