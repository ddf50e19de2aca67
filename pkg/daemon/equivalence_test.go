package daemon

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/fedsync/fedsync/internal/history"
	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/internal/raced"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/roll"
	"github.com/fedsync/fedsync/pkg/source"
)

var (
	histories = flag.Int("histories", raced.Share(10), "how many histories are played")
	shrink    = flag.Bool("shrink", false, "make a history that fails as small as it goes")
	talk      = flag.Bool("talk", false, "show the log of the daemons")
)

const (
	// convergesWithin is how long after the last fault the clusters may differ from
	// Git.
	convergesWithin = time.Minute
	// comesToRest is how long a daemon may take after that until its report is stable:
	// deadlines have passed, and everything that recovers by itself has recovered.
	comesToRest = 5 * time.Minute
)

// TestARestartChangesNothing plays random histories on clusters in memory. After each, the
// clusters are equal to Git. A daemon that is started then finds nothing to do, and its
// report equals that of the daemon that ran from the beginning.
//
// To play only a seed that fails, and shrink its history:
//
//	go test ./pkg/daemon -run 'TestARestartChangesNothing$' -seed=N -histories=1 -shrink
func TestARestartChangesNothing(t *testing.T) {
	// client-go logs the faults, and limits the rate of that by a clock outside the bubble.
	utilruntime.ErrorHandlers = nil //nolint:reassign // the package's own way
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	cfg := stagedConfig(t)
	cfg.StatusDeadline = 3 * time.Minute
	playSeeds(t, *histories, func(t *testing.T, seed uint64) (history.History, string, time.Duration) {
		h := history.New(seed, history.Options{})
		wrong, took := live(t, cfg, h)
		if wrong != "" && *shrink {
			h = history.Shrink(h, func(h history.History) bool {
				again, _ := live(t, cfg, h)
				return again != ""
			})
			wrong, _ = live(t, cfg, h)
		}
		return h, wrong, took
	})
}

// live plays one history, and returns what was wrong after it and how long the
// clusters took to become equal to Git.
func live(t *testing.T, cfg *config.Config, h history.History) (wrong string, took time.Duration) {
	t.Helper()
	// It is a test of its own, so that its folders are deleted after it.
	t.Run(fmt.Sprint(h.Seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newMemoryWorld(t, cfg, h)
			defer w.close()
			wrong, took = w.campaign.live()
		})
	})
	return wrong, took
}

// memoryWorld is a federation of clusters in memory.
type memoryWorld struct {
	t        *testing.T
	cfg      *config.Config
	campaign *campaign
	stores   map[string]*objectstore.Store
	configs  map[string]*rest.Config
	folder   string // of the daemons' state
	ctx      context.Context
	close    func()
	events   inbox // of the running daemon
	pushed   pushed
}

func newMemoryWorld(t *testing.T, cfg *config.Config, h history.History) *memoryWorld {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &memoryWorld{
		t: t, cfg: cfg, stores: map[string]*objectstore.Store{}, configs: map[string]*rest.Config{},
		folder: t.TempDir(), ctx: ctx, close: cancel,
	}
	for i, name := range h.Clusters {
		w.stores[name] = objectstore.New(objectstore.Options{Name: name, Seed: 100*h.Seed + uint64(i)}) //nolint:gosec // a count
		w.configs[name] = w.stores[name].Serve(ctx)
	}
	w.campaign = &campaign{
		ground: w, ctx: ctx, history: h, clusters: history.InMemory(ctx, w.stores), namespace: history.Namespace,
		within: convergesWithin, rests: comesToRest,
	}
	return w
}

// push implements [ground].
func (w *memoryWorld) push(e history.Event) string {
	s := w.pushed.add(*w.snapshot(e))
	w.events.put(source.Event{Snapshot: &s})
	return s.Revision.SHA
}

// spoil implements [ground].
func (w *memoryWorld) spoil() {
	s := w.pushed.tip()
	files := maps.Clone(s.Files.(fstest.MapFS))
	files["fedsync.yaml"] = &fstest.MapFile{Data: append(slices.Clone(files["fedsync.yaml"].Data), "  oops: 1\n"...)}
	s.Revision.SHA, s.Files = strings.Repeat("e", 40), files
	w.pushed.add(s)
	w.events.put(source.Event{Snapshot: &s})
}

// snapshot returns the commit that a push makes.
func (w *memoryWorld) snapshot(e history.Event) *federation.Snapshot {
	var apps []string
	files := fstest.MapFS{}
	for _, app := range history.Apps {
		file := "apps/" + app + "/all.yaml"
		if content, ok := e.Files[file]; ok {
			apps = append(apps, fmt.Sprintf("{name: %[1]s, path: apps/%[1]s}", app))
			files[file] = &fstest.MapFile{Data: []byte(content)}
		}
	}
	var clusters []string
	for _, name := range w.campaign.history.Clusters {
		clusters = append(clusters, "{name: "+name+"}")
	}
	files["fedsync.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil,
		"apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n  clusters: [%s]\n  apps: [%s]\n",
		strings.Join(clusters, ", "), strings.Join(apps, ", "))}
	return &federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: fmt.Sprintf("%x%039d", e.Number+1, 0)[:40]}, Files: files}
}

// start implements [ground].
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
	d.render = inOneStep(render.New(render.Options{}).Render) // the clock of a bubble does not advance while a process runs
	d.before = w.pushed.before
	d.rosterFile = w.folder + "/roster"
	d.roster = roll.ReadRoster(d.rosterFile)
	d.claims = claim.Open(claim.Options{Dir: w.folder, Source: "source", Label: "label", Version: testVersion, Log: log})
	if err := d.claims.Kept(); err != nil {
		w.t.Fatal(err)
	}
	l := newLoop(d, false)
	l.members.newMember = func(f *federation.Federation, c federation.Cluster) memberLoop {
		m := d.newMember(f, c, false)
		m.Connect = func(string) (member.Connection, error) {
			return member.Connection{REST: w.configs[c.Name], Digest: c.Name}, nil
		}
		return m
	}
	ctx, cancel := context.WithCancel(w.ctx)
	var running sync.WaitGroup
	one := &lived{loop: l, campaign: w.campaign, stop: func() {
		cancel()
		l.members.wait()
		running.Wait()
		d.Close()
	}}
	l.onReport = one.show
	if w.events = d.events; len(w.pushed.all) > 0 {
		s := w.pushed.tip()
		w.events.put(source.Event{Snapshot: &s})
	}
	running.Go(func() { l.run(ctx) })
	running.Go(func() { d.claims.Run(ctx) })
	return one
}

// reach implements [ground].
func (w *memoryWorld) reach(cluster string) (dynamic.Interface, error) {
	return dynamic.NewForConfig(w.stores[cluster].Config())
}

// wait implements [ground].
func (w *memoryWorld) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// forget implements [ground].
func (w *memoryWorld) forget() {
	for _, store := range w.stores {
		store.ForgetRequests()
	}
}

// writes implements [ground].
func (w *memoryWorld) writes() string {
	var b strings.Builder
	for name, store := range w.stores {
		for _, r := range store.Requests() {
			if r.Writes() && !strings.HasSuffix(r.Resource.Resource, "reviews") {
				fmt.Fprintf(&b, "%s: %s %s %d\n%s\n", name, r.Method, r.Path, r.Code, r.Body)
			}
		}
	}
	return b.String()
}
