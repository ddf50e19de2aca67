package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
)

// planName is the command whose exit statuses are others.
const planName = "plan"

func newPlan(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   planName + " --base REVISION",
		Short: "Say what merging a change would do in every cluster; changes nothing",
		Long: `Says what merging one revision into another would do: to the objects of every cluster,
to node ports and replicas, and what of it is dangerous. The change is taken from where
the two parted, and merged into the base as git merge would, so that a head which is
behind deletes nothing. Objects that change alike in several clusters are printed once,
with their names. What a Secret holds is never shown.

Every member cluster of the base is asked what it reports, and for a dry run of the
objects that change; nothing is written. With --facts, or --offline, no cluster is asked.

What differs in the clusters without the change, fedsync diff prints.

Unlike those of the other commands, the exit statuses are those that a check in a CI
wants: 0 when nothing would change, 2 when something would, 1 when it would not work or
could not be found out.`,
		Example: `  fedsync plan --base origin/main
  fedsync plan --base main --head new-ports --repo https://forge.example/team/web.git
  fedsync plan --base origin/main --offline -o markdown > comment.md
  fedsync plan --base origin/main -o json | jq '.risks[].message'`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, daemon.GroupRepository, daemon.GroupPolicy, daemon.GroupClusters, daemon.GroupLog)
	quiet(cmd)
	base := cmd.Flags().String("base", "", "the revision to merge into: a branch, a tag or a commit")
	head := cmd.Flags().String("head", "HEAD", "the revision to merge")
	facts := cmd.Flags().String("facts", "", "file with what the clusters report, in place of asking them; - for standard input")
	offline := cmd.Flags().Bool("offline", false, "ask no cluster: take each to run what the base says")
	timeout := cmd.Flags().Duration("timeout", 30*time.Second, "how long to wait for the clusters' answers")
	output := cmd.Flags().StringP("output", "o", "text", "text, markdown or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *base == "" {
			return errors.New("plan needs --base: the revision to merge into, such as origin/main")
		}
		if err := checkOutput(*output, "text", "markdown", "json"); err != nil {
			return err
		}
		log, err := newLog(cmd, cfg)
		if err != nil {
			return err
		}
		o := daemon.PlanOptions{Base: *base, Head: *head, Timeout: *timeout, Log: log, Version: buildVersion()}
		if *offline || *facts != "" {
			reported, err := readFacts(cmd, *facts)
			if err != nil {
				return err
			}
			o.Facts = &reported
		}
		planning, err := daemon.Plan(cmd.Context(), cfg, o)
		if err != nil {
			return err
		}
		writeUncommitted(cmd.ErrOrStderr(), planning.Uncommitted, "planned")
		p := planning.Plan
		switch *output {
		case "json":
			err = writeJSON(cmd.OutOrStdout(), p)
		case "markdown":
			_, err = io.WriteString(onTerminal(cmd.OutOrStdout()), p.Markdown(plan.CommentBytes))
		default:
			writePlan(plainWriter{cmd.OutOrStdout()}, p)
		}
		if err != nil {
			return err
		}
		switch p.Verdict {
		case plan.Same:
			return nil
		case plan.Changes:
			return errChanges
		case plan.Unsure, plan.Fails:
		}
		return errNo
	}
	return cmd
}

// errChanges is returned by a plan that would change something.
var errChanges = errors.New("something would change")

// writePlan prints a plan: what matters first, then all that changes.
func writePlan(w io.Writer, p *plan.Plan) {
	fmt.Fprintf(w, "%s  %s → %s  %s\n%s\n", p.Federation, p.Head, p.Base, p.Verdict, p.Summary)
	for _, c := range p.Clusters {
		if !c.Unasked.IsZero() {
			fmt.Fprintf(w, "not asked: %s  %s  %s\n", c.Name, c.State, indented(c.Unasked.String(), "  "))
		}
	}
	if len(p.Risks) > 0 {
		fmt.Fprintln(w)
	}
	for _, r := range p.Risks {
		fmt.Fprintf(w, "%s %s\n", r.Severity, indented(r.String(), "  "))
		if len(r.Clusters) > 0 && r.Object != (federation.ObjectRef{}) {
			fmt.Fprintf(w, "  in %s\n", p.Where(r.Clusters))
		}
	}
	for _, o := range p.Objects {
		fmt.Fprintf(w, "\n%-6s  %s", o.Action, o.Object)
		if o.File != "" {
			fmt.Fprintf(w, "  %s", o.File)
		}
		fmt.Fprintf(w, "\n        in %s\n", p.Where(o.Clusters))
		if o.Both {
			fmt.Fprintf(w, "        the base changed %s too\n", o.File)
		}
		for _, f := range o.Fields {
			writeField(w, f)
		}
	}
	writePorts(w, p)
	writeShares(w, p)
	if len(p.Findings) > 0 {
		fmt.Fprintln(w)
		_ = writeFindings(w, p.Findings) // the verdict decides the exit status
	}
	if len(p.Mended) > 0 {
		fmt.Fprintln(w, "\nmended:")
		for _, f := range p.Mended {
			fmt.Fprintf(w, "  %-4s %s\n", f.ID, indented(f.String(), "  "))
		}
	}
}

func writePorts(w io.Writer, p *plan.Plan) {
	if len(p.Ports) > 0 {
		fmt.Fprintln(w)
	}
	for _, c := range p.Ports {
		fmt.Fprintf(w, "node port  %s  port %d/%s  %s", c.Service, c.Port, c.Protocol, plan.FromTo(int64(c.Before), int64(c.After)))
		if !c.Reason.IsZero() {
			fmt.Fprintf(w, "  %s", indented(c.Reason.String(), "  "))
		}
		fmt.Fprintln(w)
	}
}

func writeShares(w io.Writer, p *plan.Plan) {
	if len(p.Replicas) > 0 {
		fmt.Fprintln(w)
	}
	for _, r := range p.Replicas {
		fmt.Fprintf(w, "replicas   %s  %s", r.Object, plan.FromTo(r.Before, r.After))
		if len(r.Shares) > 0 {
			fmt.Fprintf(w, ": %s", p.Shares(r))
		}
		fmt.Fprintln(w)
	}
}
