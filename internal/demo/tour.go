package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// tour does what the invitation suggests, and shows the results.
func (d *demo) tour(ctx context.Context) error {
	stops := []func(context.Context) error{d.change, d.whatRuns, d.revert, d.outage, d.comeback}
	if d.cloud != nil {
		stops = append(stops, d.deadNodes)
	}
	for _, stop := range stops {
		if err := stop(ctx); err != nil {
			return err
		}
	}
	return nil
}

// admin is a Service whose node port fedsync chooses.
const admin = `apiVersion: v1
kind: Service
metadata:
  name: admin
spec:
  type: NodePort
  selector:
    app: echo
  ports:
  - port: 81
    targetPort: 8080
`

// change pushes more replicas, and a Service without a node port.
func (d *demo) change(ctx context.Context) error {
	say("\nPushing a change: 14 replicas instead of 7, and a second Service without a node port …")
	if err := d.edit("apps/echo/base/replicaset.yaml", "replicas: 7", "replicas: 14"); err != nil {
		return err
	}
	if err := d.edit("apps/echo/base/kustomization.yaml", "- service.yaml", "- service.yaml\n- admin.yaml"); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.work, "apps/echo/base/admin.yaml"), []byte(admin), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"add", "--all"},
		{"commit", "--quiet", "--message", "Fourteen replicas, and admin"},
		{"push", "--quiet", "origin", "HEAD:main"},
	} {
		if err := d.git(ctx, d.work, args...); err != nil {
			return err
		}
	}
	report, took, err := d.live(ctx)
	if err != nil {
		return err
	}
	say("%s is live after %s", report.Revision, took.Round(10*time.Millisecond))
	if err := d.divided(ctx); err != nil {
		return err
	}
	return d.chosen(ctx)
}

// divided prints how the replicas were divided.
func (d *demo) divided(ctx context.Context) error {
	counts, err := d.replicas(ctx, d.clusters...)
	if err != nil {
		return err
	}
	say("replicas per cluster: %s", perCluster(d.clusters, counts))
	return nil
}

func perCluster(clusters []string, counts []int32) string {
	parts := make([]string, len(clusters))
	for i, name := range clusters {
		parts[i] = fmt.Sprintf("%s %d", name, counts[i])
	}
	return strings.Join(parts, ", ")
}

// chosen prints the node port that was chosen, after it has checked that it is
// the same in every cluster.
func (d *demo) chosen(ctx context.Context) error {
	var ports []int32
	for _, cluster := range d.clusters {
		client, err := d.client(cluster)
		if err != nil {
			return err
		}
		service, err := client.CoreV1().Services("default").Get(ctx, "admin", metav1.GetOptions{})
		if err != nil {
			return err
		}
		ports = append(ports, service.Spec.Ports[0].NodePort)
	}
	if len(slices.Compact(slices.Clone(ports))) != 1 {
		return fmt.Errorf("the node ports of Service/default/admin differ: %v", ports)
	}
	say("node port chosen: %d for Service/default/admin in all %d clusters", ports[0], len(ports))
	return nil
}

// whatRuns prints the state as a user would query it.
func (d *demo) whatRuns(ctx context.Context) error {
	say("\nWhat runs, from `fedsync status`:\n")
	if err := d.show(ctx, "", "bin/fedsync", d.readOnly("status")...); err != nil {
		return err
	}
	say("\nThe status on the commit, from `git notes`:\n")
	// It is posted a moment after the page shows it.
	return wait(ctx, 30*time.Second, "the commit status", func() (bool, error) {
		out, err := exec.CommandContext(ctx, "git", "-C", d.repository, "notes", "--ref=fedsync", "show", "main").Output()
		if err != nil || !strings.Contains(string(out), `"success"`) {
			return false, ctx.Err()
		}
		say("%s", strings.TrimSpace(string(out)))
		return true, nil
	})
}

// readOnly returns the arguments of a command that reads everything once.
func (d *demo) readOnly(command string) []string {
	args := []string{command, "--repo", d.repository, "--kubeconfig", d.sandbox.Kubeconfig(), "--log-level", "error"}
	if d.cloud != nil {
		args = append(args, "--gcp-endpoint", d.cloud.Endpoint)
	}
	return args
}

// revert scales a ReplicaSet by hand and waits until fedsync has reverted it.
func (d *demo) revert(ctx context.Context) error {
	cluster := d.clusters[0]
	say("\nEditing an object by hand in %s: 9 replicas …", cluster)
	client, err := d.client(cluster)
	if err != nil {
		return err
	}
	sets := client.AppsV1().ReplicaSets("default")
	// The watch begins before the edit, so that it misses nothing.
	before, err := sets.Get(ctx, "echo", metav1.GetOptions{})
	if err != nil {
		return err
	}
	watch, err := sets.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=echo", ResourceVersion: before.ResourceVersion})
	if err != nil {
		return err
	}
	defer watch.Stop()
	started := time.Now()
	edited, err := sets.Patch(ctx, "echo", types.MergePatchType, []byte(`{"spec":{"replicas":9}}`), metav1.PatchOptions{FieldManager: "demo"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the edit was not reverted: %w", ctx.Err())
		case e, open := <-watch.ResultChan():
			if !open {
				return errors.New("the watch on the edited object ended")
			}
			object, ok := e.Object.(metav1.Object)
			if !ok || object.GetGeneration() <= edited.Generation {
				continue
			}
			now, err := sets.Get(ctx, "echo", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if *now.Spec.Replicas == *before.Spec.Replicas {
				say("reverted to %d after %s", *now.Spec.Replicas, time.Since(started).Round(time.Millisecond))
				return nil
			}
		}
	}
}

// outage kills a cluster and waits until its replicas are in the other clusters.
func (d *demo) outage(ctx context.Context) error {
	lost := d.clusters[1]
	others := slices.Delete(slices.Clone(d.clusters), 1, 2)
	say("\nKilling the API server of %s …", lost)
	started := time.Now()
	if err := d.sandbox.Do(ctx, "kill", lost); err != nil {
		return err
	}
	if err := d.placed(ctx, others, 7, 7); err != nil {
		return err
	}
	say("its replicas were placed in the other clusters after %s: %s", since(started), perCluster(others, []int32{7, 7}))
	if d.cloud != nil {
		// Nodes do not need the API server: the pods there continue to answer.
		if err := d.answeredBy(ctx, d.clusters...); err != nil {
			return err
		}
	}

	say("\nWhat is wrong, from `fedsync doctor`:\n")
	var exit *exec.ExitError
	err := d.show(ctx, "", "bin/fedsync", d.readOnly("doctor")...)
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		return fmt.Errorf("fedsync doctor did not report that something is wrong: %w", err)
	}
	return nil
}

// comeback starts the cluster again and waits until the former division is back.
func (d *demo) comeback(ctx context.Context) error {
	lost := d.clusters[1]
	say("\nStarting the API server of %s again …", lost)
	started := time.Now()
	if err := d.sandbox.Do(ctx, "start", lost); err != nil {
		return err
	}
	if err := d.placed(ctx, d.clusters, 4, 6, 4); err != nil {
		return err
	}
	say("the replicas moved back after %s: %s", since(started), perCluster(d.clusters, []int32{4, 6, 4}))
	if _, _, err := d.live(ctx); err != nil {
		return err
	}
	say("\nAnd now, from `fedsync doctor`:\n")
	return d.show(ctx, "", "bin/fedsync", d.readOnly("doctor")...)
}

// placed waits until echo has the wanted number of replicas in each of the clusters.
func (d *demo) placed(ctx context.Context, clusters []string, want ...int32) error {
	var counts []int32
	err := wait(ctx, time.Minute, "the replicas", func() (bool, error) {
		var err error
		counts, err = d.replicas(ctx, clusters...)
		return err == nil && slices.Equal(counts, want), ctx.Err()
	})
	if err != nil {
		err = fmt.Errorf("%w; last: %v, want %v", err, counts, want)
	}
	return err
}

func since(started time.Time) time.Duration { return time.Since(started).Round(10 * time.Millisecond) }

// replicas returns spec.replicas of echo in each of the clusters.
func (d *demo) replicas(ctx context.Context, clusters ...string) ([]int32, error) {
	counts := make([]int32, len(clusters))
	for i, cluster := range clusters {
		client, err := d.client(cluster)
		if err != nil {
			return nil, err
		}
		set, err := client.AppsV1().ReplicaSets("default").Get(ctx, "echo", metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		counts[i] = *set.Spec.Replicas
	}
	return counts, nil
}

func (d *demo) client(cluster string) (*kubernetes.Clientset, error) {
	return kubernetes.NewForConfig(d.sandbox.RESTConfig(cluster))
}

func (d *demo) edit(file, before, after string) error {
	path := filepath.Join(d.work, file)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), before) {
		return fmt.Errorf("%s does not contain %q", path, before)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), before, after, 1)), 0o644)
}
