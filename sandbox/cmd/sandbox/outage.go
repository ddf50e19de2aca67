package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/sandbox"
	"github.com/fedsync/fedsync/sandbox/control"
)

// locationVariable is the environment variable with the path of a running sandbox's
// description.
const locationVariable = "FEDSYNC_TEST_SANDBOX"

func statusCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the clusters of a running sandbox",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := running(dir)
			if err != nil {
				return err
			}
			clusters, err := client.Clusters(cmd.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "CLUSTER\tSTATE\tNODES\tSERVER") // Flush returns a write error
			for _, c := range clusters {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Name, c.State, cmp.Or(c.Nodes, "-"), c.Server)
			}
			return w.Flush()
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}

func outageCommands() []*cobra.Command {
	var all []*cobra.Command
	for _, a := range []struct {
		action control.Action
		short  string
	}{
		{control.Pause, "Pause a cluster's API server: it accepts connections and never answers"},
		{control.Resume, "Resume a paused API server"},
		{control.Kill, "Kill a cluster's API server: it refuses connections"},
		{control.Start, "Start a killed API server again, with the same address and objects"},
		{control.KillNodes, "Kill a cluster's nodes: they refuse new connections and break open ones (needs up --gcp)"},
		{control.ReviveNodes, "Make killed nodes answer again (needs up --gcp)"},
	} {
		var dir string
		cmd := &cobra.Command{
			Use:   string(a.action) + " CLUSTER",
			Short: a.short,
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				client, err := running(dir)
				if err != nil {
					return err
				}
				c, err := client.Do(cmd.Context(), a.action, args[0])
				if err != nil {
					return err
				}
				state := fmt.Sprintf("%s is %s", c.Name, c.State)
				if a.action == control.KillNodes || a.action == control.ReviveNodes {
					state = fmt.Sprintf("the nodes of %s are %s", c.Name, c.Nodes)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), state)
				return err
			},
		}
		dirFlag(cmd, &dir)
		all = append(all, cmd)
	}
	return all
}

func dirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "directory of the sandbox (default: that of the description at the path in $"+locationVariable+")")
}

// running returns a client of the sandbox in dir, or of the one that the environment
// names if dir is empty.
func running(dir string) (*control.Client, error) {
	path := os.Getenv(locationVariable)
	if dir != "" {
		path = filepath.Join(dir, sandbox.FileName)
	}
	if path == "" {
		return nil, errors.New("no sandbox is named: use --dir, or set $" + locationVariable + " to the path of its " + sandbox.FileName)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the description of the sandbox: %w", err)
	}
	var d sandbox.Description
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	return control.NewClient(d.Control), nil
}
