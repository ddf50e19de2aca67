package main

import (
	"errors"
	"fmt"
	"io"
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
		Short: "Move a federation from the repository, or from the name, that it had to the one it has now",
		Long: `Moves what a federation has in its clusters from another source to this one.

A source is a repository's address with the branch that is followed. fedsync writes to
no cluster that belongs to another source, so that two repositories with one federation's
name do not overwrite each other. A repository that was renamed, or that moved to another
server, is another source as well: then this command makes its clusters this source's.
It moves the claim (a Lease) and the inventory of each app (a ConfigMap), both in the
namespace fedsync-system, and touches nothing else. What runs goes on as it is.

Without --yes it asks every cluster, prints what it would move, and writes nothing.

With --yes it first finds out whether an instance of the other source still runs. A claim
is never renewed, so this is tried: the holder of each claim is replaced by one that every
instance wins over, and an instance that runs puts itself back within 10 seconds. Then
nothing is moved. One that cannot reach any cluster cannot be found; when it is back, it
sees that the claim is not its own, and writes nothing. --force does not try: an instance
that runs is then locked out, and says so.

It may be cut off anywhere and run again, and so where a cluster did not answer. A fedsync
of this source that runs already goes on by itself.

With --federation it moves what the clusters have of this same source (repository, branch
and path) under the name that the federation had before metadata.name was changed: the
label of each object, the inventories, what adoption kept, and the claim, which is handed
over first and deleted at the end. A federation of that name that still runs is found out
in the same way.

Load balancers, addresses and certificates that the other source made on Google Cloud are
not moved: they are named after it. This source makes its own, beside them.

Exit status 0 when every cluster belongs to this source, 1 when one does not or was not
asked, 2 when the repository or the kubeconfig cannot be read.`,
		Example: `  fedsync takeover --repo https://git.example/new/web.git --token-file token
  fedsync takeover --repo https://git.example/new/web.git --token-file token --yes
  fedsync takeover --federation web --yes`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, config.GroupRepository, config.GroupClusters, config.GroupLog)
	quiet(cmd)
	yes := cmd.Flags().Bool("yes", false, "move it, instead of saying what would be moved")
	former := cmd.Flags().String("federation", "", "the name that the federation had before, in this same source")
	force := cmd.Flags().Bool("force", false, "with --yes: do not find out whether an instance of the other source runs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *force && !*yes {
			return errors.New("--force goes with --yes")
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

// printTakeover prints what belongs to whom, and what would be moved.
func printTakeover(w io.Writer, t *handover.Takeover) error {
	fmt.Fprintf(w, "federation %s, %s at %s: this source is %s\n\n", t.Federation.Name, t.Revision, t.Repository, t.Source)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CLUSTER\tCLAIM\tINVENTORIES")
	other, unasked := 0, 0
	for _, c := range t.Clusters {
		switch {
		case c.Err != nil:
			unasked++
			fmt.Fprintf(table, "%s\tnot asked: %s\t\n", c.Name, untrusted.Line(c.Err.Error()))
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
		fmt.Fprintf(w, "\n%d of %d clusters belong to another source. Nothing was written; --yes moves what is theirs to this one.\n", other, len(t.Clusters))
	case unasked > 0:
		fmt.Fprintf(w, "\n%d of %d clusters were not asked; of the others none belongs to another source.\n", unasked, len(t.Clusters))
	default:
		fmt.Fprintln(w, "\nNothing is to be moved: no cluster belongs to another source.")
		return nil
	}
	return printer.ErrNo
}

// claimWords says whose the claim is.
func claimWords(c takeover.Cluster, source string) string {
	switch {
	case c.Claim.OfAnother(source):
		return fmt.Sprintf("of source %s (%s)", untrusted.Clean(c.Claim.Source, 64), c.Claim.Who)
	case c.Claim.Source == source:
		return "of this source"
	}
	return "of nobody"
}

// inventoryWords says whose the inventories are.
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

// printTakeoverNotes says what else comes of moving it.
func printTakeoverNotes(w io.Writer, t *handover.Takeover) {
	var gone []string
	for _, c := range t.Clusters {
		for _, p := range c.Foreign {
			app := untrusted.Clean(p.App, 64)
			if !hasApp(t.Federation, p.App) && !slices.Contains(gone, app) {
				gone = append(gone, app)
			}
		}
		for app, why := range c.Refused {
			fmt.Fprintf(w, "\n%s: the inventory of app %s stays as it is: %s\n", c.Name, untrusted.Clean(app, 64), untrusted.Line(why))
		}
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		fmt.Fprintf(w, "\nNot in this revision: app %s. Once moved, its objects are pruned by a fedsync that runs, within the limits of prune.\n", untrusted.Some(gone, 10))
	}
	if t.Federation.GCP != nil {
		fmt.Fprintln(w, "\nWhat the other source made on Google Cloud is named after it and is not moved: this source makes its own, with addresses of its own.")
	}
}

func hasApp(f *federation.Federation, name string) bool {
	return slices.ContainsFunc(f.Apps, func(a federation.App) bool { return a.Name == name })
}

// doTakeover moves what belongs to another source, and says of each cluster what was done.
func doTakeover(cmd *cobra.Command, w io.Writer, t *handover.Takeover, force bool) error {
	moved, err := t.Move(cmd.Context(), force)
	return printMoved(w, moved, err, "belong to this source")
}

// printMoved says of each cluster what was done, and that those that failed do not what
// they should.
func printMoved(w io.Writer, moved []takeover.Moved, err error, should string) error {
	if alive, ok := errors.AsType[*takeover.AliveError](err); ok {
		return noError{fmt.Errorf("%w\nnothing was moved: stop it first; or lock it out with --force", alive)}
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
			words = "nothing was to be moved"
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
		return noError{fmt.Errorf("%d of %d clusters do not %s, or not wholly: run it again when they answer", failed, len(moved), should)}
	}
	return nil
}
