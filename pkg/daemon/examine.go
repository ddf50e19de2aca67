package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/doctor"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/preview"
)

// Examine reads everything once for fedsync doctor, with the loop, as Compare does.
func Examine(ctx context.Context, cfg *config.Config, timeout time.Duration, log *zap.Logger) (*doctor.Examination, error) {
	secrets := secret.New()
	return doctor.Examine(ctx, cfg, doctor.Options{
		Timeout: timeout, Log: log, Secrets: secrets,
		Look: func(ctx context.Context, snapshot federation.Snapshot, timeout time.Duration) (*preview.Comparison, error) {
			d, err := newParts(cfg, Options{Log: log, secrets: secrets})
			if err != nil {
				return nil, err
			}
			defer d.Close()
			return d.compare(ctx, snapshot, timeout)
		},
	})
}
