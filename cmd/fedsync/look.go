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

// looking has what is common to the commands that read every cluster one time: the
// settings and the flags.
type looking struct {
	cfg     *config.Config
	formats []string // the first is the default
	output  *string
	timeout *time.Duration
}

func newLooking(cmd *cobra.Command, environment []string, timeout time.Duration, formats ...string) *looking {
	l := &looking{formats: formats}
	l.cfg = settings(cmd, environment, config.GroupRepository, config.GroupPolicy, config.GroupClusters, config.GroupCloud, config.GroupLog)
	quiet(cmd)
	l.output = cmd.Flags().StringP("output", "o", formats[0], strings.Join(formats, " or "))
	l.timeout = cmd.Flags().Duration("timeout", timeout, "how long to wait for the clusters' answers")
	return l
}

// look reads the clusters. It names uncommitted changes on standard error as not done:
// done is a word such as "read".
func (l *looking) look(cmd *cobra.Command, done string) (*preview.Comparison, error) {
	if err := printer.CheckFormat(*l.output, l.formats...); err != nil {
		return nil, err
	}
	log, err := newLog(cmd, l.cfg)
	if err != nil {
		return nil, err
	}
	c, err := daemon.Compare(cmd.Context(), l.cfg, *l.timeout, log)
	if err != nil {
		return nil, err
	}
	printer.Uncommitted(cmd.ErrOrStderr(), c.Uncommitted, done)
	return c, nil
}

func (l *looking) json() bool { return *l.output == "json" }
