package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/source/gitdir"
)

func newInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init [FOLDER]",
		Short: "Write a fedsync.yaml with the clusters of a kubeconfig",
		Long: `Writes a fedsync.yaml into a folder, by default the current one: a cluster for each
context of the kubeconfig, and an app for each folder in apps/. It makes no request to a
cluster, and never overwrites a fedsync.yaml.

A cluster is named after its context, as far as that is a valid name. For contexts that
GKE and EKS write, it is the name of the cluster in the context, if no other has the same.`,
		Example: `  fedsync init
  fedsync init --name shop --contexts 'gke_shop_*' web`,
		Args: cobra.MaximumNArgs(1),
	}
	name := cmd.Flags().String("name", "", "the federation's name (default: the folder's)")
	kubeconfig := cmd.Flags().String("kubeconfig", "", "kubeconfig with a context for each member cluster (default: $KUBECONFIG, else ~/.kube/config)")
	patterns := cmd.Flags().StringSlice("contexts", nil, "the contexts to take, as patterns in which * stands for any text (default: all)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		folder := "."
		if len(args) > 0 {
			folder = args[0]
		}
		contexts, err := config.Contexts(*kubeconfig, *patterns)
		if err != nil {
			return err
		}
		if len(contexts) == 0 {
			return errors.New("the kubeconfig has no context that could be a member: use another file with --kubeconfig, or other patterns with --contexts")
		}
		file, apps, err := writeInitial(folder, *name, contexts)
		if err != nil {
			return err
		}
		fmt.Fprintf(printer.Plain(cmd.OutOrStdout()), "%s has %s and %s\nNext: remove clusters that are not members, commit the file, and check what each cluster would run: fedsync render %s\n",
			file, count(len(contexts), "cluster"), count(apps, "app"), gitdir.Settings(folder))
		return nil
	}
	return cmd
}

// writeInitial writes the file, and returns where it is and how many apps it has.
func writeInitial(folder, name string, contexts []string) (file string, apps int, err error) {
	if name == "" {
		abs, err := filepath.Abs(folder)
		if err != nil {
			return "", 0, err
		}
		name = filepath.Base(abs)
	}
	var folders []string
	entries, err := os.ReadDir(filepath.Join(folder, "apps"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", 0, err
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			folders = append(folders, path.Join("apps", e.Name()))
		}
	}
	file = filepath.Join(folder, federation.FileName)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // It is world-readable, as files that Git checks out.
	if errors.Is(err, fs.ErrExist) {
		return "", 0, fmt.Errorf("%s already exists: not overwritten", file)
	}
	if err != nil {
		return "", 0, err
	}
	_, err = f.WriteString(fedfile.Initial(name, contexts, folders))
	return file, len(folders), errors.Join(err, f.Close())
}
