package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

func newRender(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Print the objects that every cluster should run; asks no cluster",
		Long: `Prints the objects that every member cluster should run, in the order of
fedsync.yaml: as a YAML stream with "# cluster: NAME" before each cluster's part, or as
JSON, {"clusters": [{"name": …, "objects": List}]}. With --cluster it is that cluster's
objects alone, as kubectl takes them: a YAML stream, or a List.

Only commits are read: changes that are not committed are named on standard error.
What could not be rendered is named there too, with the file, the line and what to do;
the rest is printed all the same.

Exit status 0 when everything was rendered, 1 when something could not be, 2 when the
repository or its fedsync.yaml cannot be read.`,
		Example: `  fedsync render --cluster gce-europe-west1b
  fedsync render --revision v1.2 -o json
  fedsync render --cluster gce-us-east1b | kubectl --context gce-us-east1b diff -f -`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, daemon.GroupRepository, daemon.GroupPolicy)
	cluster := cmd.Flags().String("cluster", "", "only this cluster")
	output := cmd.Flags().StringP("output", "o", "yaml", "yaml or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := oneOf("output", *output, "yaml", "json"); err != nil {
			return err
		}
		r, err := daemon.Render(cmd.Context(), cfg)
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
		writeUncommitted(cmd.ErrOrStderr(), r.Uncommitted, "rendered")
		write := render.WriteYAML
		if *output == "json" {
			write = render.WriteJSON
		}
		if err := write(onTerminal(cmd.OutOrStdout()), plans, *cluster != ""); err != nil {
			return err
		}
		return writeFindings(plainWriter{cmd.ErrOrStderr()}, of(*cluster, r.Findings))
	}
	return cmd
}

// of gives the findings that concern one cluster; all of them for "".
func of(cluster string, findings []federation.Finding) []federation.Finding {
	if cluster == "" {
		return findings
	}
	return slices.DeleteFunc(slices.Clone(findings), func(f federation.Finding) bool {
		return f.Cluster != "" && f.Cluster != cluster
	})
}

func noCluster(name string, f *federation.Federation) error {
	return fmt.Errorf("there is no cluster %q in %s; there are: %s", name, federation.FileName, clusterNames(f))
}

func clusterNames(f *federation.Federation) string {
	names := make([]string, len(f.Clusters))
	for i, c := range f.Clusters {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}
