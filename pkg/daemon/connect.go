package daemon

import (
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/web"
)

// newMember makes the member of a cluster. It asks the cluster nothing until it runs.
func (d *Daemon) newMember(f *federation.Federation, c federation.Cluster, readOnly bool) *member.Member {
	source, former := sourceDigests(d.source, d.cfg.Revision, f.Name)
	o := member.Options{
		Cluster:       c,
		Federation:    f.Name,
		NodePorts:     f.NodePorts,
		ReadOnly:      readOnly,
		Source:        source,
		FormerSources: former,
		FollowsAs:     func(name, source string) bool { return owner(d.source, d.cfg.Revision, name).Follows(source) },
		Version:       d.options.Version,

		Connect: d.connect(readOnly),
		Changed: d.changed.Ring,
		Applied: func(took time.Duration) { d.metrics.Stage(web.StageApply, took) },
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
