package preview

import (
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/schedule"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/worktree"
	"github.com/fedsync/fedsync/pkg/status/contexts"
	"github.com/fedsync/fedsync/pkg/wire"
)

// Rendering is what is known about a revision without querying any cluster.
type Rendering struct {
	Federation  *federation.Federation
	Snapshot    federation.Snapshot
	Plan        federation.Plan
	Findings    []federation.Finding
	Uncommitted Uncommitted
}

// Render reads and renders one revision, and schedules it by these facts. A cluster
// without facts is Ready and empty.
func Render(ctx context.Context, cfg *config.Config, facts federation.Facts) (*Rendering, error) {
	secrets := secret.New()
	src, snapshot, f, err := Read(ctx, cfg, secrets)
	if err != nil {
		return nil, err
	}
	r, err := Of(ctx, cfg, snapshot, f, facts)
	if err != nil {
		return nil, err
	}
	r.Uncommitted, r.Findings = UncommittedFiles(src, f), secret.Value(secrets, r.Findings)
	return r, nil
}

// Read reads the revision that the settings name, and its fedsync.yaml. It adds the
// credentials for the repository's server to secrets.
func Read(ctx context.Context, cfg *config.Config, secrets *secret.Set) (*source.Source, federation.Snapshot, *federation.Federation, error) {
	src, err := wire.NewSource(cfg, secrets, zap.NewNop())
	if err != nil {
		return nil, federation.Snapshot{}, nil, err
	}
	snapshot, err := src.Snapshot(ctx, cfg.Revision)
	if err != nil {
		return nil, federation.Snapshot{}, nil, err
	}
	f, err := render.Load(snapshot)
	return src, snapshot, f, err
}

// Of renders a snapshot and plans it.
func Of(ctx context.Context, cfg *config.Config, snapshot federation.Snapshot, f *federation.Federation, facts federation.Facts) (*Rendering, error) {
	renderer := wire.NewRenderer(cfg, zap.NewNop())
	defer renderer.Close()
	bundles, findings, err := Once(ctx, cfg, renderer.RenderInSteps, snapshot, f)
	if err != nil {
		return nil, err
	}
	plan := schedule.New().Plan(schedule.Input{
		Federation: f, Revision: snapshot.Revision, Bundles: bundles, Facts: facts, Policy: wire.Policy(cfg),
	})
	return &Rendering{Federation: f, Snapshot: snapshot, Plan: plan, Findings: slices.Concat(findings, plan.Findings)}, nil
}

// A RenderFunc turns files into objects: its input is a revision's tree and federation,
// and its output is the bundles of the clusters. It calls ready for each cluster as soon as
// the cluster's bundles are rendered. If an app takes long, it may call sofar with the
// bundles of all other apps first. It must return soon after ctx ends. Callers know nothing
// else about rendering, so that a process that can be killed may do it.
type RenderFunc func(ctx context.Context, snapshot federation.Snapshot, f *federation.Federation,
	ready func(federation.Cluster, []federation.Bundle), sofar func([]federation.Bundle, []federation.Finding)) ([]federation.Bundle, []federation.Finding)

// Once renders a complete snapshot. Its findings include what the operator does not allow
// in fedsync.yaml.
func Once(ctx context.Context, cfg *config.Config, with RenderFunc, snapshot federation.Snapshot, f *federation.Federation) ([]federation.Bundle, []federation.Finding, error) {
	bundles, findings := with(ctx, snapshot, f, nil, nil)
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return bundles, slices.Concat(contexts.Patterns(cfg.StatusContexts).Settle(f, snapshot.Files), findings), nil
}

// Refusal returns a finding for each mistake in fedsync.yaml.
func Refusal(snapshot federation.Snapshot, err error) []federation.Finding {
	if mistakes, ok := errors.AsType[fedfile.Errors](err); ok {
		return mistakes.Findings()
	}
	return []federation.Finding{{
		ID: federation.FindingFederation, Severity: federation.SeverityError, File: snapshot.FederationFile(),
		Message: untrusted.New(err.Error()), Remedy: untrusted.Const("correct " + federation.FileName + "; until then the previous revision stays in use"),
	}}
}

// Uncommitted is the uncommitted changes in a work tree.
type Uncommitted struct {
	Files   []string // files that the federation reads and whose changes are not in the revision
	Unknown string   // why they are not known; empty if they are
}

// UncommittedFiles compares a work tree with its commit. It only serves to remind users who
// forgot to commit, so it returns no error if it fails, as in a sparse checkout.
func UncommittedFiles(src *source.Source, f *federation.Federation) Uncommitted {
	path, local := src.LocalPath()
	if !local {
		return Uncommitted{}
	}
	under := []string{f.File()}
	for _, app := range f.Apps {
		under = append(under, app.Path)
	}
	files, err := worktree.Uncommitted(path, under)
	if err != nil {
		return Uncommitted{Unknown: untrusted.Line(err.Error())}
	}
	return Uncommitted{Files: files}
}
