package gcp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
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
		"none":                 {[][]string{{}}, nil, "they have none at all"},
		"not a tag's spelling": {[][]string{{"Web $(id)"}}, nil, "no network tag in common"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(1)
			s.tag(test.tags...)
			want := s.build()
			rules := kindOf(want, KindFirewall)
			if len(test.want) == 0 {
				if len(rules) > 0 || !strings.Contains(findings(want), test.finding) {
					t.Errorf("rules %v, findings:\n%s", rules, findings(want))
				}
				return
			}
			if len(rules) != 1 || !slices.Equal(rules[0].Spec.(Firewall).Tags, test.want) {
				t.Errorf("rules %v, want tags %v; findings:\n%s", rules, test.want, findings(want))
			}
		})
	}
}

func TestTagsFromTheFile(t *testing.T) {
	s := newScene(2)
	s.federation.GCP.Tags = []string{"nodes", "web"}
	if got := kindOf(s.build(), KindFirewall)[0].Spec.(Firewall).Tags; !slices.Equal(got, []string{"nodes", "web"}) {
		t.Errorf("tags: %v", got)
	}
}

func TestClusterThatCannotBeReadKeepsItsTags(t *testing.T) {
	s := newScene(3)
	s.settle(t)
	s.change("c2", func(f *federation.ClusterFacts) { f.NodesKnown, f.Nodes = false, nil })
	if got := kindOf(s.build(), KindFirewall)[0].Spec.(Firewall).Tags; !slices.Contains(got, "gke-c2-node") {
		t.Errorf("tags: %v", got)
	}
	// Machines that cannot be read leave nothing to derive tags from.
	clear(s.machines)
	want := s.build()
	if rules := kindOf(want, KindFirewall); len(rules) != 1 || len(rules[0].Spec.(Firewall).Tags) != 3 {
		t.Errorf("rules: %v", rules)
	}
}

func TestOneRuleForEachNetworkAndSeventyTags(t *testing.T) {
	s := newScene(2)
	for _, n := range s.facts["c2"].Nodes {
		m := s.machines[n.ProviderID]
		m.Network = "projects/host/global/networks/shared"
		s.machines[n.ProviderID] = m
	}
	if rules := kindOf(s.build(), KindFirewall); len(rules) != 2 {
		t.Errorf("rules: %v", rules)
	}
	s = newScene(1)
	for i := range 150 {
		s.federation.GCP.Tags = append(s.federation.GCP.Tags, fmt.Sprintf("t%03d", i))
	}
	rules := kindOf(s.build(), KindFirewall)
	total := 0
	for _, r := range rules {
		n := len(r.Spec.(Firewall).Tags)
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
	s := newScene(2)
	s.federation.GCP.Firewall = federation.FirewallOff
	if want := s.settle(t); len(kindOf(want, KindFirewall)) > 0 || len(want.Findings) > 0 {
		t.Errorf("Off: rules %v, findings %s", kindOf(want, KindFirewall), findings(want))
	}
	s.federation.GCP.Firewall = federation.FirewallReport
	s.build()
	want := s.build()
	if len(want.Findings) != 1 || want.Findings[0].ID != "D16" {
		t.Fatalf("Report: findings:\n%s", findings(want))
	}
	command := "gcloud compute firewall-rules create fedsync-web-21dee986 --project=shop --network=default " +
		"--source-ranges=130.211.0.0/22,35.191.0.0/16 --target-tags=gke-c1-node,gke-c2-node --allow=tcp:30080"
	if got := want.Findings[0].Remedy.String(); got != command {
		t.Errorf("remedy:\n%s\nwant\n%s", got, command)
	}
	id := ID{Kind: KindFirewall, Name: "fedsync-web-21dee986"}
	rule := Firewall{Network: sceneNetwork, Ranges: probeRanges, Ports: []int32{30080}, Tags: []string{"gke-c1-node"}}
	s.cloud.resources[id] = Resource{ID: id, Spec: rule}
	if want = s.build(); len(want.Findings) != 1 || !strings.Contains(want.Findings[0].Remedy.String(), "firewall-rules update fedsync-web-21dee986 --project=shop --source-ranges") {
		t.Errorf("a rule that lacks a tag: %s", findings(want))
	}
	rule.Tags = append(rule.Tags, "gke-c2-node")
	s.cloud.resources[id] = Resource{ID: id, Spec: rule}
	if want = s.build(); len(want.Findings) != 0 {
		t.Errorf("a rule that admits all: %s", findings(want))
	}
	// A rule of ours is not removed by the change of the policy.
	s = newScene(2)
	s.settle(t)
	s.federation.GCP.Firewall = federation.FirewallReport
	if _, planned, _ := s.round(); len(planned.Actions) > 0 {
		t.Errorf("actions: %v", planned.Actions)
	}
}

func TestFirewallGoesLast(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	s.cluster("c2").Drain = true
	s.settle(t)
	s.pass(time.Minute)
	want := s.build()
	if got := kindOf(want, KindFirewall)[0].Spec.(Firewall).Tags; !slices.Contains(got, "gke-c2-node") {
		t.Errorf("tags %v while the groups are there", got)
	}
}

func TestFirewallCommands(t *testing.T) {
	s := newScene(2)
	s.objects["Service/api"] = strings.NewReplacer("name: nginx,", "name: api,", "30080", "30061").Replace(serviceYAML)
	s.objects["Ingress/api"] = strings.ReplaceAll(ingressYAML, "name: nginx", "name: api")
	for _, n := range s.facts["c2"].Nodes {
		m := s.machines[n.ProviderID]
		m.Network = "projects/host/global/networks/shared"
		s.machines[n.ProviderID] = m
	}
	s.federation.GCP.LoadBalancer = federation.LoadBalancerSharedUID
	const tail = " --source-ranges=130.211.0.0/22,35.191.0.0/16 --target-tags="
	name := func(network string) string {
		return firewallName(Owner{"web", "0123456789abcdef"}, network, 0)
	}
	shared := "projects/host/global/networks/shared"
	got := FirewallCommands(s.input(), s.look(), federation.ObjectRef{})
	want := []string{
		"gcloud compute firewall-rules create " + name(shared) + " --project=host --network=shared" + tail + "gke-c2-node --allow=tcp:30061,tcp:30080",
		"gcloud compute firewall-rules create " + name(sceneNetwork) + " --project=shop --network=default" + tail + "gke-c1-node --allow=tcp:30061,tcp:30080",
	}
	if !slices.Equal(got, want) {
		t.Errorf("commands:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	got = FirewallCommands(s.input(), s.look(), sceneIngress)
	if len(got) != 2 || !strings.HasSuffix(got[1], "--allow=tcp:30080") {
		t.Errorf("commands of one Ingress:\n%s", strings.Join(got, "\n"))
	}
	other := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "none"}
	if got := FirewallCommands(s.input(), s.look(), other); len(got) > 0 {
		t.Errorf("commands of an Ingress that is not there: %v", got)
	}
}
