package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/bell"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/post"
)

// staged is a loop that runs in a synctest bubble. Its renderer, scheduler, diagnosis and
// poster are real; its repository, clusters and forge are played by the test.
type staged struct {
	inForce atomic.Value // the SHA of the revision in force, a string
	*loop

	t     *testing.T
	stop  func()
	forge *notebook
	files fstest.MapFS // of the last push
	// pushed are all commits, each the parent of the next.
	pushed *pushed
	// slow is how long a revision's rendering takes; deaf means that it ignores the end of
	// its context.
	mu   sync.Mutex
	slow map[string]time.Duration
	deaf bool

	began []string // the renderings, by SHA
	// hang holds the loop in a turn until the channel is closed; nil does not hold it.
	hang atomic.Pointer[chan struct{}]
}

// inOneStep returns a renderer that delivers a revision as a whole.
func inOneStep(render func(context.Context, federation.Snapshot, *federation.Federation, func(federation.Cluster, []federation.Bundle)) ([]federation.Bundle, []federation.Finding)) preview.RenderFunc {
	return func(ctx context.Context, s federation.Snapshot, f *federation.Federation, ready func(federation.Cluster, []federation.Bundle), _ func([]federation.Bundle, []federation.Finding)) ([]federation.Bundle, []federation.Finding) {
		return render(ctx, s, f, ready)
	}
}

// notebook is a forge that records what is posted.
type notebook struct {
	mu    sync.Mutex
	posts []status.Commit
}

func (n *notebook) Name() string { return "notebook" }
func (n *notebook) Limit() int   { return 140 }
func (n *notebook) List(context.Context, string, string) ([]status.Commit, error) {
	return nil, nil
}

func (n *notebook) Post(_ context.Context, c status.Commit) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.posts = append(n.posts, c)
	return nil
}

// of returns what was posted for a commit, as "state description", oldest first.
func (n *notebook) of(name string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var posts []string
	for _, c := range n.posts {
		if c.SHA == shaOf(name) {
			posts = append(posts, string(c.State)+" "+c.Description)
		}
	}
	return posts
}

// contexts returns the contexts under which something was posted for a commit.
func (n *notebook) contexts(name string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for _, c := range n.posts {
		if c.SHA == shaOf(name) && !slices.Contains(all, c.Context) {
			all = append(all, c.Context)
		}
	}
	return all
}

func shaOf(name string) string { return fmt.Sprintf("%x%040d", name, 0)[:40] }

// stagedConfig is made outside the bubble, where programs may run.
func stagedConfig(t *testing.T) *config.Config {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	repo := sourcetest.New(t)
	repo.Push("empty", map[string]string{"a": "b"})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.New()
	cfg.Repository, cfg.Kubeconfig = repo.Path, kubeconfig
	return cfg
}

// stage starts a loop, in a bubble.
func stage(t *testing.T, cfg *config.Config) *staged { return stageAt(t, cfg, &pushed{}) }

// stageAt is stage for a repository that already has commits.
func stageAt(t *testing.T, cfg *config.Config, repository *pushed) *staged {
	t.Helper()
	d, err := newParts(cfg, Options{Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	s := &staged{t: t, forge: &notebook{}, files: fstest.MapFS{}, slow: map[string]time.Duration{}, pushed: repository}
	d.before = repository.before
	d.rosterFile = filepath.Join(t.TempDir(), "roster")
	d.poster = post.New(s.forge, post.Options{Outbox: filepath.Join(t.TempDir(), "outbox")})
	render := render.New(render.Options{}).Render // the clock of a bubble does not advance while a process runs
	d.render = func(ctx context.Context, snapshot federation.Snapshot, f *federation.Federation, ready func(federation.Cluster, []federation.Bundle), _ func([]federation.Bundle, []federation.Finding)) ([]federation.Bundle, []federation.Finding) {
		sha := snapshot.Revision.SHA
		s.mu.Lock()
		slow, deaf := s.slow[sha], s.deaf
		s.began = append(s.began, sha)
		s.mu.Unlock()
		// Each cluster takes its share of the time; the last takes the longest.
		first := true
		return render(context.WithoutCancel(ctx), snapshot, f, func(c federation.Cluster, bundles []federation.Bundle) {
			if !first && slow > 0 {
				ended := ctx.Done()
				if deaf {
					ended = nil
				}
				select {
				case <-time.After(slow / time.Duration(len(f.Clusters)-1)):
				case <-ended:
				}
			}
			first = false
			ready(c, bundles)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.loop = newLoop(d, false)
	s.onReport = func(*status.Report) {
		s.inForce.Store(s.live.sha())
		if letGo := s.hang.Load(); letGo != nil {
			<-*letGo
		}
	}
	s.members.claims = nil
	s.members.newMember = func(_ *federation.Federation, c federation.Cluster) memberLoop {
		return &played{name: c.Name, changed: d.changed, outcome: member.Outcome{Facts: federation.ClusterFacts{
			State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, ServicesKnown: true, IngressesKnown: true,
		}}}
	}
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	running.Go(func() { d.poster.Run(ctx) })
	s.stop = func() {
		cancel()
		s.members.wait()
		running.Wait()
	}
	return s
}

// played is a cluster that immediately runs what it is requested to run, except for objects
// with the text "refused". Objects with the text "degraded" are not healthy.
type played struct {
	name    string
	changed bell.Bell

	mu      sync.Mutex // protects the following fields
	order   member.Order
	outcome member.Outcome
}

func (p *played) Run(ctx context.Context) { <-ctx.Done() }
func (p *played) Reconnect()              {}

func (p *played) Newest() member.Order {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order
}

func (p *played) Outcome() member.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outcome
}

func (p *played) Want(plan federation.ClusterPlan) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.order.Number > 0 && reflect.DeepEqual(p.order.ClusterPlan, plan) {
		return false
	}
	p.order = member.Order{ClusterPlan: plan, Number: p.order.Number + 1}
	p.outcome.Handed = p.order.Number
	go p.update(carry)
	return true
}

func (p *played) update(change func(*member.Outcome, member.Order)) {
	p.mu.Lock()
	change(&p.outcome, p.order)
	p.mu.Unlock()
	p.changed.Ring()
}

func carry(o *member.Outcome, order member.Order) {
	if o.Facts.State != federation.ClusterReady {
		return
	}
	o.Begun, o.Tried, o.Done, o.Final = order.Number, true, false, true
	if !order.Provisional {
		o.Revision = order.Revision
	}
	o.Changes, o.Findings, o.Observations, o.Facts.Workloads = nil, nil, nil, nil
	o.Facts.Inventory = map[string][]federation.ObjectRef{}
	for _, app := range order.Apps {
		for _, object := range app.Objects {
			text := string(object.JSON)
			if strings.Contains(text, "refused") {
				o.Changes = append(o.Changes, federation.Change{
					Cluster: order.Cluster, App: app.App, Object: object.Ref, Action: federation.ActionFailed, Err: errors.New("the API server refuses it"),
				})
				o.Findings = append(o.Findings, federation.Finding{
					ID: "D10", Severity: federation.SeverityError, Cluster: order.Cluster, App: app.App, Object: object.Ref, Message: untrusted.New("the API server refuses it"),
				})
				continue
			}
			health := federation.Healthy
			if strings.Contains(text, "degraded") {
				health = federation.Degraded
			}
			o.Facts.Inventory[app.App] = append(o.Facts.Inventory[app.App], object.Ref)
			o.Observations = append(o.Observations, federation.Observation{
				Cluster: order.Cluster, App: app.App, Object: object.Ref, Health: health,
			})
			if n, ok := replicasOf(object); ok {
				o.Facts.Workloads = append(o.Facts.Workloads, federation.Workload{Object: object.Ref, Replicas: n, Ready: n})
			}
		}
	}
	slices.SortFunc(o.Observations, func(a, b federation.Observation) int { return a.Object.Compare(b.Object) })
	if len(o.Changes) == 0 {
		o.Done = true
		if !order.Provisional {
			o.Applied = order.Revision
		}
	}
}

func replicasOf(o *federation.Object) (int64, bool) {
	spec, _ := o.Unstructured().Object["spec"].(map[string]any)
	n, ok := spec["replicas"].(int64)
	return n, ok
}

// push delivers a commit that changes these files; it never deletes one.
func (s *staged) push(name string, files map[string]string) {
	s.files = maps.Clone(s.files)
	for file, content := range files {
		if content == "" {
			delete(s.files, file)
			continue
		}
		s.files[file] = &fstest.MapFile{Data: []byte(content)}
	}
	s.find(s.pushed.add(federation.Snapshot{
		Revision: federation.Revision{Ref: "main", SHA: shaOf(name)}, Files: s.files,
	}))
}

// find delivers a commit as source does.
func (s *staged) find(snapshot federation.Snapshot) { s.events.put(source.Event{Snapshot: &snapshot}) }

// pushed is the history of a branch.
type pushed struct {
	mu  sync.Mutex // protects all
	all []federation.Snapshot
}

func (p *pushed) add(s federation.Snapshot) federation.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, s)
	return s
}

// tip returns the newest commit.
func (p *pushed) tip() federation.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[len(p.all)-1]
}

// before implements a beforeFunc.
func (p *pushed) before(_ context.Context, of federation.Revision, use func(federation.Snapshot) bool) error {
	p.mu.Lock()
	all := slices.Clone(p.all)
	p.mu.Unlock()
	i := slices.IndexFunc(all, func(s federation.Snapshot) bool { return s.Revision == of })
	for _, s := range slices.Backward(all[:max(i, 0)]) {
		if use(s) {
			return nil
		}
	}
	return nil
}

// slowly makes the rendering of a commit take some time.
func (s *staged) slowly(name string, takes time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow[shaOf(name)] = takes
}

// pass advances the clock and waits until all goroutines are idle.
func (s *staged) pass(d time.Duration) *status.Report {
	s.wait(d)
	return s.reports.Newest()
}

// wait is like pass, for a loop that may hang.
func (s *staged) wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // this advances the clock of the bubble
	synctest.Wait()
}

// replicas returns how many replicas of ReplicaSet web a cluster was last requested to run.
func (s *staged) replicas(cluster string) int64 {
	for _, app := range s.members.byName[cluster].Newest().Apps {
		for _, o := range app.Objects {
			if n, ok := replicasOf(o); ok {
				return n
			}
		}
	}
	return -1
}

// value returns the value of ConfigMap settings that a cluster was last requested to have.
func (s *staged) value(cluster string) string {
	for _, app := range s.members.byName[cluster].Newest().Apps {
		for _, o := range app.Objects {
			if o.Ref.Kind == "ConfigMap" {
				content, _ := o.Unstructured().Object["data"].(map[string]any)
				return fmt.Sprint(content["value"])
			}
		}
	}
	return "-"
}

const stagedFile = `apiVersion: fedsync.dev/v1alpha1
kind: Federation
metadata: {name: web}
spec:
  clusters: [{name: a}, {name: b}, {name: c}]
  apps: [{name: web, path: web}, {name: settings, path: settings}]
`

func stagedSettings(value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {value: " + value + "}\n"
}

func stagedReplicas(label string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web, labels: {is: %s}}\nspec:\n  replicas: 6\n"+
		"  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: web}]}\n", label)
}

func good() map[string]string {
	return map[string]string{
		"fedsync.yaml": stagedFile, "web/web.yaml": stagedReplicas("well"), "settings/settings.yaml": stagedSettings("one"),
	}
}

// away makes cluster b Offline, or Ready again.
func (s *staged) away(state federation.ClusterState) {
	s.members.byName["b"].memberLoop.(*played).update(func(o *member.Outcome, _ member.Order) {
		o.Facts.State, o.Facts.Synced, o.Facts.Outage = state, state == federation.ClusterReady, state != federation.ClusterReady
		o.Facts.AwaySince, o.Facts.Since = time.Now(), time.Now()
	})
}

func TestTheLoopGoesOnWhileAPushIsRenderedForAMinute(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		s := stage(t, cfg)
		defer s.stop()
		s.push("one", good())
		if r := s.pass(time.Minute); r.State != status.Success {
			t.Fatalf("the first push: %s", describe(r))
		}
		s.slowly("two", time.Minute)
		s.push("two", map[string]string{"settings/settings.yaml": stagedSettings("two")})
		r := s.pass(time.Second)
		if r.Revision.SHA != shaOf("two") || r.State != status.Pending || !strings.Contains(r.Description.String(), "synced, rendering") {
			t.Errorf("the second push after a second: %s, want it pending, rendering", describe(r))
		}

		// The finished part of it is in the first cluster, next to the revision in force.
		if got := s.value("a"); got != "two" {
			t.Errorf("a was told the value %s, want two at once", got)
		}
		if got := s.value("c"); got != "one" {
			t.Errorf("c was told the value %s, want one until it is rendered", got)
		}

		// A cluster goes away: its replicas are added elsewhere immediately, and the finished
		// part is not reverted.
		s.away(federation.ClusterOffline)
		r = s.pass(2 * publishInterval)
		if a, c := s.replicas("a"), s.replicas("c"); a != 3 || c != 3 {
			t.Errorf("replicas in a and c = %d, %d, want 3, 3 while the push is rendered", a, c)
		}
		if got := s.value("a"); got != "two" {
			t.Errorf("a was told the value %s after the failover, want two still", got)
		}
		if c := clusterOf(r, "b"); c.State != federation.ClusterOffline {
			t.Errorf("b is reported as %s, want Offline", c.State)
		}

		// Reports continue, at the latest by the timer.
		for range 5 {
			if r := s.pass(turnInterval); time.Since(r.Time) > turnInterval || r.Revision.SHA != shaOf("two") {
				t.Errorf("the report is %s old and of %s", time.Since(r.Time), r.Revision)
			}
		}
		s.away(federation.ClusterReady)
		if r = s.pass(2 * time.Minute); r.State != status.Success || s.value("c") != "two" {
			t.Errorf("in the end: %s, want a success", describe(r))
		}
		for _, post := range s.forge.of("two") {
			if strings.HasPrefix(post, "failure") {
				t.Errorf("the second push got %q", post)
			}
		}
	})
}

func TestTheLoopGoesOnWhileAFileIsRead(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		s := stage(t, cfg)
		defer s.stop()
		s.push("one", good())
		s.pass(time.Minute)
		letGo := make(chan struct{})
		s.events.put(source.Event{Snapshot: &federation.Snapshot{
			Revision: federation.Revision{Ref: "main", SHA: shaOf("hangs")}, Files: hangingFS{s.files, letGo},
		}})
		if r := s.pass(30 * time.Second); time.Since(r.Time) > turnInterval || r.Revision.SHA != shaOf("one") {
			t.Errorf("while the file is read the report is %s old and of %s", time.Since(r.Time), r.Revision)
		}
		if r := s.pass(time.Minute); r.Revision.SHA != shaOf("hangs") || !strings.Contains(r.Description.String(), "longer than a minute to read") {
			t.Errorf("after a minute: %s, want it refused", describe(r))
		}
		s.push("three", map[string]string{"settings/settings.yaml": stagedSettings("three")})
		close(letGo)
		if r := s.pass(time.Minute); r.State != status.Success || r.Revision.SHA != shaOf("three") {
			t.Errorf("the next push: %s, want a success", describe(r))
		}
	})
}

type hangingFS struct {
	fstest.MapFS
	letGo chan struct{}
}

func (h hangingFS) ReadFile(name string) ([]byte, error) {
	<-h.letGo
	return h.MapFS.ReadFile(name)
}

func TestANewerPushStopsARenderingAndAStreamOfThemDoesNotStarve(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		s := stage(t, cfg)
		defer s.stop()
		s.push("p0", good())
		s.pass(time.Minute)
		// A push every 10 s, each of which takes 50 s to render.
		var inForce []string
		for i := 1; i <= 20; i++ {
			name := fmt.Sprint("p", i)
			s.slowly(name, 50*time.Second)
			s.push(name, map[string]string{"settings/settings.yaml": stagedSettings(name)})
			r := s.pass(10 * time.Second)
			if r.Revision.SHA != shaOf(name) || r.State != status.Pending {
				t.Errorf("%s is %s, want it reported as pending", name, describe(r))
			}
			if sha, _ := s.inForce.Load().(string); !slices.Contains(inForce, sha) {
				inForce = append(inForce, sha)
			}
		}
		// p1 and p2 are stopped and p3 is finished. p8 follows, since only the newest
		// counts, then p9, and p10 is finished …
		if len(inForce) < 3 {
			t.Errorf("%d revisions were in force during 200 s of pushes, want some of them", len(inForce))
		}
		if r := s.pass(2 * time.Minute); r.State != status.Success || r.Revision.SHA != shaOf("p20") || s.value("c") != "p20" {
			t.Errorf("in the end: %s, want p20 a success", describe(r))
		}
		for i := range 20 {
			for _, post := range s.forge.of(fmt.Sprint("p", i)) {
				if strings.HasPrefix(post, "failure") && !strings.Contains(post, "superseded") {
					t.Errorf("p%d got %q", i, post)
				}
			}
		}
	})
}

func TestTheEndDoesNotWaitForARendering(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		s := stage(t, cfg)
		s.deaf = true
		s.slowly("one", time.Hour)
		s.push("one", good())
		s.pass(time.Second)
		started := time.Now()
		s.stop()
		if took := time.Since(started); took > 0 {
			t.Errorf("the loop took %s to end, want it to leave the rendering behind", took)
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // the rendering ends by itself
	})
}

// A commit never gets the failure of the previous one, whatever failed.
func TestAMendedCommitIsNeverGivenTheFailureBefore(t *testing.T) {
	cfg := stagedConfig(t)
	cases := map[string]map[string]string{
		"a file is not YAML":        {"web/web.yaml": "kind: [\n"},
		"a node port out of range":  {"web/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 80}]}\n"},
		"the API server refuses it": {"web/web.yaml": stagedReplicas("refused")},
		"a plain object is refused": {"settings/settings.yaml": stagedSettings("refused")},
		"a workload is degraded":    {"web/web.yaml": stagedReplicas("degraded")},
		"a Secret is missing": {"web/ingress.yaml": "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec:\n" +
			"  defaultBackend: {service: {name: nowhere, port: {number: 80}}}\n"},
	}
	for what, bad := range cases {
		for _, takes := range []time.Duration{0, 40 * time.Second} {
			t.Run(fmt.Sprintf("%s, rendered in %s", what, takes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := stage(t, cfg)
					defer s.stop()
					s.push("A", good())
					s.pass(time.Minute)
					s.push("bad", bad)
					if r := s.pass(20 * time.Minute); r.State != status.Failure {
						t.Fatalf("the bad commit: %s, want a failure", describe(r))
					}
					mended := good()
					for file := range bad {
						if _, ok := mended[file]; !ok {
							mended[file] = ""
						}
					}
					s.slowly("B", takes)
					s.push("B", mended)
					if r := s.pass(3 * time.Minute); r.State != status.Success {
						t.Errorf("the fixed commit: %s, want a success", describe(r))
					}
					for _, post := range s.forge.of("B") {
						if strings.HasPrefix(post, "failure") {
							t.Errorf("the fixed commit got %q", post)
						}
					}
				})
			})
		}
	}
}

func TestACommitThatBreaksTheFileIsToldThatAndNothingElse(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		s := stage(t, cfg)
		defer s.stop()
		s.push("A", good())
		s.pass(time.Minute)
		s.push("bad", map[string]string{"web/web.yaml": "kind: [\n"})
		s.pass(time.Minute)
		s.push("B", map[string]string{"web/web.yaml": stagedReplicas("well"), "fedsync.yaml": stagedFile + "  oops: 1\n"})
		r := s.pass(time.Minute)
		if r.State != status.Failure || !strings.Contains(r.Description.String(), "oops") || strings.Contains(r.Description.String(), "more") {
			t.Errorf("the commit that breaks the file: %s, want that alone", describe(r))
		}
		for _, post := range s.forge.of("B") {
			if strings.Contains(post, "web.yaml") {
				t.Errorf("the commit got %q", post)
			}
		}
		noted := slices.ContainsFunc(r.Findings, func(f federation.Finding) bool {
			return f.File == "web/web.yaml" && f.Severity == federation.SeverityNote && strings.Contains(f.Message.String(), shaOf("bad")[:7])
		})
		if !noted {
			t.Errorf("no note names the revision in force: %s", describe(r))
		}
		if r, ok := s.reports.Of(shaOf("bad")); !ok || r.State != status.Failure || time.Since(r.Time) > turnInterval {
			t.Errorf("the report of the revision in force is not kept up to date")
		}
		// The revision in force is still maintained.
		s.away(federation.ClusterOffline)
		s.pass(time.Second)
		s.push("C", map[string]string{"fedsync.yaml": stagedFile})
		s.away(federation.ClusterReady)
		if r := s.pass(3 * time.Minute); r.State != status.Success {
			t.Errorf("when the file is fixed: %s, want a success", describe(r))
		}
	})
}

func TestAPartGoesOverWhatIsInForce(t *testing.T) {
	object := func(name string) *federation.Object {
		return &federation.Object{Ref: federation.ObjectRef{Kind: "ConfigMap", Name: name}}
	}
	p := part{plan: federation.ClusterPlan{Cluster: "a", Provisional: true, Apps: []federation.AppPlan{
		{App: "new", Objects: []*federation.Object{object("moved")}, Prune: federation.PruneWaiting},
	}}}
	got := p.over(federation.ClusterPlan{Cluster: "a", Apps: []federation.AppPlan{
		{App: "new", Objects: []*federation.Object{object("gone")}, Prune: federation.PruneAllowed},
		{App: "old", Objects: []*federation.Object{object("moved"), object("stays")}, Prune: federation.PruneAllowed},
		{App: "off", Prune: federation.PruneOff},
	}})
	var words []string
	for _, app := range got.Apps {
		for _, o := range app.Objects {
			words = append(words, app.App+"/"+o.Ref.Name)
		}
		if app.Prune == federation.PruneAllowed {
			t.Errorf("app %s is pruned", app.App)
		}
	}
	if want := []string{"new/moved", "old/stays"}; !slices.Equal(words, want) || !got.Provisional {
		t.Errorf("got %v, want %v", words, want)
	}
}
