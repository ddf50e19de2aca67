package fedfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

var update = flag.Bool("update", false, "rewrite what the cases in testdata want")

func TestParseNamesEveryMistakeWithItsLine(t *testing.T) {
	files, err := filepath.Glob("testdata/parse/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "fedsync.yaml" })
			w := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
			if i < 0 || w < 0 {
				t.Fatal("a case has the files fedsync.yaml and want")
			}
			_, err = fedfile.Parse("", archive.Files[i].Data)
			var found fedfile.Errors
			if !errors.As(err, &found) {
				t.Fatalf("Parse = %v, want Errors", err)
			}
			got := err.Error() + "\n"
			if *update {
				archive.Files[w].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(archive.Files[w].Data), got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
			if findings := found.Findings(); len(findings) != len(found) || findings[0].File != "fedsync.yaml" || findings[0].Severity != federation.SeverityError {
				t.Errorf("Findings = %v, want one error for each mistake", findings)
			}
		})
	}
}

func TestParseFillsInTheDefaults(t *testing.T) {
	got, err := fedfile.Parse("", []byte(`
apiVersion: fedsync.dev/v1alpha1
kind: Federation
metadata: {name: web}
spec:
  clusters: [{name: a}]
  apps: [{name: echo, path: apps/echo}]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &federation.Federation{
		Name:     "web",
		Clusters: []federation.Cluster{{Name: "a", Context: "a", Weight: 100}},
		Apps: []federation.App{{
			Name: "echo", Path: "apps/echo",
			Adoption: federation.AdoptAlways, Prune: true, PruneLimit: federation.PruneLimit{Percent: 10},
		}},
		CreateNamespaces: true,
		NodePorts:        federation.PortRange{First: 30000, Last: 32767},
		Failover:         federation.Failover{Mode: "Automatic"},
		CommitStatus:     federation.CommitStatus{Context: "fedsync/web"},
		OnRemove:         federation.OnRemoveOrphan,
	}
	if diff := cmp.Diff(want, got, selectors); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestParseReadsEveryField(t *testing.T) {
	got, err := fedfile.Parse("", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	want := &federation.Federation{
		Name:        "web",
		Annotations: map[string]string{"fedsync.dev/prune": "Allowed"},
		Clusters: []federation.Cluster{
			{Name: "asia", Context: "gke_p_asia_one", Labels: map[string]string{"environment": "prod"}, Weight: 50, Zone: "asia-east1-a"},
			{Name: "europe", Context: "europe", Lost: true, Drain: true, Weight: 100},
		},
		Apps: []federation.App{
			{Name: "echo", Path: "apps/echo", Adoption: federation.AdoptNever, PruneLimit: federation.PruneLimit{Count: 3, IsCount: true}},
			{Name: "shop", Path: "shop", Adoption: federation.AdoptAlways, Prune: true, PruneLimit: federation.PruneLimit{Percent: 50}},
		},
		NodePorts: federation.PortRange{First: 31000, Last: 31999},
		Failover:  federation.Failover{Mode: "Off", ConfirmedLost: []string{"asia"}},
		GCP: &federation.GCP{
			Project: "my-project", Network: "projects/host-project/global/networks/prod", LoadBalancer: federation.LoadBalancerNodePorts,
			Firewall: federation.FirewallReport, Addresses: federation.AddressRequireExisting, Tags: []string{"edge", "node"},
		},
		CommitStatus: federation.CommitStatus{Context: "deploy", PerCluster: true},
		OnRemove:     federation.OnRemoveDelete,
	}
	if diff := cmp.Diff(want, got, selectors); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if !got.PruneAllowed() {
		t.Error("PruneAllowed = false, want true")
	}
	if got, want := got.Apps[0].Selector.String(), "environment=prod,tier in (a,b)"; got != want {
		t.Errorf("the selector of echo is %q, want %q", got, want)
	}
	if !got.Apps[1].Selector.Matches(got.Clusters[1]) || got.Apps[0].Selector.Matches(got.Clusters[1]) {
		t.Error("europe matches the selector for prod, or does not match the empty selector")
	}
}

// selectors compares Selectors by their String.
var selectors = cmp.FilterValues(func(_, _ federation.Selector) bool { return true }, cmp.Ignore())

const full = `
apiVersion: fedsync.dev/v1alpha1
kind: Federation
metadata:
  name: web
  annotations: {fedsync.dev/prune: Allowed}
spec:
  clusters:
  - name: asia
    context: gke_p_asia_one
    labels: {environment: prod}
    weight: 50
    zone: asia-east1-a
  - name: europe
    state: Lost
    drain: true
  apps:
  - name: echo
    path: apps/echo
    clusterSelector:
      matchLabels: {environment: prod}
      matchExpressions: [{key: tier, operator: In, values: [b, a]}]
    adoption: Never
    prune: false
    pruneLimit: 3
  - name: shop
    path: shop
    pruneLimit: 50%
  createNamespaces: false
  nodePorts: {range: 31000-31999}
  failover: {mode: "Off", confirmLost: [asia]}
  gcp:
    project: my-project
    network: projects/host-project/global/networks/prod
    loadBalancer: NodePorts
    firewall: Report
    addresses: RequireExisting
    tags: [node, edge]
  commitStatus: {context: deploy, perCluster: true}
  onRemove: Delete
`

func FuzzParseNeverPanics(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("spec: {clusters: [[]], apps: [{path: 1}, null]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := fedfile.Parse("", data)
		if (got == nil) == (err == nil) {
			t.Errorf("Parse = %v, %v: want one of the two", got, err)
		}
	})
}

func TestSchemaIsValidJSON(t *testing.T) {
	if !json.Valid(fedfile.Schema()) {
		t.Error("Schema is not valid JSON")
	}
	changed := fedfile.Schema()
	changed[0] = 'x'
	if bytes.Equal(changed, fedfile.Schema()) {
		t.Error("a caller can modify the schema that the next caller gets")
	}
}
