package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/status"
)

func newRun(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Bring the repository to the clusters and keep it there",
		Long: `Follows the repository and keeps every member cluster equal to it until it is
stopped. The first SIGTERM or SIGINT finishes work under way; the second kills.

With --once it brings one revision to the clusters, waits until everything is live and
its commit status is posted, prints what runs, and exits.

Exit status 0 when it was stopped or, with --once, when everything is live; 1 when --once
found a failure (including a mistake in fedsync.yaml, which is posted on the commit) or
--timeout has passed; 2 when it could not start.`,
		Example: `  fedsync run --repo https://forge.example/team/web.git --token-file token \
    --commit-status gitea --public-url https://fedsync.example
  fedsync run --once`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, config.Groups()...)
	once := cmd.Flags().Bool("once", false, "sync one revision, wait until it is settled, and exit")
	timeout := cmd.Flags().Duration("timeout", 15*time.Minute, "with --once: how long to wait")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := newLog(cmd, cfg)
		if err != nil {
			return err
		}
		d, err := daemon.New(cfg, daemon.Options{Version: buildVersion(), Log: log})
		if err != nil {
			return err
		}
		if !*once {
			return d.Run(cmd.Context())
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		report, err := d.RunOnce(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && report != nil:
			fmt.Fprintf(cmd.ErrOrStderr(), "fedsync: not settled within %s\n", *timeout)
		case err != nil:
			return err
		}
		printer.Report(cmd.OutOrStdout(), report)
		if report.State != status.Success {
			return printer.ErrNo
		}
		return nil
	}
	return cmd
}
