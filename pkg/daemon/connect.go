package daemon

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/health"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/web"
)

// sessionOptions are the same for all sessions of a daemon.
type sessionOptions struct {
	readOnly bool
	source   string // digest of repository, ref and federation
	instance string
	version  string
	log      *zap.Logger // the applier names the cluster itself
	forms    *apply.Forms
	cfg      *Config
	metrics  *web.Metrics
}

// newSession makes a session of a connection. It asks the cluster nothing yet.
func newSession(w *worker, conn connection, o sessionOptions) (*session, error) {
	client, err := member.NewClient(conn.REST, member.ClientOptions{
		Version: o.version, Timeout: o.cfg.RequestTimeout, Log: w.log,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", w.cluster.Name, err)
	}
	s := &session{
		worker:   w,
		readOnly: o.readOnly,
		client:   client,
		metrics:  o.metrics,
		parents: health.Watch{
			Resource:      schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
			Namespace:     apply.Namespace,
			LabelSelector: apply.ParentSelector(w.federation),
		},
		listTimeout: o.cfg.RequestTimeout,
		replaced:    newBell(),
		drifted:     newBell(),
		looked:      newBell(),
		back:        newBell(),
		retry:       time.NewTimer(time.Hour),
		failed:      map[health.Watch]*health.WatchError{},
	}
	s.retry.Stop()
	s.applier = apply.New(apply.Options{
		Cluster:        w.cluster.Name,
		Federation:     w.federation,
		Source:         o.source,
		Instance:       o.instance,
		Version:        o.version,
		Client:         client.Dynamic,
		Mapper:         client.Kinds,
		Concurrency:    o.cfg.Concurrency,
		RequestTimeout: o.cfg.RequestTimeout,
		NodePorts:      w.nodePorts,
		Forms:          o.forms,
		Log:            o.log,
	})
	s.prober = health.NewProber(conn.REST, health.ProberOptions{
		Interval: o.cfg.ProbeInterval, Timeout: o.cfg.ProbeTimeout, Log: w.log,
	})
	s.watcher = health.NewWatcher(client.Dynamic, s.observe)
	s.collector = health.NewCollector(health.CollectorOptions{
		Label: apply.LabelPartOf,
		Ours:  s.ours,
		Changed: func() {
			s.looked.ring() // it may want other watches
			w.changed.ring()
		},
		ReplicaSet: health.ReplicaSets(client.Dynamic),
	})
	s.view = health.NewView(w.cluster.Name, s.appOf, w.changed.ring)
	return s, nil
}
