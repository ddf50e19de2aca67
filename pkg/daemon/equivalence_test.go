package daemon

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/fedsync/fedsync/internal/history"
	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
)

var (
	firstSeed = flag.Uint64("seed", 1, "seed of the first history")
	histories = flag.Int("histories", 8, "how many histories are played")
	shrink    = flag.Bool("shrink", false, "make a history that fails as small as it goes")
	talk      = flag.Bool("talk", false, "show the log of the daemons")
)

const (
	// convergesWithin is how long after the last fault the clusters may differ from
	// Git.
	convergesWithin = time.Minute
	// comesToRest is how long a daemon may take after that until its report says the
	// same from then on: deadlines have passed, and what mends itself has done so.
	comesToRest = 5 * time.Minute
)

// exempt are the findings that a daemon which has just started need not have.
var exempt = map[string]string{
	"fight":           "that somebody changes a field again and again is seen over time",
	"adopted":         "it speaks of what was done",
	"address-changed": "the address before is not known after a restart",
}

// TestARestartChangesNothing plays random histories on clusters in memory. After
// each, the clusters are as Git says, and a daemon that is started then finds nothing
// to do and reports what the one reports that has lived through it all.
//
// A seed that fails is played alone, and made smaller, with
//
//	go test ./pkg/daemon -run TestARestartChangesNothing -seed=N -histories=1 -shrink
func TestARestartChangesNothing(t *testing.T) {
	// client-go logs the faults, and paces that by a clock that is not the bubble's.
	utilruntime.ErrorHandlers = nil //nolint:reassign // the package's own way
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	cfg := stagedConfig(t)
	cfg.StatusDeadline = 3 * time.Minute
	seeds := make(chan uint64)
	var mu sync.Mutex
	var slowest time.Duration
	t.Run("histories", func(t *testing.T) {
		for range 2 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for seed := range seeds {
					h := history.New(seed, history.Options{})
					wrong, took := live(t, cfg, h)
					mu.Lock()
					slowest = max(slowest, took)
					mu.Unlock()
					if wrong == "" {
						continue
					}
					if *shrink {
						h = history.Shrink(h, func(h history.History) bool {
							again, _ := live(t, cfg, h)
							return again != ""
						})
						wrong, _ = live(t, cfg, h)
					}
					t.Errorf("%v\n%s", h, wrong)
				}
			})
		}
		go func() {
			for i := range *histories {
				seeds <- *firstSeed + uint64(i) //nolint:gosec // a count
			}
			close(seeds)
		}()
	})
	t.Logf("%d histories from seed %d; the slowest converged %s after its last fault", *histories, *firstSeed, slowest)
}

// live plays one history, and returns what was wrong after it and how long the
// clusters took to become equal to Git.
func live(t *testing.T, cfg *Config, h history.History) (wrong string, took time.Duration) {
	t.Helper()
	// A test of its own, so that folders go with it.
	t.Run(fmt.Sprint(h.Seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newMemoryWorld(t, cfg, h)
			defer w.close()
			wrong, took = w.live()
		})
	})
	return wrong, took
}

// memoryWorld is a federation of clusters in memory.
type memoryWorld struct {
	t       *testing.T
	cfg     *Config
	history history.History
	stores  map[string]*objectstore.Store
	configs map[string]*rest.Config
	folder  string // of what daemons keep
	ctx     context.Context
	close   func()
	newest  *federation.Snapshot
}

func newMemoryWorld(t *testing.T, cfg *Config, h history.History) *memoryWorld {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &memoryWorld{
		t: t, cfg: cfg, history: h, stores: map[string]*objectstore.Store{}, configs: map[string]*rest.Config{},
		folder: t.TempDir(), ctx: ctx, close: cancel,
	}
	for i, name := range h.Clusters {
		w.stores[name] = objectstore.New(objectstore.Options{Name: name, Seed: 100*h.Seed + uint64(i)}) //nolint:gosec // a count
		w.configs[name] = w.stores[name].Serve(ctx)
	}
	return w
}

// snapshot is the commit that a push makes.
func (w *memoryWorld) snapshot(e history.Event) *federation.Snapshot {
	var apps []string
	files := fstest.MapFS{}
	for _, app := range []string{"web", "shop", "blog"} {
		file := "apps/" + app + "/all.yaml"
		if content, ok := e.Files[file]; ok {
			apps = append(apps, fmt.Sprintf("{name: %[1]s, path: apps/%[1]s}", app))
			files[file] = &fstest.MapFile{Data: []byte(content)}
		}
	}
	var clusters []string
	for _, name := range w.history.Clusters {
		clusters = append(clusters, "{name: "+name+"}")
	}
	files["fedsync.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil,
		"apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n  clusters: [%s]\n  apps: [%s]\n",
		strings.Join(clusters, ", "), strings.Join(apps, ", "))}
	return &federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: fmt.Sprintf("%x%039d", e.Number+1, 0)[:40]}, Files: files}
}

// lived is a daemon that runs in a memoryWorld.
type lived struct {
	*loop
	world *memoryWorld
	stop  func()

	mu    sync.Mutex // protects shown
	shown shown
}

// shown is what the loop showed with its newest report: its fields are its own.
type shown struct {
	sha     string // of the revision in force
	plan    federation.Plan
	facts   federation.Facts
	settled bool
	members map[string]keeper
}

// show is called by the loop.
func (l *lived) show(*status.Report) {
	now := shown{sha: l.live.sha(), facts: l.members.facts, settled: l.members.settled(), members: map[string]keeper{}}
	if l.live != nil {
		now.plan = l.live.plan
	}
	for name, m := range l.members.byName {
		now.members[name] = m.keeper
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

func (w *memoryWorld) start(name string) *lived {
	w.t.Helper()
	log := zap.NewNop()
	if *talk {
		log = zap.Must(zap.NewDevelopment()).Named(name)
	}
	d, err := newParts(w.cfg, Options{Log: log, Version: testVersion})
	if err != nil {
		w.t.Fatal(err)
	}
	d.toldFile, d.rosterFile = w.folder+"/told", w.folder+"/roster"
	d.told, d.roster = readLastTold(d.toldFile), readRoster(d.rosterFile)
	d.claims = claim.Open(claim.Options{Dir: w.folder, Source: "source", Label: "label", Version: testVersion, Log: log})
	if err := d.claims.Kept(); err != nil {
		w.t.Fatal(err)
	}
	l := newLoop(d, false)
	l.members.newMember = func(f *federation.Federation, c federation.Cluster) keeper {
		m := d.newMember(f, c, false)
		m.Connect = func(string) (member.Connection, error) {
			return member.Connection{REST: w.configs[c.Name], Digest: c.Name}, nil
		}
		return m
	}
	ctx, cancel := context.WithCancel(w.ctx)
	var running sync.WaitGroup
	one := &lived{loop: l, world: w, stop: func() {
		cancel()
		l.members.wait()
		running.Wait()
		d.Close()
	}}
	l.settled = one.show
	running.Go(func() { l.run(ctx) })
	running.Go(func() { d.claims.Run(ctx) })
	return one
}

func (w *memoryWorld) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// live plays the history to one daemon, then starts another.
func (w *memoryWorld) live() (wrong string, took time.Duration) {
	veteran := w.start("veteran")
	history.Play(w.ctx, w.history, history.InMemory(w.ctx, w.stores), func(e history.Event) {
		w.newest = w.snapshot(e)
		veteran.events.put(source.Event{Snapshot: w.newest})
	})
	began := time.Now()
	if wrong = veteran.converge(convergesWithin); wrong != "" {
		took = time.Since(began)
		wrong = fmt.Sprintf("a minute after the last fault: %s", wrong)
		if later := veteran.converge(comesToRest); later != "" {
			wrong += "\nand six minutes after it: " + later
		} else {
			wrong += fmt.Sprintf("\nin order after %s", time.Since(began))
		}
		veteran.stop()
		return wrong, took
	}
	took = time.Since(began)
	before := veteran.atRest()
	for name := range w.stores {
		if left := veteran.difference(name); left != "" {
			veteran.stop()
			return "at rest: " + left, took
		}
	}
	veteran.stop()

	for _, store := range w.stores {
		store.ForgetRequests()
	}
	novice := w.start("novice")
	novice.events.put(source.Event{Snapshot: w.newest})
	wrong = novice.converge(convergesWithin)
	after := novice.atRest()
	novice.stop()
	if wrong != "" {
		return "a minute after a start: " + wrong, took
	}
	if diff := disagreement(essence(before), essence(after)); diff != "" {
		return "the report of a daemon that has just started is another (-lived through it +started):\n" + diff, took
	}
	for name, store := range w.stores {
		for _, r := range store.Requests() {
			if r.Writes() && !strings.HasSuffix(r.Resource.Resource, "reviews") {
				wrong += fmt.Sprintf("a daemon that has just started writes to %s: %s %s %d\n%s\n", name, r.Method, r.Path, r.Code, r.Body)
			}
		}
	}
	return wrong, took
}

// converge waits until the clusters are as Git says and all is told to be settled,
// and returns what is missing after a while.
func (l *lived) converge(patience time.Duration) (missing string) {
	deadline := time.Now().Add(patience)
	for {
		synctest.Wait()
		missing = l.missing()
		if missing == "" || !time.Now().Before(deadline) {
			return missing
		}
		l.world.pass(500 * time.Millisecond)
	}
}

func (l *lived) missing() string {
	r, last := l.reports.newest(), l.last()
	switch {
	case r == nil || l.world.newest.Revision.SHA != last.sha:
		return "the newest revision is not in force"
	case !last.settled:
		return "it is not settled: " + describe(r) + l.standing()
	}
	for _, c := range r.Clusters {
		if c.State != federation.ClusterReady {
			return c.Name + " is not ready: " + describe(r)
		}
	}
	for name := range l.world.stores {
		if different := l.difference(name); different != "" {
			return different + describe(r) + l.standing()
		}
	}
	return ""
}

func (l *lived) standing() string {
	var b strings.Builder
	for _, name := range l.world.history.Clusters {
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

// atRest lets time pass until every deadline is over and what mends itself has done
// so, and returns the report.
func (l *lived) atRest() *status.Report {
	l.world.pass(comesToRest)
	return l.reports.newest()
}

// campaignKinds are the resources that the histories are about.
var campaignKinds = []string{"ConfigMap", "Service", "ReplicaSet", "Ingress"}

// difference returns in what a cluster is not as Git says.
func (l *lived) difference(cluster string) string {
	client, err := dynamic.NewForConfig(l.world.stores[cluster].Config())
	if err != nil {
		return err.Error()
	}
	live := map[federation.ObjectRef]*unstructured.Unstructured{}
	for _, kind := range campaignKinds {
		list, err := client.Resource(kinds[kind]).Namespace(history.Namespace).List(l.world.ctx, metav1.ListOptions{})
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
			return e.Manager == apply.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply
		})
		if ours && !wanted[ref] && u.GetDeletionTimestamp() == nil {
			b, _ := json.Marshal(u.Object)
			return fmt.Sprintf("%s has still %s: %s\n", cluster, ref, b)
		}
	}
	return ""
}

// without returns the path of something that is wanted and not there.
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
	lines := []string{string(r.State) + " " + r.Description}
	for _, a := range r.Addresses {
		lines = append(lines, fmt.Sprintf("%+v", a))
	}
	for _, c := range r.Clusters {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s current %t health %s %s: %s", c.Name, c.State, c.Failure, c.Version, c.Applied, c.Current, c.Health, c.Outcome, c.Reason))
		for _, o := range c.Objects {
			b, err := json.Marshal(o)
			if err != nil {
				panic(err) // it is JSON already
			}
			lines = append(lines, string(b))
		}
	}
	for _, f := range r.Findings {
		if exempt[f.ID] == "" {
			lines = append(lines, strings.Join([]string{f.ID, string(f.Severity), f.Cluster, f.App, f.Object.String(), f.File, f.Message, f.Remedy}, " | "))
		}
	}
	return lines
}

// disagreement returns what only one of two reports says.
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
