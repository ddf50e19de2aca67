package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/wire"
)

func newRestore(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore CLUSTER [OBJECT]",
		Short: "Put back an object as it was before fedsync adopted it",
		Long: `Puts an object back as it was before fedsync last adopted it. OBJECT is
[GROUP/]KIND[/NAMESPACE]/NAME, as in all of fedsync's output. Copies of adopted objects are
retained for 30 days in Secrets of the namespace fedsync-system; --list prints all copies
in the cluster and changes nothing.

Only a copy that fedsync made is put back: the digest of each is in the inventory, in a
ConfigMap of that namespace with the Secret's name. A copy that was changed since is never
put back. A copy from an earlier version has no digest, is listed as unproved, and is put
back only with --unproved: check the Secret first, since anyone who may create Secrets
there may have made it.

The repository names the cluster's context in the kubeconfig and the federation. With
--federation no repository is read, and CLUSTER is the context itself.

If the object is still in the repository, a running fedsync adopts it again at once: remove
it from the repository first, or set "adoption: Never" for its app.

Exit status 0 when the object is as it was, 1 when there is no copy of it or the cluster
refuses it, 2 when the cluster does not answer.`,
		Example: `  fedsync restore gce-us-east1b --list
  fedsync restore gce-us-east1b Service/web/nginx
  fedsync restore gce-us-east1b apps/ReplicaSet/web/nginx --federation web`,
		Args: cobra.RangeArgs(1, 2),
	}
	cfg := settings(cmd, environment, config.GroupRepository, config.GroupPolicy, config.GroupClusters, config.GroupLog)
	quiet(cmd)
	name := cmd.Flags().String("federation", "", "the federation's name, instead of reading it from the repository")
	unproved := cmd.Flags().Bool("unproved", false, "also put back a copy without a digest in the inventory, from an earlier version")
	list := cmd.Flags().Bool("list", false, "print the copies and put nothing back")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var ref federation.ObjectRef
		switch {
		case *list && len(args) == 2:
			return errors.New("--list is for all objects: leave out OBJECT")
		case !*list && len(args) == 1:
			return errors.New("OBJECT is required: name it as [GROUP/]KIND[/NAMESPACE]/NAME, or use --list to print the copies")
		case !*list:
			var err error
			if ref, err = federation.ParseObjectRef(args[1]); err != nil {
				return err
			}
		}
		r, err := newRestoration(cmd, cfg, args[0], *name)
		if err != nil {
			return err
		}
		if *list {
			return r.list(cmd.Context(), printer.Plain(cmd.OutOrStdout()))
		}
		return r.restore(cmd.Context(), printer.Plain(cmd.OutOrStdout()), ref, *unproved)
	}
	return cmd
}

// restoration is one cluster with its copies.
type restoration struct {
	cluster string
	applier *apply.Applier
	// planned is what the repository has for the cluster; nil if it was not read.
	planned *federation.ClusterPlan
}

func newRestoration(cmd *cobra.Command, cfg *config.Config, cluster, name string) (*restoration, error) {
	log, err := newLog(cmd, cfg)
	if err != nil {
		return nil, err
	}
	r := &restoration{cluster: cluster}
	context := cluster
	if name != "" {
		cfg.Contexts = nil // they limit what a repository may name; here the operator names it
	} else {
		rendering, err := preview.Render(cmd.Context(), cfg, federation.Facts{})
		if err != nil {
			return nil, fmt.Errorf("%w\nuse --federation NAME to restore without the repository", err)
		}
		f := rendering.Federation
		i := slices.IndexFunc(f.Clusters, func(c federation.Cluster) bool { return c.Name == cluster })
		if i < 0 {
			return nil, noCluster(cluster, f)
		}
		name, context = f.Name, f.Clusters[i].Context
		for _, p := range rendering.Plan.Clusters {
			if p.Cluster == cluster {
				r.planned = &p
			}
		}
	}
	r.applier, err = wire.NewApplier(cfg, name, context, buildVersion(), log)
	return r, err
}

func (r *restoration) list(ctx context.Context, w io.Writer) error {
	all, err := r.applier.Backups().List(ctx)
	if err != nil {
		return fmt.Errorf("list the copies in %s: %w", r.cluster, err)
	}
	if len(all) == 0 {
		fmt.Fprintf(w, "no copies in %s\n", r.cluster)
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "OBJECT\tKEPT\tUNTIL\tSTATE\tSECRET")
	for _, k := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s/%s\n", k.Object,
			k.At.UTC().Format(time.RFC3339), k.Expires.UTC().Format(time.RFC3339), k.State, federation.SystemNamespace, k.Secret)
	}
	return t.Flush()
}

func (r *restoration) restore(ctx context.Context, w io.Writer, ref federation.ObjectRef, unproved bool) error {
	all, err := r.applier.Backups().List(ctx)
	if err != nil {
		return fmt.Errorf("list the copies in %s: %w", r.cluster, err)
	}
	if !slices.ContainsFunc(all, func(k backup.Copy) bool { return k.Object == ref }) {
		return negativeAnswer{fmt.Errorf("no copy of %s in %s; use --list to print the copies", ref, r.cluster)}
	}
	kept, err := r.applier.Backups().Restore(ctx, ref, unproved)
	var notProved *backup.NotProvedError
	var refused *refusal.Error
	switch {
	case errors.As(err, &notProved) && notProved.Copy.State == backup.Unproved:
		return negativeAnswer{fmt.Errorf("%s: %w; check it, and use --unproved if it is genuine", r.cluster, err)}
	case errors.As(err, &notProved):
		return negativeAnswer{fmt.Errorf("%s: %w", r.cluster, err)}
	case errors.As(err, &refused) && refused.Class != refusal.ClassUnreachable && refused.Class != refusal.ClassCredentials:
		return negativeAnswer{fmt.Errorf("%s: %w", r.cluster, err)}
	case err != nil:
		return fmt.Errorf("%s: %w", r.cluster, err)
	}
	fmt.Fprintf(w, "%s in %s restored: it is as it was before its adoption on %s\n", ref, r.cluster, kept.At.UTC().Format(time.RFC3339))
	for _, k := range all {
		if k.Object == ref && k.At.After(kept.At) {
			fmt.Fprintf(w, "Secret %s/%s is newer and was skipped: it is %s.\n", federation.SystemNamespace, k.Secret, k.State)
		}
	}
	r.warn(w, ref)
	return nil
}

// warn prints what a running fedsync will do with the object.
func (r *restoration) warn(w io.Writer, ref federation.ObjectRef) {
	if r.planned == nil {
		fmt.Fprintln(w, "If the repository still has it, a running fedsync adopts it again: remove it there, or set adoption: Never for its app.")
		return
	}
	for _, app := range r.planned.Apps {
		for _, o := range app.Objects {
			if o.Ref == ref && app.Adoption != federation.AdoptNever {
				fmt.Fprintf(w, "%s still has it: a running fedsync adopts it again at once. Remove it there, or set adoption: Never for app %s.\n",
					cmp.Or(o.File, "The repository"), app.App)
			}
		}
	}
}
