package daemon

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/health"
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
	cfg, connections := health.TrackConnections(conn.REST)
	cfg.QPS = -1 // the applier limits what is under way, and watches must not wait
	cfg.UserAgent = "fedsync/" + o.version
	cfg.WarningHandlerWithContext = warnings{w.log}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return plainWatches{next} })
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", w.cluster.Name, err)
	}
	mapper, err := newMapper(cfg, o.cfg.RequestTimeout)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", w.cluster.Name, err)
	}
	s := &session{
		worker:      w,
		readOnly:    o.readOnly,
		connections: connections,
		metrics:     o.metrics,
		parents: health.Watch{
			Resource:      schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
			Namespace:     apply.Namespace,
			LabelSelector: apply.ParentSelector(w.federation),
		},
		listTimeout: o.cfg.RequestTimeout,
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
		Client:         client,
		Mapper:         mapper,
		Concurrency:    o.cfg.Concurrency,
		RequestTimeout: o.cfg.RequestTimeout,
		NodePorts:      w.nodePorts,
		Forms:          o.forms,
		Log:            o.log,
	})
	s.prober = health.NewProber(conn.REST, health.ProberOptions{
		Interval: o.cfg.ProbeInterval, Timeout: o.cfg.ProbeTimeout, Log: w.log,
	})
	s.watcher = health.NewWatcher(client, s.observe)
	s.collector = health.NewCollector(health.CollectorOptions{
		Label: apply.LabelPartOf,
		Ours:  s.ours,
		Changed: func() {
			s.looked.ring() // it may want other watches
			w.changed.ring()
		},
		ReplicaSet: health.ReplicaSets(client),
	})
	s.view = health.NewView(w.cluster.Name, s.appOf, w.changed.ring)
	return s, nil
}

// newMapper knows a cluster's kinds: it asks once, and again when it is reset.
func newMapper(cfg *rest.Config, timeout time.Duration) (*restmapper.DeferredDiscoveryRESTMapper, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = timeout
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client)), nil
}

// warnings logs what an API server remarks on a request, a deprecated field say.
type warnings struct{ log *zap.Logger }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if code == 299 && text != "" { // the code that Kubernetes uses, of RFC 7234
		w.log.Debug("cluster warns", zap.String("warning", text))
	}
}
