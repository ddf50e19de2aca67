package balancer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func TestTagsOfACluster(t *testing.T) {
	for name, test := range map[string]struct {
		tags    [][]string
		want    []string
		finding string
	}{
		"GKE's":                {[][]string{{"all", "gke-c1-0-tag", "gke-c1-4f-node"}}, []string{"gke-c1-4f-node"}, ""},
		"longest prefix":       {[][]string{{"all", "gke", "gke-c1"}}, []string{"gke-c1"}, ""},
		"the only one":         {[][]string{{"web"}}, []string{"web"}, ""},
		"common to all":        {[][]string{{"gke-c1-a-node", "web"}, {"web"}, {"gke-c1-b-node", "web"}}, []string{"web"}, ""},
		"several, none fits":   {[][]string{{"web", "prod"}}, nil, "the tags prod, web in common"},
		"one node lacks it":    {[][]string{{"web"}, {"web"}, {"other"}}, nil, "gke-c1-2 lack the tag web"},
		"none":                 {[][]string{{}}, nil, "they have no tags"},
		"not a tag's spelling": {[][]string{{"Web $(id)"}}, nil, "no network tag in common"},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(1)
			s.Tag(test.tags...)
			want := s.Build()
			rules := gcptest.KindOf(want, gcp.KindFirewall)
			if len(test.want) == 0 {
				if len(rules) > 0 || !strings.Contains(gcptest.Findings(want), test.finding) {
					t.Errorf("rules %v, findings:\n%s", rules, gcptest.Findings(want))
				}
				return
			}
			if len(rules) != 1 || !slices.Equal(rules[0].Spec.(gcp.Firewall).Tags, test.want) {
				t.Errorf("rules %v, want tags %v; findings:\n%s", rules, test.want, gcptest.Findings(want))
			}
		})
	}
}

func TestTagsFromTheFile(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Federation.GCP.Tags = []string{"nodes", "web"}
	if got := gcptest.KindOf(s.Build(), gcp.KindFirewall)[0].Spec.(gcp.Firewall).Tags; !slices.Equal(got, []string{"nodes", "web"}) {
		t.Errorf("tags: %v", got)
	}
}

func TestClusterThatCannotBeReadKeepsItsTags(t *testing.T) {
	s := gcptest.NewScene(3)
	s.Settle(t)
	s.Change("c2", func(f *federation.ClusterFacts) { f.NodesKnown, f.Nodes = false, nil })
	if got := gcptest.KindOf(s.Build(), gcp.KindFirewall)[0].Spec.(gcp.Firewall).Tags; !slices.Contains(got, "gke-c2-node") {
		t.Errorf("tags: %v", got)
	}
	// Machines that cannot be read leave nothing to derive tags from.
	clear(s.Machines)
	want := s.Build()
	if rules := gcptest.KindOf(want, gcp.KindFirewall); len(rules) != 1 || len(rules[0].Spec.(gcp.Firewall).Tags) != 3 {
		t.Errorf("rules: %v", rules)
	}
}

func TestOneRuleForEachNetworkAndSeventyTags(t *testing.T) {
	s := gcptest.NewScene(2)
	for _, n := range s.Facts["c2"].Nodes {
		m := s.Machines[n.ProviderID]
		m.Network = "projects/host/global/networks/shared"
		s.Machines[n.ProviderID] = m
	}
	if rules := gcptest.KindOf(s.Build(), gcp.KindFirewall); len(rules) != 2 {
		t.Errorf("rules: %v", rules)
	}
	s = gcptest.NewScene(1)
	for i := range 150 {
		s.Federation.GCP.Tags = append(s.Federation.GCP.Tags, fmt.Sprintf("t%03d", i))
	}
	rules := gcptest.KindOf(s.Build(), gcp.KindFirewall)
	total := 0
	for _, r := range rules {
		n := len(r.Spec.(gcp.Firewall).Tags)
		total += n
		if n == 0 || n > 70 {
			t.Errorf("%s has %d tags", r.ID, n)
		}
	}
	if len(rules) != 3 || total != 150 {
		t.Errorf("%d rules with %d tags", len(rules), total)
	}
}

func TestFirewallPolicies(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Federation.GCP.Firewall = federation.FirewallOff
	if want := s.Settle(t); len(gcptest.KindOf(want, gcp.KindFirewall)) > 0 || len(want.Findings) > 0 {
		t.Errorf("Off: rules %v, findings %s", gcptest.KindOf(want, gcp.KindFirewall), gcptest.Findings(want))
	}
	s.Federation.GCP.Firewall = federation.FirewallReport
	s.Build()
	want := s.Build()
	if len(want.Findings) != 1 || want.Findings[0].ID != "D16" {
		t.Fatalf("Report: findings:\n%s", gcptest.Findings(want))
	}
	command := "gcloud compute firewall-rules create fedsync-web-21dee986 --project=shop --network=default " +
		"--source-ranges=130.211.0.0/22,35.191.0.0/16 --target-tags=gke-c1-node,gke-c2-node --allow=tcp:30080"
	if got := want.Findings[0].Remedy.String(); got != command {
		t.Errorf("remedy:\n%s\nwant\n%s", got, command)
	}
	id := gcp.ID{Kind: gcp.KindFirewall, Name: "fedsync-web-21dee986"}
	rule := gcp.Firewall{Network: gcptest.SceneNetwork, Ranges: balancer.ProbeRanges, Ports: []int32{30080}, Tags: []string{"gke-c1-node"}}
	s.Cloud.Resources[id] = gcp.Resource{ID: id, Spec: rule}
	if want = s.Build(); len(want.Findings) != 1 || !strings.Contains(want.Findings[0].Remedy.String(), "firewall-rules update fedsync-web-21dee986 --project=shop --source-ranges") {
		t.Errorf("a rule that lacks a tag: %s", gcptest.Findings(want))
	}
	rule.Tags = append(rule.Tags, "gke-c2-node")
	s.Cloud.Resources[id] = gcp.Resource{ID: id, Spec: rule}
	if want = s.Build(); len(want.Findings) != 0 {
		t.Errorf("a rule that admits all: %s", gcptest.Findings(want))
	}
	// The change of the policy does not remove a rule of ours.
	s = gcptest.NewScene(2)
	s.Settle(t)
	s.Federation.GCP.Firewall = federation.FirewallReport
	if _, planned, _ := s.Round(); len(planned.Actions) > 0 {
		t.Errorf("actions: %v", planned.Actions)
	}
}

func TestFirewallRuleIsDeletedLast(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	s.Cluster("c2").Drain = true
	s.Settle(t)
	s.Pass(time.Minute)
	want := s.Build()
	if got := gcptest.KindOf(want, gcp.KindFirewall)[0].Spec.(gcp.Firewall).Tags; !slices.Contains(got, "gke-c2-node") {
		t.Errorf("tags %v while the groups are there", got)
	}
}

func TestFirewallCommands(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Objects["Service/api"] = strings.NewReplacer("name: nginx,", "name: api,", "30080", "30061").Replace(gcptest.ServiceYAML)
	s.Objects["Ingress/api"] = strings.ReplaceAll(gcptest.IngressYAML, "name: nginx", "name: api")
	for _, n := range s.Facts["c2"].Nodes {
		m := s.Machines[n.ProviderID]
		m.Network = "projects/host/global/networks/shared"
		s.Machines[n.ProviderID] = m
	}
	s.Federation.GCP.LoadBalancer = federation.LoadBalancerSharedUID
	const tail = " --source-ranges=130.211.0.0/22,35.191.0.0/16 --target-tags="
	name := func(network string) string {
		return gcp.FirewallName(gcp.Owner{Federation: "web", Source: "0123456789abcdef"}, network, 0)
	}
	shared := "projects/host/global/networks/shared"
	got := balancer.FirewallCommands(s.Input(), s.Observe(), federation.ObjectRef{})
	want := []string{
		"gcloud compute firewall-rules create " + name(shared) + " --project=host --network=shared" + tail + "gke-c2-node --allow=tcp:30061,tcp:30080",
		"gcloud compute firewall-rules create " + name(gcptest.SceneNetwork) + " --project=shop --network=default" + tail + "gke-c1-node --allow=tcp:30061,tcp:30080",
	}
	if !slices.Equal(got, want) {
		t.Errorf("commands:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	got = balancer.FirewallCommands(s.Input(), s.Observe(), gcptest.SceneIngress)
	if len(got) != 2 || !strings.HasSuffix(got[1], "--allow=tcp:30080") {
		t.Errorf("commands of one Ingress:\n%s", strings.Join(got, "\n"))
	}
	other := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "none"}
	if got := balancer.FirewallCommands(s.Input(), s.Observe(), other); len(got) > 0 {
		t.Errorf("commands of an Ingress that is not there: %v", got)
	}
}
