package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/handover"
	"github.com/fedsync/fedsync/pkg/takeover"
)

// takeOverName moves what a federation has under its former name, or prints what it
// would move.
func takeOverName(cmd *cobra.Command, cfg *config.Config, log *zap.Logger, former string, yes, force bool) error {
	r, err := handover.InspectRename(cmd.Context(), cfg, buildVersion(), log, former)
	if err != nil {
		return err
	}
	out := printer.Plain(cmd.OutOrStdout())
	if !yes {
		return printRename(out, r)
	}
	moved, err := r.Move(cmd.Context(), force)
	return printMoved(out, moved, err, "have everything under the name "+r.Federation.Name)
}

// printRename prints what each cluster has under the former name.
func printRename(w io.Writer, r *handover.Rename) error {
	fmt.Fprintf(w, "federation %s, %s at %s: it was %s\n\n", r.Federation.Name, r.Revision, r.Repository, untrusted.Clean(r.Former, 64))
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CLUSTER\tCLAIM\tINVENTORIES")
	other, unasked := 0, 0
	for _, c := range r.Clusters {
		if c.Err != nil {
			unasked++
			fmt.Fprintf(table, "%s\tnot read: %s\t\n", c.Name, untrusted.Line(c.Err.Error()))
			continue
		}
		if c.HasFormer() {
			other++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.Name, formerClaim(c), formerInventories(c))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, c := range r.Clusters {
		for _, app := range slices.Sorted(maps.Keys(c.Refused)) {
			fmt.Fprintf(w, "\n%s: the inventory of app %s is left unchanged: %s\n", c.Name, untrusted.Clean(app, 64), untrusted.Line(c.Refused[app]))
		}
	}
	if r.Federation.GCP != nil {
		fmt.Fprintln(w, "\nResources on Google Cloud are named after the federation and are not moved: new ones are made, with their own addresses.")
	}
	switch {
	case other > 0:
		fmt.Fprintf(w, "\n%d of %d clusters have objects of federation %s. Nothing was written; use --yes to move them to %s.\n",
			other, len(r.Clusters), untrusted.Clean(r.Former, 64), r.Federation.Name)
	case unasked > 0:
		fmt.Fprintf(w, "\n%d of %d clusters were not read; the other clusters have nothing under that name.\n", unasked, len(r.Clusters))
	default:
		fmt.Fprintln(w, "\nNothing to move: no cluster has anything of this source under that name.")
		return nil
	}
	return printer.ErrNo
}

func formerClaim(c takeover.Cluster) string {
	if c.Claim.Version == "" {
		return "none"
	}
	return "of " + c.Claim.Who
}

func formerInventories(c takeover.Cluster) string {
	if len(c.Ours) == 0 {
		return "none"
	}
	return untrusted.Line(untrusted.Some(c.Ours, 10))
}
