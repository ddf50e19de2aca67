package metrics

import (
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/post"
)

// Stage names a stage of the flow in the metrics.
type Stage string

// The stages that take time.
const (
	StageSource   Stage = "source"   // one revision, from the poll that found it
	StageRender   Stage = "render"   // all clusters
	StageSchedule Stage = "schedule" // one plan
	StageApply    Stage = "apply"    // one cluster
	StageStatus   Stage = "status"   // one report
)

// stageBuckets range from a schedule (milliseconds) to an apply in a large, slow cluster,
// in seconds.
var stageBuckets = []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}

// Metrics are fedsync's metrics, with the prefix fedsync_. All methods are safe for
// concurrent use.
type Metrics struct {
	syncs        *prometheus.CounterVec
	stages       *prometheus.HistogramVec
	objects      *prometheus.CounterVec
	drift        *prometheus.CounterVec
	posts        *prometheus.CounterVec
	clusterState *prometheus.GaugeVec
	reportState  *prometheus.GaugeVec
	findings     *prometheus.GaugeVec
	findingIDs   *prometheus.GaugeVec
	shortfall    prometheus.Gauge
	wanted       prometheus.Gauge
	balancers    *prometheus.GaugeVec
	calls        prometheus.Gauge
	revision     *prometheus.GaugeVec
	lastSync     prometheus.Gauge
	lastGoodSync prometheus.Gauge
	connections  prometheus.Gauge
	shed         *prometheus.CounterVec
	answers      prometheus.Gauge
	mu           sync.Mutex      // protects clusters, and the series of clusters against each other
	clusters     map[string]bool // clusters that have series
	behind       map[behind]bool // load balancers and clusters that have series; protected by mu
	ids          map[string]bool // finding ids that have series; protected by mu
	revisionSHA  string          // the revision that has the only series; protected by mu
}

// behind is a cluster behind the load balancer of an Ingress, as in the labels.
type behind struct{ ingress, cluster string }

// New registers the metrics. It fails if the registry has others of the same names.
func New(reg prometheus.Registerer, version string) (*Metrics, error) {
	m := &Metrics{
		clusters: map[string]bool{},
		behind:   map[behind]bool{},
		ids:      map[string]bool{},
		syncs: counters("syncs_total",
			"Syncs that ended, by result.", "result"),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "fedsync", Name: "stage_duration_seconds",
			Help: "How long a stage took; apply is measured per cluster.", Buckets: stageBuckets,
		}, []string{"stage"}),
		objects: counters("objects_total",
			"Objects that were written to a cluster or failed to be, by action.", "cluster", "action"),
		drift: counters("drift_repairs_total",
			"Objects that another client had changed and that were corrected.", "cluster"),
		posts: counters("commit_status_posts_total",
			"Commit statuses that were sent to a provider, by result.", "provider", "result"),
		clusterState: gauges("cluster_state",
			"1 for the current state of a member cluster, 0 for the other states.", "cluster", "state"),
		reportState: gauges("report_state",
			"1 for the state of the newest report, 0 for the other states.", "state"),
		findings: gauges("findings",
			"Findings of the newest report, by severity.", "severity"),
		findingIDs: gauges("findings_by_id",
			"Findings of the newest report, by id.", "id"),
		wanted: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fedsync", Name: "replicas_wanted",
			Help: "Replicas in Git, over all clusters, of the workloads that fedsync divides.",
		}),
		shortfall: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fedsync", Name: "replicas_shortfall",
			Help: "Replicas of these workloads that no cluster has room for.",
		}),
		balancers: gauges("balancer_endpoints",
			"Endpoints of a cluster behind the load balancer of an Ingress, by state.", "ingress", "cluster", "state"),
		calls: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fedsync", Name: "gcp_calls_per_minute",
			Help: "Calls to Compute Engine in the minute before the newest report.",
		}),
		revision: gauges("revision_info",
			"1 for the revision that is being synced to the clusters.", "revision"),
		lastSync: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fedsync", Name: "last_sync_timestamp_seconds",
			Help: "When the last sync ended, whatever its result.",
		}),
		lastGoodSync: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fedsync", Name: "last_successful_sync_timestamp_seconds",
			Help: "When the last sync without an error ended; 0 before the first.",
		}),
	}
	m.countListener()
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "fedsync", Name: "build_info",
		Help:        "1, with the versions of fedsync and of the Go toolchain that built it.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })

	for _, c := range []prometheus.Collector{
		m.syncs, m.stages, m.objects, m.drift, m.posts, m.clusterState, m.reportState,
		m.findings, m.findingIDs, m.wanted, m.shortfall, m.balancers, m.calls, m.revision, m.lastSync, m.lastGoodSync,
		m.connections, m.shed, m.answers, build,
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	// A rate over a series that appears with its first failure misses that failure.
	for _, result := range []string{resultSuccess, resultFailure} {
		m.syncs.WithLabelValues(result)
	}
	for _, limit := range []string{shedAddress, shedTotal} {
		m.shed.WithLabelValues(limit)
	}
	return m, nil
}

// countListener creates the metrics of the server's connections.
func (m *Metrics) countListener() {
	m.connections = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "fedsync", Name: "http_connections",
		Help: "Open connections to the page, the API, the webhook and the metrics.",
	})
	m.shed = counters("http_connections_shed_total",
		"Connections that were closed in favour of newer ones, by the limit that was reached.", "limit")
	m.answers = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "fedsync", Name: "http_answer_bytes",
		Help: "Bytes of pages and reports in memory for the clients that read them.",
	})
}

// The limits on connections, as label values.
const (
	shedAddress = "address"
	shedTotal   = "total"
)

// Connections sets how many connections are open.
func (m *Metrics) Connections(open int) { m.connections.Set(float64(open)) }

// ShedOfAddress counts a connection that was closed in favour of a newer one from the
// same address.
func (m *Metrics) ShedOfAddress() { m.shed.WithLabelValues(shedAddress).Inc() }

// ShedOfAll counts a connection that was closed in favour of a newer one from any
// address.
func (m *Metrics) ShedOfAll() { m.shed.WithLabelValues(shedTotal).Inc() }

// AnswerBytes sets how many bytes of pages and reports are in memory for their readers.
func (m *Metrics) AnswerBytes(kept int) { m.answers.Set(float64(kept)) }

const (
	resultSuccess = "success"
	resultFailure = "failure"
)

// Sync counts a sync that ended, with its error or nil.
func (m *Metrics) Sync(ended time.Time, err error) {
	m.syncs.WithLabelValues(result(err)).Inc()
	seconds := float64(ended.UnixMilli()) / 1000
	m.lastSync.Set(seconds)
	if err == nil {
		m.lastGoodSync.Set(seconds)
	}
}

// Stage records how long a stage took.
func (m *Metrics) Stage(s Stage, took time.Duration) {
	m.stages.WithLabelValues(string(s)).Observe(took.Seconds())
}

// Changes counts the changes of an apply. An unchanged object does not count.
func (m *Metrics) Changes(changes []federation.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if c.Action == federation.ActionUnchanged {
			continue
		}
		name := label(c.Cluster)
		m.clusters[name] = true
		m.objects.WithLabelValues(name, string(c.Action)).Inc()
		if !c.Drift.IsZero() && c.Action != federation.ActionFailed {
			m.drift.WithLabelValues(name).Inc()
		}
	}
}

// CommitStatusPost counts a commit status that was sent, by result. The provider is a
// kind, as "gitea".
func (m *Metrics) CommitStatusPost(provider string, result post.Result) {
	m.posts.WithLabelValues(label(provider), string(result)).Inc()
}

// Report sets the values of the newest report, and drops the series of clusters that it
// no longer has.
func (m *Metrics) Report(r *status.Report) {
	m.mu.Lock()
	defer m.mu.Unlock()

	gone := m.clusters
	m.clusters = map[string]bool{}
	for _, c := range r.Clusters {
		name := label(c.Name)
		m.clusters[name] = true
		delete(gone, name)
		for _, s := range clusterStates {
			m.clusterState.WithLabelValues(name, string(s)).Set(oneIf(c.State == s))
		}
	}
	for name := range gone {
		of := prometheus.Labels{"cluster": name}
		m.clusterState.DeletePartialMatch(of)
		m.objects.DeletePartialMatch(of)
		m.drift.DeletePartialMatch(of)
	}

	for _, s := range []status.State{status.Pending, status.Success, status.Failure} {
		m.reportState.WithLabelValues(string(s)).Set(oneIf(r.State == s))
	}
	counts, byID := map[federation.Severity]int{}, map[string]int{}
	for _, f := range r.Findings {
		counts[f.Severity] += f.Stands()
		byID[label(f.ID)] += f.Stands()
	}
	m.findings.WithLabelValues("error").Set(float64(counts[federation.SeverityError]))
	m.findings.WithLabelValues("warning").Set(float64(counts[federation.SeverityWarning]))
	m.findings.WithLabelValues("note").Set(float64(counts[federation.SeverityNote]))

	m.countIDs(byID)

	m.countEndpoints(r)

	var wanted, shortfall int64
	for _, d := range r.Replicas {
		wanted, shortfall = wanted+d.Total, shortfall+d.Shortfall
	}
	m.wanted.Set(float64(wanted))
	m.shortfall.Set(float64(shortfall))

	if sha := label(r.Revision.SHA); sha != m.revisionSHA {
		m.revision.Reset()
		m.revisionSHA = sha
		if sha != "" {
			m.revision.WithLabelValues(sha).Set(1)
		}
	}
}

// countIDs sets the series of findings that have ended to 0, so that an alert sees their
// end. There are at most as many series as the program has kinds of findings.
func (m *Metrics) countIDs(counts map[string]int) {
	for id := range counts {
		m.ids[id] = true
	}
	for id := range m.ids {
		m.findingIDs.WithLabelValues(id).Set(float64(counts[id]))
	}
}

// countEndpoints sets the series of the existing load balancers, and drops all others.
func (m *Metrics) countEndpoints(r *status.Report) {
	gone := m.behind
	m.behind = map[behind]bool{}
	for _, b := range r.Balancers {
		ingress := label(b.Ingress.Namespace + "/" + b.Ingress.Name)
		for _, c := range b.Clusters {
			of := behind{ingress, label(c.Cluster)}
			m.behind[of] = true
			delete(gone, of)
			m.balancers.WithLabelValues(of.ingress, of.cluster, "healthy").Set(float64(c.Healthy))
			m.balancers.WithLabelValues(of.ingress, of.cluster, "unhealthy").Set(float64(c.Endpoints - c.Healthy))
		}
	}
	for of := range gone {
		m.balancers.DeletePartialMatch(prometheus.Labels{"ingress": of.ingress, "cluster": of.cluster})
	}
	calls := 0
	if r.Cloud != nil {
		calls = r.Cloud.Calls
	}
	m.calls.Set(float64(calls))
}

// clusterStates are all states, so that each has a series.
var clusterStates = []federation.ClusterState{
	federation.ClusterPending, federation.ClusterReady, federation.ClusterNotReady,
	federation.ClusterOffline, federation.ClusterUnknown,
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "fedsync", Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "fedsync", Name: name, Help: help}, labels)
}

func result(err error) string {
	if err != nil {
		return resultFailure
	}
	return resultSuccess
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// label makes a text valid as a label value: one that is not UTF-8 would fail the whole
// scrape.
func label(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
