package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/status"
)

func newStatus(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what runs in every cluster, and the findings; changes nothing",
		Long: `Reads what every member cluster runs of this repository, and prints a table for
each: NAME HOSTS ADDRESS PORTS READY AGE. Below the tables it prints how the replicas of
each workload are divided, and the findings. If fedsync maintains load balancers on Google
Cloud, there is also a column TRAFFIC with the healthy endpoints behind them, and a line
for each load balancer. It reads the clusters and Compute Engine directly: it needs no
running daemon and changes nothing.

Exit status 0 when every cluster runs what the repository says and is healthy, 1 when one
does not, 2 when no cluster answers.`,
		Example: `  fedsync status
  fedsync status --repo https://forge.example/team/web.git --token-file token -o json`,
		Args: cobra.NoArgs,
	}
	q := newClusterQuery(cmd, environment, 10*time.Second, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := q.compare(cmd, "read")
		if err != nil {
			return err
		}
		if q.json() {
			if err := printer.JSON(cmd.OutOrStdout(), c.Report); err != nil {
				return err
			}
		} else {
			printer.Report(cmd.OutOrStdout(), c.Report)
		}
		if c.Report.State != status.Success {
			return printer.ErrNo
		}
		return nil
	}
	return cmd
}
