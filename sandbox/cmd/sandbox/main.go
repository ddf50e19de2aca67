// Command sandbox runs a federation of real Kubernetes clusters on one machine,
// for tests, demonstrations and measurements.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/klog/v2"

	"github.com/fedsync/fedsync/sandbox/build"
	"github.com/fedsync/fedsync/sandbox/child"
)

func main() {
	// The reader of our output may end first. Without this, SIGPIPE would kill us
	// before everything is stopped.
	signal.Ignore(syscall.SIGPIPE)
	// client-go logs every connection that an outage breaks.
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "sandbox",
		Short:         "Run a federation of real Kubernetes clusters on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(buildCommand(), upCommand(), statusCommand(), wardenCommand())
	root.AddCommand(outageCommands()...)
	return root
}

func buildCommand() *cobra.Command {
	var programs string
	var forge bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the programs that a sandbox runs, unless they are already built",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := programSet(programs)
			if err != nil {
				return err
			}
			out := &build.Progress{Out: os.Stderr, Terminal: term.IsTerminal(int(os.Stderr.Fd()))}
			return set.Build(cmd.Context(), forge, out)
		},
	}
	programsFlag(cmd, &programs)
	cmd.Flags().BoolVar(&forge, "forge", false, "also build the forge (Gitea)")
	return cmd
}

func programsFlag(cmd *cobra.Command, programs *string) {
	cmd.Flags().StringVar(programs, "programs", "", "directory with the pinned modules (default: sandbox/programs of the checkout that contains the working directory)")
}

// programSet returns the programs that the checkout pins, and where they are stored.
// Empty modules means those of the checkout that contains the working directory.
func programSet(modules string) (build.Set, error) {
	if modules == "" {
		here, err := os.Getwd()
		if err != nil {
			return build.Set{}, err
		}
		if modules, err = build.Modules(here); err != nil {
			return build.Set{}, err
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return build.Set{}, fmt.Errorf("find the user's cache directory: %w", err)
	}
	return build.Set{
		Modules: modules,
		Cache:   filepath.Join(cache, "fedsync", "programs"),
		Assets:  os.Getenv("KUBEBUILDER_ASSETS"),
	}, nil
}

func wardenCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "warden DIR",
		Short:  "Wait for the sandbox to end, then clean up",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if term.IsTerminal(int(os.Stdin.Fd())) {
				return errors.New("do not run the warden yourself: `sandbox up` starts it, and it kills programs and removes DIR")
			}
			return child.Warden(os.Stdin, args[0])
		},
	}
}
