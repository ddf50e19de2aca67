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

const upHelp = `Start clusters, print one line of JSON that describes how to reach them, and
run until interrupted.

With --faulty, each cluster has a TLS proxy in front of it. "kubeconfig" points to the
proxies, "directKubeconfig" to the API servers. Add and remove the proxies' rules at
the URL "faults":

  curl $FAULTS/rules -d '{"method":"PATCH","path":"/configmaps/","action":"answer","status":503,"header":{"Retry-After":"1"}}'
  curl $FAULTS/rules -d '{"cluster":"gce-asia-east1a","query":"watch=true","action":"hang"}'
  curl $FAULTS/rules -d '{"method":"POST","count":1,"action":"lose"}'
  curl $FAULTS/rules                                    # the rules, with how often each applied
  curl -X DELETE $FAULTS/rules/1                        # or $FAULTS/rules
  curl $FAULTS/requests                                 # the log of requests; -X DELETE empties it
  curl -X POST $FAULTS/backups                          # back up all clusters
  curl -X POST "$FAULTS/clusters/gce-asia-east1a/restore?backup=1"
  curl -X POST $FAULTS/clusters/gce-asia-east1a/rebuild # or return, disconnect

A rule matches requests by cluster, method, path, query and body; method, path and
body are regular expressions. It ignores the first "skip" matching requests, and ends
after it has applied "count" times. Its action is forward (with "delay" or
"answerDelay"), answer ("status", "header", "content", "reason", "message"), hang,
withhold (the answer), lose (the answer), drop or truncate (after "bytes").
"connection" breaks the whole connection.

With --gcp, a stand-in for Compute Engine serves compute/v1 at gcp.endpoint, for the
project gcp.project. The nodes are its machines. At the node ports of Services they
answer with the names of the cluster, node and pod. The HTTP proxy gcp.proxy reaches
the load balancers, which send traffic to the nodes:

  curl --proxy $(jq -r .gcp.proxy $FEDSYNC_TEST_SANDBOX) http://ADDRESS/path

  sandbox kill-nodes gce-asia-east1a       # its nodes refuse; its API server keeps running
  sandbox revive-nodes gce-asia-east1a

The control socket takes faults for calls of compute/v1 and lists the calls:

  S="curl --unix-socket $(jq -r .control $FEDSYNC_TEST_SANDBOX)"
  $S http://s/gcp/faults -d '{"method":"backendServices.patch","times":1,"action":"loseAnswer"}'
  $S http://s/gcp/faults -d '{"collection":"firewalls","action":"answer","status":403,"reason":"rateLimitExceeded"}'
  $S -X DELETE http://s/gcp/faults/1       # or /gcp/faults for all
  $S http://s/gcp/calls                    # the log of calls; -X DELETE empties it
  $S http://s/gcp/history                  # the changes of each resource

The action of a fault is answer ("status", "reason", "message", "retryAfter"),
loseAnswer, dropRequest, slowOperation ("time"), failOperation ("code", "message") or
hang. "name" is the name of the resource, "nth" the first call that the fault applies
to, "times" the number of calls.`

func upCommand() *cobra.Command {
	var options sandbox.Options
	var programs string
	var withGCP, outlive bool
	var engine sandbox.GCP
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start clusters and run them until interrupted",
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
				return errors.New("--webhook-url needs a forge: add --forge")
			}
			if withGCP {
				options.GCP = &engine
			} else if engine.Outside != 0 {
				return errors.New("--outside needs the stand-in for Compute Engine: add --gcp")
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
	flags.IntVar(&options.Clusters, "clusters", 3, "number of clusters")
	flags.IntVar(&options.Nodes, "nodes", 3, "number of nodes of each cluster")
	flags.BoolVar(&options.Forge, "forge", false, "also start a forge (Gitea)")
	flags.BoolVar(&options.Faulty, "faulty", false, "point the kubeconfig to proxies that refuse, delay and drop requests by rules")
	flags.BoolVar(&withGCP, "gcp", false, "start a stand-in for Compute Engine whose machines are the nodes, and make nodes answer at node ports (Linux only)")
	flags.IntVar(&engine.Outside, "outside", 0, "number of clusters, counted from the last, whose machines are not on Compute Engine")
	flags.DurationVar(&engine.OperationTime, "operation-time", 300*time.Millisecond, "how long the slowest operations of Compute Engine take; the others take a share of it")
	flags.DurationVar(&engine.ProbeInterval, "probe-interval", 250*time.Millisecond, "how often load balancers probe nodes, instead of the interval of each health check; 0 uses that interval")
	flags.BoolVar(&options.NoGLBC, "no-glbc", false, "run no stand-in for Google's ingress controller in the clusters")
	flags.StringVar(&options.Webhook.URL, "webhook-url", "", "loopback URL to which the forge posts pushes")
	flags.StringVar(&options.Webhook.Secret, "webhook-secret", "", "secret with which the forge signs those posts")
	flags.StringVar(&options.Dir, "dir", "", "new or empty directory for all files; removed at the end (default: a new temporary directory)")
	flags.StringVar(&options.Logs, "logs", "", "directory for the programs' logs; not removed (default: inside --dir, and removed with it)")
	flags.DurationVar(&limit, "timeout", 10*time.Minute, "how long to wait until everything is ready")
	flags.BoolVar(&outlive, "outlive-parent", false, "continue when the program that started this one ends")
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
		return errors.Join(fmt.Errorf("print the description of the sandbox: %w", err), s.Close())
	}
	err = s.Wait(ctx)
	return errors.Join(err, s.Close())
}

// watch returns a context that ends when a process that we must not outlive ends: the
// one at the other end of our standard input, if that is a pipe, and our parent unless
// outlive is set.
func watch(ctx context.Context, outlive bool) (context.Context, func()) {
	ctx, stop := context.WithCancelCause(ctx)
	if in, err := os.Stdin.Stat(); err == nil && in.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		// Nobody waits for this goroutine: only the other end can interrupt the read.
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop(errors.New("standard input was closed: to run without it, redirect it from /dev/null"))
		}()
	}
	if !outlive {
		parent := os.Getppid()
		go func() {
			// No event for a parent's end exists on every Unix, and one could come
			// before we listen for it.
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
