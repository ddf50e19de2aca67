package status_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

func ref(kind, name string) federation.ObjectRef {
	return federation.ObjectRef{Kind: kind, Namespace: "shop", Name: name}
}

// failing returns a report of everything that details show.
func failing() status.Report {
	held := func(cluster string) federation.Finding {
		return federation.Finding{
			ID: "D11b", Severity: federation.SeverityError, Cluster: cluster, Object: ref("Service", "nginx"), File: "apps/nginx/service.yaml", Line: 9,
			Message: untrusted.Const("node port 30036 is held by legacy/old"), Remedy: untrusted.Const("choose another"),
		}
	}
	return status.Report{
		Federation: "web", State: status.Failure, Description: untrusted.Const("2/4 failed: eu, us Service/nginx node port 30036 is held by legacy/old"),
		Addresses: []status.Address{{Address: "203.0.113.10", Object: ref("Ingress", "nginx"), Clusters: []string{"asia", "eu"}}},
		Clusters: []status.Cluster{
			{Name: "asia", State: federation.ClusterReady, Outcome: status.Success, Ready: 2, Desired: 2},
			{Name: "spare", State: federation.ClusterReady},
			{Name: "eu", State: federation.ClusterReady, Outcome: status.Failure, Reason: untrusted.Const("Service/nginx held"), Ready: 1, Desired: 2},
			{Name: "us", State: federation.ClusterReady, Outcome: status.Failure, Reason: untrusted.Const("Service/nginx held")},
			{Name: "south", State: federation.ClusterNotReady, Outcome: status.Pending, Reason: untrusted.Const("not synced yet")},
		},
		Findings: []federation.Finding{
			held("eu"), held("us"),
			{ID: "D07", Severity: federation.SeverityWarning, File: "apps/nginx/ingress.yaml", Line: 3, Message: untrusted.New("hello @everyone, see #1 <b>`|`</b> https://evil.example")},
			{ID: "render", Severity: federation.SeverityError, File: "apps/nginx/replicaset.yaml", Line: 7, Message: untrusted.Const(`unknown field "spec.replcas"`)},
			{ID: "D01", Severity: federation.SeverityNote, Message: untrusted.Const("of no file")},
		},
		Ports: []federation.PortDecision{
			{Service: ref("Service", "nginx"), Protocol: "TCP", Port: 80, NodePort: 30036, Basis: "explicit", Reason: "set in Git"},
			{Service: ref("Service", "wait"), Protocol: "TCP", Port: 80, Reason: "waits for south"},
		},
		Replicas: []federation.ReplicasDecision{{
			Object: ref("ReplicaSet", "nginx"), Total: 9, Shortfall: 1,
			Shares: []federation.ReplicasShare{{Cluster: "asia", Share: 2}, {Cluster: "eu", Share: 3}, {Cluster: "us", Share: 3}},
		}},
	}
}

func TestDetails(t *testing.T) {
	got := status.DetailsOf(failing())
	file := filepath.Join("testdata", "details.md")
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got.Summary); diff != "" {
		t.Errorf("the summary differs from %s (-want +got):\n%s", file, diff)
	}
	remarks := []status.Annotation{
		{File: "apps/nginx/service.yaml", Line: 9, Level: status.LevelError, Title: "D11b Service/shop/nginx", Message: "eu, us: node port 30036 is held by legacy/old\nchoose another"},
		{File: "apps/nginx/replicaset.yaml", Line: 7, Level: status.LevelError, Title: "render", Message: `unknown field "spec.replcas"`},
		{File: "apps/nginx/ingress.yaml", Line: 3, Level: status.LevelWarning, Title: "D07", Message: failing().Findings[2].Message.String()},
	}
	if diff := gocmp.Diff(remarks, got.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestDetailsOfAnythingAreBounded(t *testing.T) {
	r := failing()
	for i := range 3000 {
		c := r.Clusters[2]
		c.Name = fmt.Sprintf("cluster-%d", i)
		r.Clusters = append(r.Clusters, c)
		f := r.Findings[0]
		f.Line, f.Cluster = i, c.Name
		r.Findings = append(r.Findings, f)
	}
	got := status.DetailsOf(r)
	if len(got.Summary) > status.SummaryBytes || !strings.Contains(got.Summary, " more_") {
		t.Errorf("a summary of %d bytes, want at most %d and the number of omitted lines", len(got.Summary), status.SummaryBytes)
	}
	if !slices.IsSortedFunc(got.Annotations, func(a, b status.Annotation) int { return strings.Compare(string(a.Level), string(b.Level)) }) {
		t.Error("annotations are not sorted by their level") // error < warning
	}
}
