package daemon

import (
	"context"
	"slices"

	"go.uber.org/zap"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/takeover"
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
func LookAtTakeover(ctx context.Context, cfg *Config, o Options) (*Takeover, error) {
	src, err := newSource(cfg, secret.New(), zap.NewNop())
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

// takeoverOf asks some clusters of a federation to which source they belong.
func takeoverOf(ctx context.Context, cfg *Config, o Options, src *source.Source, at federation.Revision, f *federation.Federation, clusters []federation.Cluster) (*Takeover, error) {
	kube, err := newKubeconfig(cfg, o.Log)
	if err != nil {
		return nil, err
	}
	t := &Takeover{Federation: f, Revision: at, Repository: src.String()}
	var former []string
	t.Source, former = sourceDigests(src, cfg.Revision, f.Name)
	t.options = takeover.Options{
		Owner:   inventory.Owner{Federation: f.Name, Source: t.Source, FormerSources: former},
		Clients: map[string]dynamic.Interface{}, Errors: map[string]error{}, Timeout: cfg.RequestTimeout,
	}
	for _, c := range clusters {
		client, err := takeoverClient(kube, c.Context, cfg, o)
		if err != nil {
			t.options.Errors[c.Name] = err
			continue
		}
		t.options.Clients[c.Name] = client
	}
	t.Clusters = takeover.Look(ctx, t.options)
	return t, ctx.Err()
}

// judgeSource says which clusters belong to another source: a daemon with these settings
// writes nothing there, and a single look has no claim of its own to meet theirs.
func (e *Examination) judgeSource(ctx context.Context, cfg *Config, d *Daemon) {
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
		ID: "owned", Severity: federation.SeverityWarning,
		Message: untrusted.Textf("another source (repository, ref and federation) than %s keeps %s: a fedsync with these settings writes nothing there", t.Repository, untrusted.Some(theirs, 5)),
		Remedy:  untrusted.Const("in a clone, give --repo and --revision as the daemon has them; where the repository moved, see fedsync takeover"),
	})
}

func takeoverClient(kube *kubeconfig, context string, cfg *Config, o Options) (dynamic.Interface, error) {
	conn, err := kube.Connection(context)
	if err != nil {
		return nil, err
	}
	client, err := member.NewClient(conn.REST, member.ClientOptions{Version: o.Version, Timeout: cfg.RequestTimeout, Log: o.Log})
	if err != nil {
		return nil, err
	}
	return client.Dynamic, nil
}

// Move moves what was found of another source to this one; see takeover.Move.
func (t *Takeover) Move(ctx context.Context, force bool) ([]takeover.Moved, error) {
	return takeover.Move(ctx, t.options, t.Clusters, force)
}
