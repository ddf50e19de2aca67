package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
)

// planName is the command with different exit statuses.
const planName = "plan"

func newPlan(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   planName + " [--base REVISION]",
		Short: "Print what merging a change would do in every cluster; changes nothing",
		Long: `Prints what merging one revision into another would do to the objects of every cluster,
to node ports and to replicas, and which of it is dangerous. The change is merged into the
base from the common ancestor, as git merge would do, so a head that is behind the base
deletes nothing. Objects that change in the same way in several clusters are printed once,
with the names of the clusters. The content of a Secret is never shown.

The head is what is committed. With --working-tree it includes uncommitted changes of the
clone, as git add --all and a commit would: also files that are neither tracked nor
ignored. Without --base, it is compared with the commit that the clone is at.

Every member cluster of the base is asked for its report, and for a dry run of the objects
that change; nothing is written. With --facts or --offline, no cluster is asked. If a
cluster cannot be asked, --plan-unknown decides: fail means exit status 1; pass assumes that
the change works there as rendered; wait asks again until --timeout and then fails.

If fedsync maintains load balancers on Google Cloud, Compute Engine is read as well, in the
project that the base names, and the changes there are listed separately.

For differences in the clusters without the change, use fedsync diff.

Unlike those of other commands, the exit statuses suit a check in CI: 0 when nothing would
change, 2 when something would, 1 when the change would not work or the answer is unknown.`,
		Example: `  fedsync plan --working-tree
  fedsync plan --base origin/main
  fedsync plan --base main --head new-ports --repo https://forge.example/team/web.git
  fedsync plan --base origin/main --offline -o markdown > comment.md
  fedsync plan --base origin/main -o json | jq '.risks[].message'`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, config.GroupRepository, config.GroupPolicy, config.GroupClusters, config.GroupCloud, config.GroupLog)
	quiet(cmd)
	o := daemon.PlanOptions{Version: buildVersion()}
	cmd.Flags().StringVar(&o.Base, "base", "", "the revision to merge into: a branch, a tag or a commit (default with --working-tree: HEAD)")
	cmd.Flags().StringVar(&o.Head, "head", "HEAD", "the revision to merge")
	cmd.Flags().BoolVar(&o.WorkingTree, "working-tree", false, "merge the content of the clone at --repo, committed or not")
	facts := cmd.Flags().String("facts", "", "file with what the clusters report, instead of asking them; - for standard input")
	offline := cmd.Flags().Bool("offline", false, "ask no cluster: assume that each runs what the base says")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", 30*time.Second, "how long to wait for the clusters' reports, and then for their dry runs")
	unknown := cmd.Flags().String("plan-unknown", unknownFail, "what to do if a cluster cannot be asked about the plan: "+unknownHelp)
	output := cmd.Flags().StringP("output", "o", "text", "text, markdown or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkPlan(cmd, &o, *unknown); err != nil {
			return err
		}
		if err := printer.CheckFormat(*output, "text", "markdown", "json"); err != nil {
			return err
		}
		log, err := newLog(cmd, cfg)
		if err != nil {
			return err
		}
		o.Log, o.Patient = log, *unknown == unknownWait
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
		printer.Uncommitted(cmd.ErrOrStderr(), planning.Uncommitted, "planned")
		if err := printPlan(cmd.OutOrStdout(), planning.Plan, *output); err != nil {
			return err
		}
		return planStatus(planning.Plan, *unknown)
	}
	return cmd
}

// The values of --plan-unknown.
const (
	unknownPass = "pass"
	unknownFail = "fail"
	unknownWait = "wait"
	unknownHelp = "pass, fail, or wait (ask again until --timeout, then fail)"
)

// checkPlan checks the options and sets the default of Base.
func checkPlan(cmd *cobra.Command, o *daemon.PlanOptions, unknown string) error {
	switch {
	case o.WorkingTree && cmd.Flags().Changed("head"):
		return errors.New("--working-tree and --head are mutually exclusive")
	case o.WorkingTree && o.Base == "":
		o.Base = "HEAD"
	case o.Base == "":
		return errors.New("plan requires --base: the revision to merge into, such as origin/main")
	}
	if all := []string{unknownPass, unknownFail, unknownWait}; !slices.Contains(all, unknown) {
		return fmt.Errorf("--plan-unknown is %q; want %s", unknown, strings.Join(all, " or "))
	}
	return nil
}

func printPlan(w io.Writer, p *plan.Plan, format string) error {
	switch format {
	case "json":
		return printer.JSON(w, p)
	case "markdown":
		_, err := io.WriteString(printer.OnTerminal(w), p.Markdown(plan.CommentBytes))
		return err
	}
	writePlan(printer.Plain(w), p)
	return nil
}

// planStatus returns the exit status of a plan, as an error.
func planStatus(p *plan.Plan, unknown string) error {
	switch p.Verdict {
	case plan.Same:
		return nil
	case plan.Changes:
		return errChanges
	case plan.Unsure:
		if unknown == unknownPass {
			return errChanges // a plan without changes is never unsure
		}
	case plan.Fails:
	}
	return printer.ErrNo
}

// errChanges means that a plan would change something.
var errChanges = errors.New("something would change")

// writePlan prints a plan: first what matters, then everything that changes.
func writePlan(w io.Writer, p *plan.Plan) {
	fmt.Fprintf(w, "%s  %s → %s  %s\n%s\n", p.Federation, p.Head, p.Base, p.Verdict, p.Summary)
	for _, c := range p.Clusters {
		if !c.Unasked.IsZero() {
			fmt.Fprintf(w, "not asked: %s  %s  %s\n", c.Name, c.State, printer.Indented(c.Unasked.String(), "  "))
		}
	}
	if len(p.Risks) > 0 {
		fmt.Fprintln(w)
	}
	for _, r := range p.Risks {
		fmt.Fprintf(w, "%s %s\n", r.Severity, printer.Indented(r.String(), "  "))
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
	writePlanCloud(w, p.Cloud)
	if len(p.Findings) > 0 {
		fmt.Fprintln(w)
		_ = printer.Findings(w, p.Merged(p.Findings)) // the verdict decides the exit status
	}
	if len(p.Mended) > 0 {
		fmt.Fprintln(w, "\nfixed:")
		for _, f := range p.Merged(p.Mended) {
			fmt.Fprintf(w, "  %-4s %s\n", f.ID, printer.Indented(f.String(), "  "))
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
			fmt.Fprintf(w, "  %s", printer.Indented(c.Reason.String(), "  "))
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

// writePlanCloud prints the changes on Google Cloud in the form of fedsync diff.
func writePlanCloud(w io.Writer, c *plan.Cloud) {
	if c == nil {
		return
	}
	fmt.Fprintf(w, "\nCompute Engine, project %s: ", printer.Indented(c.Project, "  "))
	switch {
	case !c.Unasked.IsZero() && len(c.Changes) == 0:
		fmt.Fprintf(w, "not compared\n  ! %s\n", printer.Indented(c.Unasked.String(), "    "))
	case len(c.Changes) == 0:
		fmt.Fprintln(w, "no difference")
	default:
		fmt.Fprintln(w, count(len(c.Changes), "change"))
	}
	if !c.Unasked.IsZero() && len(c.Changes) > 0 {
		fmt.Fprintf(w, "  ! %s\n", printer.Indented(c.Unasked.String(), "    "))
	}
	for _, change := range c.Changes {
		fmt.Fprintf(w, "  %s %-6s  %s\n", sign(change.Verb), change.Verb, printer.Indented(strings.TrimSpace(change.Resource+"  "+change.Detail.String()), "    "))
	}
	if more := c.More(); more != "" {
		fmt.Fprintf(w, "  %s\n", more)
	}
}
