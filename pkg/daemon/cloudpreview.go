package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// CloudPreview is what Compute Engine has, what it should have, and what would be done
// there.
type CloudPreview struct {
	Wanted   gcp.Wanted
	Observed gcp.Observed // with the errors of what could not be read
	Planned  gcp.Planned
}

// SourceDigest returns what tells the source of the settings from any other: names and
// marks on Compute Engine hold it.
func SourceDigest(cfg *Config, federation string) (string, error) {
	src, err := newSource(cfg, zap.NewNop())
	if err != nil {
		return "", err
	}
	digest, _ := sourceDigests(src, cfg.Revision, federation)
	return digest, nil
}

// PreviewCloud looks at Compute Engine once and changes nothing. Of the input, the
// federation, the source, the plan and the facts are needed; its GCP is not nil. Without
// usable credentials it is an error, which holds no secret.
func PreviewCloud(ctx context.Context, cfg *Config, in gcp.Input, log *zap.Logger) (*CloudPreview, error) {
	cloud, err := gcp.NewCompute(ctx, gcp.Options{
		Project: in.Federation.GCP.Project, Endpoint: cfg.GCPEndpoint, QPS: cfg.GCPRate,
		UserAgent: "fedsync", Log: log,
	})
	if err != nil {
		return nil, err
	}
	in.Now = time.Now()
	p := &CloudPreview{}
	p.Wanted, p.Observed, p.Planned = gcp.Preview(ctx, cloud, in)
	return p, ctx.Err()
}
