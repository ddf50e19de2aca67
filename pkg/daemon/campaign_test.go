package daemon

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/history"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

var firstSeed = flag.Uint64("seed", 1, "seed of the first history")

// exempt lists the findings that a daemon need not have when it has just started.
var exempt = map[string]string{
	"fight":           "repeated changes of a field are only seen over time",
	"adopted":         "it reports an action, not a state",
	"address-changed": "the previous address is not known after a restart",
}

// playSeeds calls live with the histories of count seeds, two at a time. Live returns the
// history that was played, what was wrong after it, and how long the clusters took to
// become equal to Git.
func playSeeds(t *testing.T, count int, live func(*testing.T, uint64) (played history.History, wrong string, took time.Duration)) {
	t.Helper()
	seeds := make(chan uint64)
	var mu sync.Mutex
	var passed int
	var slowest time.Duration
	t.Run("histories", func(t *testing.T) {
		for range min(2, count) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for seed := range seeds {
					played, wrong, took := live(t, seed)
					if wrong != "" {
						t.Errorf("%v\n%s", played, wrong)
					}
					mu.Lock()
					slowest = max(slowest, took)
					if wrong == "" {
						passed++
					}
					mu.Unlock()
				}
			})
		}
		go func() {
			for i := range count {
				seeds <- *firstSeed + uint64(i) //nolint:gosec // a count
			}
			close(seeds)
		}()
	})
	t.Logf("%d of %d histories from seed %d; the slowest converged %s after its last fault", passed, count, *firstSeed, slowest)
}

// ground is the federation in which a history happens.
type ground interface {
	// start starts a daemon, which finds the newest commit.
	start(name string) *lived
	// push makes a commit, which the running daemon finds, and returns its id.
	push(e history.Event) (sha string)
	// spoil makes a commit whose fedsync.yaml is broken: the previous one stays in force.
	spoil()
	// reach returns a client of a cluster that bypasses all faults.
	reach(cluster string) (dynamic.Interface, error)
	// wait lets time pass.
	wait(d time.Duration)
	// forget clears the log of the daemons' requests.
	forget()
	// writes returns the writing requests since forget, each as a line.
	writes() string
}

// campaign is a history to play, with the limits of the checks that follow it.
type campaign struct {
	ground

	ctx       context.Context
	history   history.History
	clusters  map[string]history.Cluster
	namespace string // of its objects
	newest    string // the newest commit

	within time.Duration // how long after the last fault the clusters may differ from Git
	rests  time.Duration // how long a daemon may take after that until its report is stable
	steady time.Duration // how long the report must be stable
	agrees time.Duration // how much longer a daemon that has just started may take
}

// live plays the history to one daemon, then starts another. Every second history ends
// with a commit that breaks fedsync.yaml. It returns what was wrong, and how long the
// clusters took to become equal to Git.
func (c *campaign) live() (wrong string, took time.Duration) {
	veteran := c.start("veteran")
	history.Play(c.ctx, c.history, c.clusters, func(e history.Event) { c.newest = c.push(e) })
	if c.history.Seed%2 == 0 {
		c.spoil()
	}
	began := time.Now()
	if wrong = veteran.converge(c.within); wrong != "" {
		took = time.Since(began)
		wrong = fmt.Sprintf("%s after the last fault: %s", c.within, wrong)
		if later := veteran.converge(c.rests); later != "" {
			wrong += fmt.Sprintf("\nand %s later: %s", c.rests, later)
		} else {
			wrong += fmt.Sprintf("\nin order after %s", time.Since(began))
		}
		veteran.stop()
		return wrong, took
	}
	took = time.Since(began)
	before := veteran.atRest()
	for _, name := range c.history.Clusters {
		if left := veteran.difference(name); left != "" {
			veteran.stop()
			return "at rest: " + left, took
		}
	}
	veteran.stop()

	c.forget()
	novice := c.start("novice")
	wrong = novice.converge(c.within)
	after := novice.atRest()
	diff := disagreement(essence(before), essence(after))
	for end := time.Now().Add(c.agrees); diff != "" && time.Now().Before(end); {
		c.wait(time.Second)
		diff = disagreement(essence(before), essence(novice.reports.Newest()))
	}
	novice.stop()
	if wrong != "" {
		return fmt.Sprintf("%s after a start: %s", c.within, wrong), took
	}
	if diff != "" {
		return "the report of a daemon that has just started is another (-lived through it +started):\n" + diff, took
	}
	if writes := c.writes(); writes != "" {
		return "a daemon that has just started writes:\n" + writes, took
	}
	return "", took
}

// lived is a daemon that runs in a campaign.
type lived struct {
	*loop
	campaign *campaign
	stop     func()

	mu    sync.Mutex // protects shown
	shown shown
}

// shown is a copy of what the loop showed with its newest report.
type shown struct {
	sha     string // of the revision in force
	plan    federation.Plan
	facts   federation.Facts
	settled bool
	members map[string]memberLoop
}

// show is called by the loop.
func (l *lived) show(*status.Report) {
	now := shown{sha: l.live.sha(), facts: l.members.facts, settled: l.members.settled(), members: map[string]memberLoop{}}
	if l.live != nil {
		now.plan = l.live.plan
	}
	for name, m := range l.members.byName {
		now.members[name] = m.memberLoop
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = now
}

func (l *lived) last() shown {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shown
}

// converge waits until the clusters are equal to Git and the report has everything
// settled. If the time runs out, it returns what is missing.
func (l *lived) converge(patience time.Duration) (missing string) {
	deadline := time.Now().Add(patience)
	for {
		missing = l.missing()
		if missing == "" || !time.Now().Before(deadline) {
			return missing
		}
		l.campaign.wait(500 * time.Millisecond)
	}
}

func (l *lived) missing() string {
	r, last := l.reports.Newest(), l.last()
	switch {
	case r == nil || l.campaign.newest != last.sha:
		return "the newest revision is not in force"
	case !last.settled:
		return "it is not settled: " + describe(r) + l.standing()
	}
	for _, c := range r.Clusters {
		if c.State != federation.ClusterReady {
			return c.Name + " is not ready: " + describe(r)
		}
	}
	for _, name := range l.campaign.history.Clusters {
		if different := l.difference(name); different != "" {
			return different + describe(r) + l.standing()
		}
	}
	return ""
}

func (l *lived) standing() string {
	var b strings.Builder
	for _, name := range l.campaign.history.Clusters {
		m := l.last().members[name]
		if m == nil {
			continue
		}
		o := m.Outcome()
		fmt.Fprintf(&b, "%s: handed %d begun %d tried %t done %t final %t blind %t, early %t, state %s synced %t, claim %+v\n",
			name, o.Handed, o.Begun, o.Tried, o.Done, o.Final, o.Blind, m.Newest().Early, o.Facts.State, o.Facts.Synced, l.claims.Claim(name).Verdict(time.Now()))
	}
	return b.String()
}

// atRest waits until every deadline is over and everything that recovers by itself has
// recovered, and returns the report.
func (l *lived) atRest() *status.Report {
	c := l.campaign
	c.wait(c.rests)
	said, since := essence(l.reports.Newest()), time.Now()
	for end := since.Add(time.Minute); time.Since(since) < c.steady && time.Now().Before(end); {
		c.wait(500 * time.Millisecond)
		if now := essence(l.reports.Newest()); !slices.Equal(now, said) {
			said, since = now, time.Now()
		}
	}
	return l.reports.Newest()
}

// campaignKinds lists the resources of the histories.
var campaignKinds = []string{"ConfigMap", "Service", "ReplicaSet", "Ingress"}

// difference returns how a cluster differs from Git.
func (l *lived) difference(cluster string) string {
	client, err := l.campaign.reach(cluster)
	if err != nil {
		return err.Error()
	}
	live := map[federation.ObjectRef]*unstructured.Unstructured{}
	for _, kind := range campaignKinds {
		list, err := client.Resource(kinds[kind]).Namespace(l.campaign.namespace).List(l.campaign.ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for i := range list.Items {
			live[federation.RefOf(&list.Items[i])] = &list.Items[i]
		}
	}
	wanted := map[federation.ObjectRef]bool{}
	for _, plan := range l.last().plan.Clusters {
		if plan.Cluster != cluster {
			continue
		}
		for _, app := range plan.Apps {
			for _, w := range app.Withheld {
				wanted[w.Object] = true // it stays as it is
			}
			if app.Prune != federation.PruneAllowed || len(app.Withheld) > 0 || app.Broken {
				for _, ref := range l.last().facts.Of(cluster).Inventory[app.App] {
					wanted[ref] = true // so does what is not pruned
				}
			}
			for _, o := range app.Objects {
				wanted[o.Ref] = true
				u := live[o.Ref]
				if u == nil {
					return fmt.Sprintf("%s has no %s\n", cluster, o.Ref)
				}
				if path := without(o.Unstructured().Object, u.Object); path != "" {
					b, _ := json.Marshal(u.Object)
					return fmt.Sprintf("%s has another %s%s: %s\nwant %s\n", cluster, o.Ref, path, b, o.JSON)
				}
			}
		}
	}
	for ref, u := range live {
		ours := slices.ContainsFunc(u.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
			return e.Manager == ownership.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply
		})
		if ours && !wanted[ref] && u.GetDeletionTimestamp() == nil {
			b, _ := json.Marshal(u.Object)
			return fmt.Sprintf("%s has still %s: %s\n", cluster, ref, b)
		}
	}
	return ""
}

// without returns the path of a field that is wanted and missing.
func without(want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		m, _ := got.(map[string]any)
		for key, value := range want {
			if path := without(value, m[key]); path != "" {
				return "." + key + path
			}
		}
		return ""
	case []any:
		l, _ := got.([]any)
		if len(l) != len(want) {
			return " "
		}
		for i := range want {
			if path := without(want[i], l[i]); path != "" {
				return fmt.Sprintf("[%d]%s", i, path)
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return " "
	}
	return ""
}

// essence returns, line by line, what two daemons must agree on.
func essence(r *status.Report) []string {
	lines := []string{string(r.State) + " " + r.Description.String()}
	for _, a := range r.Addresses {
		lines = append(lines, fmt.Sprintf("%+v", a))
	}
	for _, c := range r.Clusters {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s current %t health %s %s: %s", c.Name, c.State, c.Failure, c.Version, c.Applied, c.Current, c.Health, c.Outcome, c.Reason))
		for _, o := range c.Objects {
			b, err := json.Marshal(o)
			if err != nil {
				panic(err) // impossible: it comes from JSON
			}
			lines = append(lines, string(b))
		}
	}
	for _, f := range r.Findings {
		if exempt[f.ID] == "" {
			lines = append(lines, strings.Join([]string{f.ID, string(f.Severity), f.Cluster, f.App, f.Object.String(), f.File, f.Message.String(), f.Remedy.String()}, " | "))
		}
	}
	return lines
}

// disagreement returns the lines that only one of two reports has.
func disagreement(before, after []string) string {
	var b strings.Builder
	for _, line := range before {
		if !slices.Contains(after, line) {
			fmt.Fprintf(&b, "-%s\n", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			fmt.Fprintf(&b, "+%s\n", line)
		}
	}
	return b.String()
}
