package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/preview"
)

// clusterQuery has what is common to the commands that read every cluster once: the
// settings and the flags.
type clusterQuery struct {
	cfg     *config.Config
	formats []string // the first is the default
	output  *string
	timeout *time.Duration
}

func newClusterQuery(cmd *cobra.Command, environment []string, timeout time.Duration, formats ...string) *clusterQuery {
	q := &clusterQuery{formats: formats}
	q.cfg = settings(cmd, environment, config.GroupRepository, config.GroupPolicy, config.GroupClusters, config.GroupCloud, config.GroupLog)
	quiet(cmd)
	q.output = cmd.Flags().StringP("output", "o", formats[0], strings.Join(formats, " or "))
	q.timeout = cmd.Flags().Duration("timeout", timeout, "how long to wait for the clusters' answers")
	return q
}

// compare reads the clusters. It names uncommitted changes on standard error as not done:
// done is a word such as "read".
func (q *clusterQuery) compare(cmd *cobra.Command, done string) (*preview.Comparison, error) {
	if err := printer.CheckFormat(*q.output, q.formats...); err != nil {
		return nil, err
	}
	log, err := newLog(cmd, q.cfg)
	if err != nil {
		return nil, err
	}
	c, err := daemon.Compare(cmd.Context(), q.cfg, *q.timeout, log)
	if err != nil {
		return nil, err
	}
	printer.Uncommitted(cmd.ErrOrStderr(), c.Uncommitted, done)
	return c, nil
}

func (q *clusterQuery) json() bool { return *q.output == "json" }
