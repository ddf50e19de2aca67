package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/sandbox"
)

const upHelp = `Start clusters, print how to reach them as one line of JSON, and stay.

With --faulty, "kubeconfig" leads through a TLS proxy in front of each cluster and
"directKubeconfig" past it. The proxies do as they are told at the URL "faults":

  curl $FAULTS/rules -d '{"method":"PATCH","path":"/configmaps/","action":"answer","status":503,"header":{"Retry-After":"1"}}'
  curl $FAULTS/rules -d '{"cluster":"gce-asia-east1a","query":"watch=true","action":"hang"}'
  curl $FAULTS/rules -d '{"method":"POST","count":1,"action":"lose"}'
  curl $FAULTS/rules                                    # what is in force, and how often it applied
  curl -X DELETE $FAULTS/rules/1                        # or $FAULTS/rules
  curl $FAULTS/requests                                 # all requests; -X DELETE empties the log
  curl -X POST $FAULTS/backups                          # of all clusters
  curl -X POST "$FAULTS/clusters/gce-asia-east1a/restore?backup=1"
  curl -X POST $FAULTS/clusters/gce-asia-east1a/rebuild # or return, disconnect

A rule matches by cluster, method and path (regular expressions), query, and body
(a regular expression); "skip" spares the first requests, "count" ends the rule.
Its action is forward (with "delay" or "answerDelay"), answer ("status", "header",
"content", "reason", "message"), hang, withhold (the answer), lose (the answer),
drop or truncate (after "bytes"). "connection" breaks the whole connection.

With --gcp, a stand-in for Compute Engine answers compute/v1 at gcp.endpoint, for the
project gcp.project. The nodes are its machines, and answer at the node ports of
Services with who they are. The proxy gcp.proxy leads to its load balancers, which
lead to the nodes:

  curl --proxy $(jq -r .gcp.proxy $FEDSYNC_TEST_SANDBOX) http://ADDRESS/path

  sandbox kill-nodes gce-asia-east1a       # its nodes refuse; its API server goes on
  sandbox revive-nodes gce-asia-east1a

Calls of compute/v1 go wrong as the control socket is told, and are listed there:

  S="curl --unix-socket $(jq -r .control $FEDSYNC_TEST_SANDBOX)"
  $S http://s/gcp/faults -d '{"method":"backendServices.patch","times":1,"action":"loseAnswer"}'
  $S http://s/gcp/faults -d '{"collection":"firewalls","action":"answer","status":403,"reason":"rateLimitExceeded"}'
  $S -X DELETE http://s/gcp/faults/1       # or /gcp/faults: all
  $S http://s/gcp/calls                    # all calls; -X DELETE empties the log
  $S http://s/gcp/history                  # what was changed in each resource

The action of a fault is answer ("status", "reason", "message", "retryAfter"),
loseAnswer, dropRequest, slowOperation ("time"), failOperation ("code", "message") or
hang. "name" is the resource's, "nth" the first call that goes wrong, "times" how many.`

func upCommand() *cobra.Command {
	var options sandbox.Options
	var programs string
	var withGCP, outlive bool
	var engine sandbox.GCP
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start clusters, print how to reach them as one line of JSON, and stay",
		Long:  upHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := programSet(programs)
			if err != nil {
				return err
			}
			if options.Paths, err = set.Find(options.Forge); err != nil {
				return err
			}
			if options.Webhook.URL != "" && !options.Forge {
				return errors.New("--webhook-url is for a forge: add --forge")
			}
			if withGCP {
				options.GCP = &engine
			} else if engine.Outside != 0 {
				return errors.New("--outside is of a stand-in for Compute Engine: add --gcp")
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program for the warden: %w", err)
			}
			options.Warden = []string{self, "warden"}
			options.Progress = os.Stderr
			ctx, stop := watch(cmd.Context(), outlive)
			defer stop()
			return up(ctx, options, limit)
		},
	}
	programsFlag(cmd, &programs)
	flags := cmd.Flags()
	flags.IntVar(&options.Clusters, "clusters", 3, "how many clusters")
	flags.IntVar(&options.Nodes, "nodes", 3, "how many nodes each cluster has")
	flags.BoolVar(&options.Forge, "forge", false, "start a forge (Gitea) too")
	flags.BoolVar(&options.Faulty, "faulty", false, "have the kubeconfig lead through proxies that refuse, delay and drop requests by rules")
	flags.BoolVar(&withGCP, "gcp", false, "start a stand-in for Compute Engine, with the nodes as machines, which answer at node ports (Linux)")
	flags.IntVar(&engine.Outside, "outside", 0, "how many clusters, the last ones, have machines that are not of Compute Engine")
	flags.DurationVar(&engine.OperationTime, "operation-time", 300*time.Millisecond, "how long the slowest operations of Compute Engine take; the others take a share of it")
	flags.DurationVar(&engine.ProbeInterval, "probe-interval", 250*time.Millisecond, "how often load balancers probe nodes, whatever health checks say; 0 does as they say")
	flags.BoolVar(&options.NoGLBC, "no-glbc", false, "have nobody stand in for Google's ingress controller in the clusters")
	flags.StringVar(&options.Webhook.URL, "webhook-url", "", "loopback URL that the forge is to tell of pushes")
	flags.StringVar(&options.Webhook.Secret, "webhook-secret", "", "what the forge signs those calls with")
	flags.StringVar(&options.Dir, "dir", "", "folder to keep everything in, new or empty; removed at the end (default: a new temporary one)")
	flags.StringVar(&options.Logs, "logs", "", "folder for the programs' logs, which stays (default: inside --dir)")
	flags.DurationVar(&limit, "timeout", 10*time.Minute, "give up if it is not ready by then")
	flags.BoolVar(&outlive, "outlive-parent", false, "stay when the program that started this one ends")
	return cmd
}

func up(ctx context.Context, options sandbox.Options, limit time.Duration) error {
	began := time.Now()
	starting, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not ready after %s", limit))
	defer cancel()
	s, err := sandbox.Up(starting, options)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	fmt.Fprintf(os.Stderr, "%d clusters are ready after %s, in %s\n", options.Clusters, time.Since(began).Round(100*time.Millisecond), s.Description.Dir)
	if err := json.NewEncoder(os.Stdout).Encode(s.Description); err != nil {
		return errors.Join(fmt.Errorf("say how to reach the sandbox: %w", err), s.Close())
	}
	err = s.Wait(ctx)
	return errors.Join(err, s.Close())
}

// watch ends the context with those that this program must not outlive: the one
// who holds the other end of our standard input, if that is a pipe, and the one
// who started us.
func watch(ctx context.Context, outlive bool) (context.Context, func()) {
	ctx, stop := context.WithCancelCause(ctx)
	if in, err := os.Stdin.Stat(); err == nil && in.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		// Never waited for: nothing but the other end can interrupt the read.
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop(errors.New("standard input was closed (with </dev/null it does not matter)"))
		}()
	}
	if !outlive {
		parent := os.Getppid()
		go func() {
			// There is no event for this that every Unix has, and none that a
			// program may miss by starting late.
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					if os.Getppid() != parent {
						stop(errors.New("the program that started the sandbox has ended"))
						return
					}
				}
			}
		}()
	}
	return ctx, func() { stop(nil) }
}
