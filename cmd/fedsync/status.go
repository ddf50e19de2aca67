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
		Long: `Asks every member cluster what it runs of this repository, and prints a table for
each: NAME HOSTS ADDRESS PORTS READY AGE, below them how the replicas of each workload
are divided, and what is wrong. Where fedsync keeps load balancers on Google Cloud, there
is a column TRAFFIC with the endpoints that are healthy behind them, and a line for each.
It asks the clusters themselves, and Compute Engine, so it needs no running daemon, and it
changes nothing.

Exit status 0 when every cluster runs what the repository says and is well, 1 when one
does not, 2 when no cluster answers.`,
		Example: `  fedsync status
  fedsync status --repo https://forge.example/team/web.git --token-file token -o json`,
		Args: cobra.NoArgs,
	}
	l := newLooking(cmd, environment, 10*time.Second, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := l.look(cmd, "looked at")
		if err != nil {
			return err
		}
		if l.json() {
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
