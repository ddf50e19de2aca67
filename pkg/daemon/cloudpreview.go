package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce"
	"github.com/fedsync/fedsync/pkg/gcp/keeper"
	"github.com/fedsync/fedsync/pkg/gcp/traffic"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/wire"
)

// CloudPreview is what Compute Engine has, what it should have, and the calls in between.
type CloudPreview struct {
	Wanted   gcp.Wanted
	Observed gcp.Observed // includes the errors of failed reads
	Planned  gcp.Planned
}

// SourceDigest returns the digest that identifies the source of the settings. It is part
// of names and marks on Compute Engine.
func SourceDigest(cfg *config.Config, federation string) (string, error) {
	src, err := wire.NewSource(cfg, secret.New(), zap.NewNop())
	if err != nil {
		return "", err
	}
	digest, _ := identity.Of(src, cfg.Revision, federation)
	return digest, nil
}

// PreviewCloud reads Compute Engine once and changes nothing. It needs the input's
// federation, source, plan and facts; the federation's GCP must not be nil. It fails without
// usable credentials. Its error contains no secret.
func PreviewCloud(ctx context.Context, cfg *config.Config, in gcp.Input, log *zap.Logger) (*CloudPreview, error) {
	cloud, err := gce.New(ctx, gce.Options{
		Project: in.Federation.GCP.Project, Endpoint: cfg.GCPEndpoint, QPS: cfg.GCPRate,
		UserAgent: "fedsync", Log: log,
	})
	if err != nil {
		return nil, err
	}
	p := previewCloud(ctx, cloud, in)
	return &p, ctx.Err()
}

func previewCloud(ctx context.Context, cloud gcp.Cloud, in gcp.Input) CloudPreview {
	in.Now = time.Now()
	var p CloudPreview
	p.Wanted, p.Observed, p.Planned = keeper.Preview(ctx, cloud, in)
	return p
}

// readCloudOnce reads Compute Engine for a loop that has read everything else and has
// ended, within the timeout. Later reports of the loop include the result.
func (l *loop) readCloudOnce(ctx context.Context, timeout time.Duration) {
	f := l.live.federation
	if !f.Balances() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	source, _ := identity.Of(l.source, l.cfg.Revision, f.Name)
	in := gcp.Input{Federation: f, Source: source, Plan: l.live.plan, Facts: l.members.facts}
	cloud := l.cloud.newCloud(f.GCP.Project)
	p := previewCloud(ctx, cloud, in)
	p.Observed.Health = keeper.AskHealth(ctx, cloud, p.Wanted, p.Observed)
	state := keeper.State{
		Looked: p.Observed.At, Revision: l.live.plan.Revision, Error: untrusted.Excerpt(readErrors(p.Observed, timeout)),
		Findings: slices.Concat(p.Wanted.Findings, p.Planned.Findings, keeper.Survey(ctx, cloud, in, p.Planned)),
		Pending:  p.Planned.Actions, Settled: p.Planned.Settled,
	}
	if !p.Observed.At.IsZero() {
		state.Balancers = traffic.Of(in, p.Wanted, p.Observed, p.Planned)
	}
	l.cloud.project, l.cloud.seen = f.GCP.Project, state
	l.readCloud()
}

// readErrors returns what could not be read, in one line; empty if everything was read.
func readErrors(seen gcp.Observed, timeout time.Duration) string {
	if seen.At.IsZero() && len(seen.Errors) == 0 {
		return fmt.Sprintf("no answer within %s", timeout)
	}
	return seen.Unread()
}
