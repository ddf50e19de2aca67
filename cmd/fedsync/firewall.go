package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/preview"
)

func newFirewall(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "firewall [NAMESPACE/NAME]",
		Short: "Print the gcloud commands that let the load balancer reach the nodes; changes nothing",
		Long: `Prints the gcloud commands for the firewall rule that lets Google's load balancers and
their probes reach the node ports of the federated Ingresses, or of the named one: one
command for each network, or more if the nodes' tags do not fit in one rule. If the rule
exists already, the command corrects it.

Node ports and nodes come from the clusters' reports or, with --facts, from that file. The
nodes' network tags are read from Compute Engine, unless spec.gcp.tags or --tags names
them. Whatever is left out is named on standard error, with the reason.

Exit status 0 when the commands let everything in, 1 when something is left out, 2 when
the repository, the facts, the clusters or Compute Engine could not be read.`,
		Example: `  fedsync firewall
  fedsync firewall default/nginx --tags gke-europe-1a2b3c4d-node,gke-us-5e6f7a8b-node
  fedsync firewall default/nginx --name nginx-rule | sh
  fedsync facts | fedsync firewall --facts - --tags web`,
		Args: cobra.MaximumNArgs(1),
	}
	q := &firewallQuestion{cfg: settings(cmd, environment,
		config.GroupRepository, config.GroupPolicy, config.GroupClusters, config.GroupCloud, config.GroupLog)}
	quiet(cmd)
	cmd.Flags().StringVar(&q.facts, "facts", "", "file with what the clusters report, YAML or JSON; - for standard input")
	cmd.Flags().StringSliceVar(&q.tags, "tags", nil, "network tags of all nodes, instead of those on Compute Engine")
	cmd.Flags().StringVar(&q.name, "name", "", "name of the rule, instead of fedsync's own")
	cmd.Flags().DurationVar(&q.timeout, "timeout", 30*time.Second, "how long to wait for the clusters, and for Compute Engine")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := q.check(args); err != nil {
			return err
		}
		log, err := newLog(cmd, q.cfg)
		if err != nil {
			return err
		}
		return q.answer(cmd, log)
	}
	return cmd
}

// firewallQuestion has the arguments of `fedsync firewall`.
type firewallQuestion struct {
	cfg     *config.Config
	facts   string
	tags    []string
	name    string
	timeout time.Duration
	only    federation.ObjectRef // zero for all Ingresses
}

// resourceName matches what Compute Engine accepts as a name or a tag.
var resourceName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// check reads the arguments.
func (q *firewallQuestion) check(args []string) error {
	if len(args) > 0 {
		namespace, name, ok := strings.Cut(args[0], "/")
		if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
			return fmt.Errorf("invalid Ingress %q: want NAMESPACE/NAME", args[0])
		}
		q.only = federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: namespace, Name: name}
	}
	for _, tag := range q.tags {
		if !resourceName.MatchString(tag) {
			return fmt.Errorf("--tags: invalid network tag %q: want lower-case letters, digits and hyphens, beginning with a letter", tag)
		}
	}
	if q.name != "" && !resourceName.MatchString(q.name) {
		return fmt.Errorf("--name: invalid rule name %q: want up to 63 lower-case letters, digits and hyphens, beginning with a letter", q.name)
	}
	return nil
}

// answer prints the commands.
func (q *firewallQuestion) answer(cmd *cobra.Command, log *zap.Logger) error {
	facts, err := q.reported(cmd, log)
	if err != nil {
		return err
	}
	r, err := preview.Render(cmd.Context(), q.cfg, facts)
	if err != nil {
		return err
	}
	printer.Uncommitted(cmd.ErrOrStderr(), r.Uncommitted, "read")
	if r.Federation.GCP == nil {
		return fmt.Errorf("%s has no spec.gcp, which names the project and the network", federation.FileName)
	}
	if err := q.checkIngress(r.Plan); err != nil {
		return err
	}
	in := gcp.Input{Federation: q.managed(r.Federation), Plan: r.Plan, Facts: facts}
	if in.Source, err = daemon.SourceDigest(q.cfg, r.Federation.Name); err != nil {
		return err
	}
	seen, findings, err := q.seen(cmd, &in, log)
	if err != nil {
		return err
	}
	commands, err := q.renamed(balancer.FirewallCommands(in, seen, q.only))
	if err != nil {
		return err
	}
	out := printer.Plain(cmd.OutOrStdout())
	for _, c := range commands {
		fmt.Fprintln(out, c)
	}
	stderr := printer.Plain(cmd.ErrOrStderr())
	findings = slices.Concat(findings, leftOut(in.Federation, facts), strangers(q.facts, facts, r.Federation))
	if len(commands) == 0 {
		findings = append(findings, federation.Finding{
			ID: federation.FindingFirewall, Severity: federation.SeverityError, Object: q.only,
			Message: untrusted.Const("no rule is needed: no Ingress of class gce, fedsync or none leads to a node port of a cluster on Compute Engine"),
			Remedy:  untrusted.Const("list the node ports with fedsync render --explain"),
		})
	}
	return printer.Findings(stderr, findings)
}

// reported returns the facts from the file or, without one, from the clusters.
func (q *firewallQuestion) reported(cmd *cobra.Command, log *zap.Logger) (federation.Facts, error) {
	if q.facts != "" {
		return readFacts(cmd, q.facts)
	}
	c, err := daemon.Compare(cmd.Context(), q.cfg, q.timeout, log)
	if err != nil {
		return federation.Facts{}, err
	}
	return c.Facts, nil
}

// managed returns the federation as if fedsync maintained its firewall, with the given
// tags.
func (q *firewallQuestion) managed(f *federation.Federation) *federation.Federation {
	managed, google := *f, *f.GCP
	google.LoadBalancer, google.Firewall = federation.LoadBalancerNodePorts, federation.FirewallManaged
	if len(q.tags) > 0 {
		google.Tags = slices.Compact(slices.Sorted(slices.Values(q.tags)))
	}
	managed.GCP = &google
	return &managed
}

// checkIngress returns an error that lists the Ingresses if the named one is not among
// them.
func (q *firewallQuestion) checkIngress(plan federation.Plan) error {
	names := map[string]bool{}
	for _, c := range plan.Clusters {
		for _, app := range c.Apps {
			for _, o := range app.Objects {
				if o.Ref == q.only {
					return nil
				}
				if o.Ref.Group == "networking.k8s.io" && o.Ref.Kind == "Ingress" {
					names[o.Ref.Namespace+"/"+o.Ref.Name] = true
				}
			}
		}
	}
	if q.only == (federation.ObjectRef{}) {
		return nil
	}
	there := cmp.Or(strings.Join(slices.Sorted(maps.Keys(names)), ", "), "none")
	return fmt.Errorf("the repository has no Ingress %s/%s; it has: %s", q.only.Namespace, q.only.Name, there)
}

// seen returns the machines of the nodes: those on Compute Engine or, if the tags are
// named, those that the nodes name, in the network of fedsync.yaml.
func (q *firewallQuestion) seen(cmd *cobra.Command, in *gcp.Input, log *zap.Logger) (gcp.Observed, []federation.Finding, error) {
	if len(in.Federation.GCP.Tags) > 0 {
		facts, machines := assumed(in.Federation, in.Facts)
		in.Facts = facts
		return gcp.Observed{Machines: machines}, nil, nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), q.timeout)
	defer cancel()
	p, err := daemon.PreviewCloud(ctx, q.cfg, *in, log)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", q.timeout)
	}
	if err != nil {
		return gcp.Observed{}, nil, fmt.Errorf("read the nodes' network tags: %w\nname them with --tags, or under spec.gcp.tags in %s", err, federation.FileName)
	}
	if len(p.Observed.Machines) == 0 && len(p.Observed.Errors) > 0 {
		why := p.Observed.Errors[0]
		return gcp.Observed{}, nil, fmt.Errorf("read the nodes' network tags: %s: %w\nname them with --tags, or under spec.gcp.tags in %s", why.What, why.Err, federation.FileName)
	}
	if q.name != "" {
		p.Observed.Resources = nil // a rule with another name is created in any case
	}
	var findings []federation.Finding
	for _, f := range p.Wanted.Findings {
		if f.ID == federation.FindingFirewall || f.ID == federation.FindingNodes {
			findings = append(findings, f)
		}
	}
	return p.Observed, findings, nil
}

// assumed returns the machines that the nodes name, without reading Compute Engine. A
// cluster on Compute Engine with no known nodes counts as having one.
func assumed(f *federation.Federation, facts federation.Facts) (federation.Facts, map[string]gcp.Machine) {
	network := networkPath(f.GCP)
	machines := map[string]gcp.Machine{}
	known := federation.Facts{Clusters: map[string]federation.ClusterFacts{}, Balancers: facts.Balancers}
	for _, c := range f.Clusters {
		of := facts.Of(c.Name)
		if !of.NodesKnown && len(of.Nodes) == 0 && c.Zone == "" {
			of.NodesKnown = true
			of.Nodes = []federation.Node{{Name: c.Name, ProviderID: "gce://" + f.GCP.Project + "/-/" + c.Name, Ready: true}}
		}
		known.Clusters[c.Name] = of
		for _, n := range of.Nodes {
			if strings.HasPrefix(n.ProviderID, "gce://") {
				machines[n.ProviderID] = gcp.Machine{Project: f.GCP.Project, Name: n.Name, Network: network, Tags: f.GCP.Tags}
			}
		}
	}
	return known, machines
}

// networkPath returns the network as Compute Engine names it.
func networkPath(g *federation.GCP) string {
	if strings.HasPrefix(g.Network, "projects/") {
		return g.Network
	}
	return fmt.Sprintf("projects/%s/global/networks/%s", g.Project, cmp.Or(g.Network, "default"))
}

// renamed returns the command with the requested name.
func (q *firewallQuestion) renamed(commands []string) ([]string, error) {
	if q.name == "" || len(commands) == 0 {
		return commands, nil
	}
	if len(commands) > 1 {
		return nil, fmt.Errorf("--name is for one rule, and %d are needed: name an Ingress, or leave out --name", len(commands))
	}
	words := strings.Fields(commands[0]) // no quoted word before the name contains a blank
	at := slices.Index(words, "create") + 1
	if at == 0 || at >= len(words) {
		return nil, errors.New("--name: the command has no name to replace")
	}
	head, tail, _ := strings.Cut(commands[0], " "+words[at]+" ")
	return []string{head + " " + q.name + " " + tail}, nil
}

// leftOut returns findings on the clusters whose nodes, and so their tags, are not known.
func leftOut(f *federation.Federation, facts federation.Facts) []federation.Finding {
	var findings []federation.Finding
	if len(f.GCP.Tags) > 0 {
		return nil
	}
	for _, c := range f.Clusters {
		of, ok := facts.Clusters[c.Name]
		if !ok || c.Lost || c.Zone != "" || of.State == federation.ClusterReady || len(of.Nodes) > 0 {
			continue
		}
		findings = append(findings, federation.Finding{
			ID: federation.FindingFirewall, Severity: federation.SeverityError, Cluster: c.Name,
			Message: untrusted.New("is left out: its nodes are not known: " + silence(of)),
			Remedy:  untrusted.Const("bring the cluster back and run the command again, or name the tags with --tags"),
		})
	}
	return findings
}
