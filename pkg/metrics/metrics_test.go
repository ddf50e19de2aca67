package metrics

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/post"
)

const (
	newest  = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	earlier = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c"
)

func recorded(t *testing.T) (*prometheus.Registry, *Metrics) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m, err := New(reg, "v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	m.Sync(time.Unix(1000, 0), nil)
	m.Sync(time.Unix(2000, 500e6), errors.New("one cluster failed"))
	m.Stage(StageRender, 20*time.Millisecond)
	m.Stage(StageApply, 3*time.Second)
	m.Changes([]federation.Change{
		{Cluster: "a", Action: federation.ActionCreated},
		{Cluster: "a", Action: federation.ActionUnchanged},
		{Cluster: "b", Action: federation.ActionConfigured, Drift: untrusted.New("spec.replicas by kubectl-edit")},
		{Cluster: "b", Action: federation.ActionFailed, Drift: untrusted.New("spec.ports by kubectl-edit"), Err: errors.New("conflict")},
	})
	m.CommitStatusPost("gitea", post.Posted)
	m.CommitStatusPost("gitea", post.Retry)
	m.Report(&status.Report{
		Revision: federation.Revision{Ref: "main", SHA: newest},
		State:    status.Failure,
		Clusters: []status.Cluster{
			{Name: "a", State: federation.ClusterReady},
			{Name: "b", State: federation.ClusterOffline},
		},
		Findings: []federation.Finding{{ID: "D11", Severity: federation.SeverityError}, {ID: "held", Severity: federation.SeverityNote}},
		Replicas: []federation.ReplicasDecision{{Total: 26, Shortfall: 2}, {Total: 3}},
		Balancers: []status.Balancer{{Balancer: federation.Balancer{
			Ingress:  federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"},
			Clusters: []federation.BalancerCluster{{Cluster: "a", State: federation.TrafficServing, Endpoints: 6, Healthy: 4}},
		}}},
		Cloud: &status.Cloud{Project: "p", Calls: 12},
	})
	m.Connections(4)
	m.ShedOfAddress()
	m.AnswerBytes(1000)
	return reg, m
}

func TestMetricsCountWhatHappened(t *testing.T) {
	reg, _ := recorded(t)
	got := scrape(t, reg)
	for _, want := range []string{
		`fedsync_syncs_total{result="success"} 1`,
		`fedsync_syncs_total{result="failure"} 1`,
		`fedsync_last_sync_timestamp_seconds 2000.5`,
		`fedsync_last_successful_sync_timestamp_seconds 1000`,
		`fedsync_stage_duration_seconds_count{stage="apply"} 1`,
		`fedsync_stage_duration_seconds_bucket{stage="render",le="0.025"} 1`,
		`fedsync_objects_total{action="created",cluster="a"} 1`,
		`fedsync_objects_total{action="configured",cluster="b"} 1`,
		`fedsync_objects_total{action="failed",cluster="b"} 1`,
		`fedsync_drift_repairs_total{cluster="b"} 1`,
		`fedsync_commit_status_posts_total{provider="gitea",result="posted"} 1`,
		`fedsync_commit_status_posts_total{provider="gitea",result="retry"} 1`,
		`fedsync_cluster_state{cluster="a",state="Ready"} 1`,
		`fedsync_cluster_state{cluster="a",state="Offline"} 0`,
		`fedsync_cluster_state{cluster="b",state="Offline"} 1`,
		`fedsync_report_state{state="failure"} 1`,
		`fedsync_report_state{state="success"} 0`,
		`fedsync_findings{severity="error"} 1`,
		`fedsync_findings{severity="warning"} 0`,
		`fedsync_findings_by_id{id="D11"} 1`,
		`fedsync_findings_by_id{id="held"} 1`,
		`fedsync_replicas_wanted 29`,
		`fedsync_replicas_shortfall 2`,
		`fedsync_balancer_endpoints{cluster="a",ingress="default/nginx",state="healthy"} 4`,
		`fedsync_balancer_endpoints{cluster="a",ingress="default/nginx",state="unhealthy"} 2`,
		`fedsync_gcp_calls_per_minute 12`,
		`fedsync_revision_info{revision="` + newest + `"} 1`,
		`fedsync_http_connections 4`,
		`fedsync_http_connections_shed_total{limit="address"} 1`,
		`fedsync_http_connections_shed_total{limit="total"} 0`,
		`fedsync_http_answer_bytes 1000`,
		`fedsync_build_info{goversion="go`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "unchanged") {
		t.Error("unchanged objects were counted")
	}
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	reg, _ := recorded(t)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "fedsync_") {
			t.Errorf("%s does not start with fedsync_", f.GetName())
		}
	}
}

func TestSeriesOfAClusterThatLeftAreDropped(t *testing.T) {
	reg, m := recorded(t)
	m.Report(&status.Report{
		Revision: federation.Revision{SHA: earlier},
		Clusters: []status.Cluster{{Name: "a", State: federation.ClusterReady}},
	})
	// A worker that was still busy when its cluster left.
	m.Changes([]federation.Change{{Cluster: "b", Action: federation.ActionPruned, Drift: untrusted.New("x")}})
	m.Report(&status.Report{Clusters: []status.Cluster{{Name: "a", State: federation.ClusterReady}}})
	got := scrape(t, reg)
	if strings.Contains(got, "fedsync_balancer_endpoints{") {
		t.Errorf("the series of a deleted load balancer remain:\n%s", got)
	}
	if strings.Contains(got, `cluster="b"`) || strings.Contains(got, newest) || strings.Contains(got, earlier) {
		t.Errorf("series of removed objects remain:\n%s", got)
	}
	if !strings.Contains(got, `fedsync_objects_total{action="created",cluster="a"} 1`) {
		t.Errorf("the remaining cluster lost its count:\n%s", got)
	}
}

func TestFindingsThatEndedCountZero(t *testing.T) {
	reg, m := recorded(t)
	m.Report(&status.Report{Findings: []federation.Finding{{ID: "held"}, {ID: "held", Cluster: "a"}}})
	got := scrape(t, reg)
	for _, want := range []string{
		`fedsync_findings_by_id{id="D11"} 0`, `fedsync_findings_by_id{id="held"} 2`, "fedsync_replicas_shortfall 0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

func TestABrokenNameDoesNotFailTheScrape(t *testing.T) {
	reg, m := recorded(t)
	m.Report(&status.Report{Clusters: []status.Cluster{{Name: "a\xff"}}})
	if got := scrape(t, reg); !strings.Contains(got, "cluster=\"a\uFFFD\"") {
		t.Errorf("the cluster is missing in\n%s", got)
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	reg, _ := recorded(t)
	if _, err := New(reg, "v1"); err == nil {
		t.Error("a second registration = nil, want an error")
	}
}

func scrape(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}
