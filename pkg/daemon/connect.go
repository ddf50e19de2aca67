package daemon

import (
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/metrics"
)

// newMember makes the member of a cluster. The member makes no request until it runs.
func (d *Daemon) newMember(f *federation.Federation, c federation.Cluster, readOnly bool) *member.Member {
	source, former := identity.Of(d.source, d.cfg.Revision, f.Name)
	o := member.Options{
		Cluster:       c,
		Federation:    f.Name,
		NodePorts:     f.NodePorts,
		ReadOnly:      readOnly,
		Source:        source,
		FormerSources: former,
		FollowsAs:     func(name, source string) bool { return identity.Owner(d.source, d.cfg.Revision, name).Follows(source) },
		Version:       d.options.Version,

		Connect: d.connect(readOnly),
		Changed: d.changed.Ring,
		Applied: func(took time.Duration) { d.metrics.Stage(metrics.StageApply, took) },
		Change:  func(c federation.Change) { d.metrics.Changes([]federation.Change{c}) },

		AdoptFrom:      d.cfg.AdoptFrom,
		Forms:          d.forms,
		Concurrency:    d.cfg.Concurrency,
		RequestTimeout: d.cfg.RequestTimeout,
		StatusDeadline: d.cfg.StatusDeadline,
		ProbeInterval:  d.cfg.ProbeInterval,
		ProbeTimeout:   d.cfg.ProbeTimeout,
		Log:            d.log.With(zap.String("cluster", c.Name)),
	}
	if d.claims != nil {
		o.Claim = d.claims.Claim
	}
	return member.New(o)
}

// connect returns the function by which a member gets its connection. Its errors reach
// the report. A command's report is for its caller and has all details. A daemon's report
// is public: the details are in the log, once per change.
func (d *Daemon) connect(readOnly bool) func(context string) (member.Connection, error) {
	if readOnly {
		return d.kubeconfig.Connection
	}
	return func(context string) (member.Connection, error) {
		conn, err := d.kubeconfig.Connection(context)
		if d.kubeconfig.IsNews(context, err) {
			d.log.Warn("kubeconfig has no usable connection to a cluster", zap.String("context", context), zap.Error(err))
		}
		if err != nil {
			err = config.Published(err)
		}
		return conn, err
	}
}
