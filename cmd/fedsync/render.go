package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/render"
)

func newRender(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Print the objects that every cluster should run; reads no cluster",
		Long: `Prints the objects that every member cluster should run, in the order of
fedsync.yaml: as a YAML stream with "# cluster: NAME" before each cluster's part, or as
JSON, {"clusters": [{"name": …, "objects": List}]}. With --cluster it prints only that
cluster's objects, in a form that kubectl accepts: a YAML stream, or a List.

With --facts it prints what the clusters would be given if they reported these facts, which
fedsync facts prints. Node ports are chosen and replicas divided by nothing else. A cluster
that is missing from the file counts as Ready and empty; without --facts, all of them do.
--explain prints the decision and its reason for each node port and each replica count
instead.

Only commits are read: changes that are not committed are named on standard error. So are
objects that could not be rendered, with the file, the line and what to do, and objects
that are withheld from a cluster, with the reason. Everything else is still printed.

Exit status 0 when everything was rendered, 1 when something could not be rendered or is
withheld from a cluster, 2 when the repository, its fedsync.yaml or the facts cannot be
read.`,
		Example: `  fedsync render --cluster gce-europe-west1b
  fedsync render --revision v1.2 -o json
  fedsync render --cluster gce-us-east1b | kubectl --context gce-us-east1b diff -f -
  fedsync render --explain --facts facts.yaml
  fedsync facts | fedsync render --explain --facts - -o json`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, config.GroupRepository, config.GroupPolicy)
	cluster := cmd.Flags().String("cluster", "", "only this cluster")
	facts := cmd.Flags().String("facts", "", "file with what the clusters report, YAML or JSON; - for standard input")
	explain := cmd.Flags().Bool("explain", false, "print the decisions on node ports and replicas, and why, instead of the objects")
	output := cmd.Flags().StringP("output", "o", "yaml", "yaml or json; --explain prints plain text by default")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := printer.CheckFormat(*output, "yaml", "json"); err != nil {
			return err
		}
		reported, err := readFacts(cmd, *facts)
		if err != nil {
			return err
		}
		r, err := preview.Render(cmd.Context(), cfg, reported)
		if err != nil {
			return err
		}
		plans := r.Plan.Clusters
		if *cluster != "" {
			plans = slices.DeleteFunc(slices.Clone(plans), func(p federation.ClusterPlan) bool { return p.Cluster != *cluster })
			if len(plans) == 0 {
				return noCluster(*cluster, r.Federation)
			}
		}
		printer.Uncommitted(cmd.ErrOrStderr(), r.Uncommitted, "rendered")
		if *explain {
			format := *output
			if !cmd.Flags().Changed("output") {
				format = "text"
			}
			err = newExplanation(r.Plan, plans, *cluster).print(cmd.OutOrStdout(), format)
		} else {
			write := render.WriteYAML
			if *output == "json" {
				write = render.WriteJSON
			}
			err = write(printer.OnTerminal(cmd.OutOrStdout()), plans, *cluster != "")
		}
		if err != nil {
			return err
		}
		stderr := printer.Plain(cmd.ErrOrStderr())
		findings := slices.Concat(of(*cluster, r.Findings), strangers(*facts, reported, r.Federation))
		left := withheld(plans)
		more := unreported(left, federation.ShortFindings(findings))
		err = printer.Findings(stderr, federation.ShortFindings(slices.Concat(findings, more)))
		if err == nil && len(left) > 0 {
			err = printer.ErrNo
		}
		return err
	}
	return cmd
}

// readFacts reads the file that --facts names. Without one, the facts are empty.
func readFacts(cmd *cobra.Command, file string) (federation.Facts, error) {
	var data []byte
	var err error
	switch file {
	case "":
		return federation.Facts{}, nil
	case "-":
		file = "standard input"
		data, err = io.ReadAll(cmd.InOrStdin())
	default:
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return federation.Facts{}, fmt.Errorf("read the facts: %w", err)
	}
	facts, err := fedfile.ParseFacts(data)
	if mistakes, ok := errors.AsType[fedfile.Errors](err); ok {
		err = mistakes.In(file)
	}
	return facts, err
}

// strangers returns findings on clusters in the facts that the federation does not have.
// Most likely that is a mistake, and the cluster meant counts as empty.
func strangers(file string, facts federation.Facts, f *federation.Federation) []federation.Finding {
	var findings []federation.Finding
	for _, name := range slices.Sorted(maps.Keys(facts.Clusters)) {
		if !slices.ContainsFunc(f.Clusters, func(c federation.Cluster) bool { return c.Name == name }) {
			findings = append(findings, federation.Finding{
				ID: federation.FindingFacts, Severity: federation.SeverityWarning, File: file,
				Message: untrusted.New(noCluster(name, f).Error()), Remedy: untrusted.Const("correct the cluster's name in the facts"),
			})
		}
	}
	return findings
}

// withheld returns a finding for each object that is withheld from a cluster.
func withheld(plans []federation.ClusterPlan) []federation.Finding {
	findings := []federation.Finding{}
	for _, plan := range plans {
		for _, app := range plan.Apps {
			for _, w := range app.Withheld {
				f := federation.Finding{
					ID: federation.FindingWithheld, Severity: federation.SeverityError,
					Cluster: plan.Cluster, App: app.App, Object: w.Object, File: w.File, Message: untrusted.New(w.Reason),
				}
				if len(w.Waits) > 0 {
					f.Severity = federation.SeverityWarning
					f.Remedy = untrusted.New("it waits for the facts of " + strings.Join(w.Waits, ", "))
				}
				findings = append(findings, f)
			}
		}
	}
	return findings
}

// unreported leaves out findings that an error covers already: it is about the same object
// in the same cluster, and has the reason.
func unreported(left, findings []federation.Finding) []federation.Finding {
	return slices.DeleteFunc(slices.Clone(left), func(w federation.Finding) bool {
		return slices.ContainsFunc(findings, func(f federation.Finding) bool {
			return f.Object == w.Object && (f.Cluster == w.Cluster || f.Cluster == "") &&
				(f.Severity == federation.SeverityError && w.Severity == f.Severity || strings.Contains(f.Message.String(), w.Message.String()))
		})
	})
}

// of returns the findings that concern one cluster; all of them for "".
func of(cluster string, findings []federation.Finding) []federation.Finding {
	if cluster == "" {
		return findings
	}
	return slices.DeleteFunc(slices.Clone(findings), func(f federation.Finding) bool {
		return f.Cluster != "" && f.Cluster != cluster
	})
}

func noCluster(name string, f *federation.Federation) error {
	return fmt.Errorf("no cluster %q in %s; it has: %s", name, federation.FileName, clusterNames(f))
}

func clusterNames(f *federation.Federation) string {
	names := make([]string, len(f.Clusters))
	for i, c := range f.Clusters {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}
