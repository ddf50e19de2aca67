package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/handover"
	"github.com/fedsync/fedsync/pkg/takeover"
)

func newTakeover(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "takeover",
		Short: "Move a federation from its former repository or name to the present one",
		Long: `Moves what a federation has in its clusters from another source to this one.

A source is a repository's address with the branch that is followed. fedsync writes to no
cluster that belongs to another source, so that two repositories with a federation of the
same name do not overwrite each other. A repository that was renamed, or moved to another
server, counts as another source too: use this command to assign its clusters to this
source. It moves the claim (a Lease) and the inventory of each app (a ConfigMap), both in
the namespace fedsync-system, and touches nothing else. Workloads continue to run unchanged.

Without --yes it reads every cluster, prints what it would move, and writes nothing.

With --yes it first checks whether an instance of the other source still runs. A claim is
never renewed, so the check is an experiment: it replaces the holder of each claim by one
that every instance overrides. A running instance restores its claim within 10 seconds, and
then nothing is moved. An instance that cannot reach any cluster cannot be detected; when it
is back, it sees that the claim is not its own, and writes nothing. --force skips the check:
a running instance is then locked out, and reports that.

The command may be interrupted at any time and run again, also if a cluster did not answer.
A running fedsync of this source continues by itself.

With --federation it moves what the clusters have of this same source (repository, branch
and path) under the name that the federation had before metadata.name was changed: the
label of each object, the inventories, the copies that adoption made, and the claim, which
is handed over first and deleted at the end. A running federation of that name is detected
in the same way.

Load balancers, addresses and certificates that the other source made on Google Cloud are
not moved: they are named after that source. This source makes its own in addition.

Exit status 0 when every cluster belongs to this source, 1 when one does not or was not
read, 2 when the repository or the kubeconfig cannot be read.`,
		Example: `  fedsync takeover --repo https://git.example/new/web.git --token-file token
  fedsync takeover --repo https://git.example/new/web.git --token-file token --yes
  fedsync takeover --federation web --yes`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, config.GroupRepository, config.GroupClusters, config.GroupLog)
	quiet(cmd)
	yes := cmd.Flags().Bool("yes", false, "move it, instead of printing what would be moved")
	former := cmd.Flags().String("federation", "", "the former name of the federation, in this same source")
	force := cmd.Flags().Bool("force", false, "with --yes: do not check whether an instance of the other source runs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *force && !*yes {
			return errors.New("--force requires --yes")
		}
		log, err := newLog(cmd, cfg)
		if err != nil {
			return err
		}
		if *former != "" {
			return takeOverName(cmd, cfg, log, *former, *yes, *force)
		}
		t, err := handover.Inspect(cmd.Context(), cfg, buildVersion(), log)
		if err != nil {
			return err
		}
		out := printer.Plain(cmd.OutOrStdout())
		if !*yes {
			return printTakeover(out, t)
		}
		return doTakeover(cmd, out, t, *force)
	}
	return cmd
}

// printTakeover prints which source owns what, and what would be moved.
func printTakeover(w io.Writer, t *handover.Takeover) error {
	fmt.Fprintf(w, "federation %s, %s at %s: this source is %s\n\n", t.Federation.Name, t.Revision, t.Repository, t.Source)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CLUSTER\tCLAIM\tINVENTORIES")
	other, unasked := 0, 0
	for _, c := range t.Clusters {
		switch {
		case c.Err != nil:
			unasked++
			fmt.Fprintf(table, "%s\tnot read: %s\t\n", c.Name, untrusted.Line(c.Err.Error()))
			continue
		case !c.Settled(t.Source):
			other++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.Name, claimWords(c, t.Source), inventoryWords(c))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	printTakeoverNotes(w, t)
	switch {
	case other > 0:
		fmt.Fprintf(w, "\n%d of %d clusters belong to another source. Nothing was written; use --yes to move them to this one.\n", other, len(t.Clusters))
	case unasked > 0:
		fmt.Fprintf(w, "\n%d of %d clusters were not read; the other clusters do not belong to another source.\n", unasked, len(t.Clusters))
	default:
		fmt.Fprintln(w, "\nNothing to move: no cluster belongs to another source.")
		return nil
	}
	return printer.ErrNo
}

// claimWords returns which source the claim belongs to, in words.
func claimWords(c takeover.Cluster, source string) string {
	switch {
	case c.Claim.OfAnother(source):
		return fmt.Sprintf("of source %s (%s)", untrusted.Clean(c.Claim.Source, 64), c.Claim.Who)
	case c.Claim.Source == source:
		return "of this source"
	}
	return "none"
}

// inventoryWords returns which sources the inventories belong to, in words.
func inventoryWords(c takeover.Cluster) string {
	var words []string
	foreign := map[string][]string{}
	for _, p := range c.Foreign {
		foreign[p.Source] = append(foreign[p.Source], untrusted.Clean(p.App, 64))
	}
	for source, apps := range foreign {
		words = append(words, fmt.Sprintf("of source %s: %s", untrusted.Clean(source, 64), untrusted.Some(apps, 10)))
	}
	slices.Sort(words)
	if len(c.Ours) > 0 {
		words = append(words, "of this source: "+untrusted.Line(untrusted.Some(c.Ours, 10)))
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, "; ")
}

// printTakeoverNotes prints the other consequences of a move.
func printTakeoverNotes(w io.Writer, t *handover.Takeover) {
	var gone []string
	for _, c := range t.Clusters {
		for _, p := range c.Foreign {
			app := untrusted.Clean(p.App, 64)
			if !hasApp(t.Federation, p.App) && !slices.Contains(gone, app) {
				gone = append(gone, app)
			}
		}
		for _, app := range slices.Sorted(maps.Keys(c.Refused)) {
			fmt.Fprintf(w, "\n%s: the inventory of app %s is left unchanged: %s\n", c.Name, untrusted.Clean(app, 64), untrusted.Line(c.Refused[app]))
		}
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		fmt.Fprintf(w, "\nNot in this revision: app %s. After the move, a running fedsync prunes its objects, within the limits of prune.\n", untrusted.Some(gone, 10))
	}
	if t.Federation.GCP != nil {
		fmt.Fprintln(w, "\nResources that the other source made on Google Cloud are named after it and are not moved: this source makes its own, with their own addresses.")
	}
}

func hasApp(f *federation.Federation, name string) bool {
	return slices.ContainsFunc(f.Apps, func(a federation.App) bool { return a.Name == name })
}

// doTakeover moves what belongs to another source, and prints what was done in each
// cluster.
func doTakeover(cmd *cobra.Command, w io.Writer, t *handover.Takeover, force bool) error {
	moved, err := t.Move(cmd.Context(), force)
	return printMoved(w, moved, err, "belong to this source")
}

// printMoved prints what was done in each cluster. Its error counts the clusters that
// failed; should completes "N clusters do not …".
func printMoved(w io.Writer, moved []takeover.Moved, err error, should string) error {
	if alive, ok := errors.AsType[*takeover.AliveError](err); ok {
		return negativeAnswer{fmt.Errorf("%w\nnothing was moved: stop it first, or lock it out with --force", alive)}
	}
	failed := 0
	for _, m := range moved {
		var done []string
		if m.Claim {
			done = append(done, "the claim")
		}
		for _, app := range m.Apps {
			done = append(done, "app "+untrusted.Clean(app, 64))
		}
		words := "moved " + strings.Join(done, ", ")
		if len(done) == 0 {
			words = "nothing to move"
		}
		if m.Err != nil {
			failed++
			words = "not moved: " + untrusted.Line(m.Err.Error())
			if len(done) > 0 {
				words = "moved " + strings.Join(done, ", ") + "; " + words
			}
		}
		fmt.Fprintf(w, "%s: %s\n", m.Name, words)
	}
	if err != nil {
		return err
	}
	if failed > 0 {
		return negativeAnswer{fmt.Errorf("%d of %d clusters do not %s, or only in part: run the command again when they answer", failed, len(moved), should)}
	}
	return nil
}
