package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
)

// Compare reads what every cluster runs and what an apply would change there, and changes
// nothing. It waits for each cluster's answer, within the timeout. It fails only if no
// cluster at all could be read.
func Compare(ctx context.Context, cfg *config.Config, timeout time.Duration, log *zap.Logger) (*preview.Comparison, error) {
	d, err := newParts(cfg, Options{Log: log})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	snapshot, err := d.source.Snapshot(ctx, cfg.Revision)
	if err != nil {
		return nil, err
	}
	f, err := render.Load(snapshot)
	if err != nil {
		return nil, err
	}
	c, err := d.compare(ctx, snapshot, timeout)
	if err != nil {
		return nil, err
	}
	c.Uncommitted = preview.UncommittedFiles(d.source, f)
	return c, nil
}

// compare is Compare for a snapshot. With preview.ErrNoAnswer, it also returns what is known.
func (d *Daemon) compare(ctx context.Context, snapshot federation.Snapshot, timeout time.Duration) (*preview.Comparison, error) {
	d.events.put(source.Event{Snapshot: &snapshot})
	loopCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := newLoop(d, true)
	l.onReport = func(*status.Report) {
		if l.live != nil && l.members.compared() {
			cancel()
		}
	}
	l.run(loopCtx)
	l.members.wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	report := d.reports.Newest()
	if report == nil || l.live == nil {
		return nil, fmt.Errorf("nothing could be read within %s", timeout)
	}
	if l.readCloudOnce(ctx, timeout); l.cloud.project != "" {
		r := l.report()
		report = &r
	}
	c := &preview.Comparison{
		Report:      report,
		Facts:       l.members.facts,
		Plan:        l.live.plan,
		Differences: map[string][]apply.Difference{},
		Findings:    slices.Concat(l.live.findings(), l.members.findings, l.findings()),
	}
	for _, name := range slices.Sorted(maps.Keys(l.members.outcomes)) {
		c.Findings = append(c.Findings, l.members.outcomes[name].Findings...)
	}
	c.Findings = secret.Value(d.secrets, federation.ShortFindings(c.Findings))
	for name, o := range l.members.seen {
		if o.Compared {
			c.Differences[name] = o.Differences
		}
	}
	return c, l.members.silence()
}

// silence returns preview.ErrNoAnswer with the reasons if read saw no member that
// answers.
func (ms *members) silence() error {
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(ms.seen)) {
		facts := ms.seen[name].Facts
		switch {
		case facts.Synced || facts.State == federation.ClusterReady:
			return nil
		case !facts.Error.IsZero():
			reasons = append(reasons, fmt.Sprintf("%s: %s", name, facts.Error))
		default:
			reasons = append(reasons, fmt.Sprintf("%s: %s", name, facts.State))
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", preview.ErrNoAnswer, strings.Join(reasons, "; "))
}
