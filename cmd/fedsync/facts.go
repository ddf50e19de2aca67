package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

func newFacts(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "facts",
		Short: "Print what every cluster reports, as render --facts reads it; changes nothing",
		Long: `Reads the facts that fedsync decides by from every member cluster: its state and
version, the node ports in use and their holders, the workloads with what runs and what
waits for room, Ingresses, endpoints, quotas. It prints them as a file of the kind Facts
for fedsync render --facts, which reproduces and explains any decision from it without the
clusters.

A cluster that does not answer is listed with its state, and is named on standard error.

Exit status 0 when at least one cluster answers, 2 when none does.`,
		Example: `  fedsync facts > facts.yaml
  fedsync facts -o json | jq '.clusters[].nodePorts'
  fedsync facts | fedsync render --explain --facts -`,
		Args: cobra.NoArgs,
	}
	q := newClusterQuery(cmd, environment, 10*time.Second, "yaml", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := q.compare(cmd, "read")
		if err != nil {
			return err
		}
		encode := fedfile.FactsYAML
		if q.json() {
			encode = fedfile.FactsJSON
		}
		data, err := encode(c.Facts)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(c.Facts.Clusters)) {
			if facts := c.Facts.Clusters[name]; facts.State != federation.ClusterReady {
				fmt.Fprintf(printer.Plain(cmd.ErrOrStderr()), "fedsync: %s: %s\n", name, printer.Indented(silence(facts), "  "))
			}
		}
		_, err = printer.OnTerminal(cmd.OutOrStdout()).Write(data)
		return err
	}
	return cmd
}

// silence returns why a cluster does not answer.
func silence(f federation.ClusterFacts) string {
	switch {
	case !f.Error.IsZero():
		return fmt.Sprintf("%s, %s: %s", f.State, f.Failure, f.Error)
	case f.State == federation.ClusterPending:
		return "no answer in time"
	}
	return string(f.State)
}
