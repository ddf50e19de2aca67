package daemon

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/hostile"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitnotes"
)

// besideCases are the hostile repositories of the short form: those with the most time,
// memory, findings, objects and deltas.
var besideCases = []string{
	"size/3000-built", "fanout/replacements-that-grow", "finding/600000-documents", "size/9900-plain", "object/large-by-delta",
}

// besideReal makes the test use real clusters, behind proxies that can cut them off.
var besideReal = flag.Bool("beside.real", false, "push hostile repositories to a daemon with real clusters, not with some in memory")

// While hostile apps are pushed, the other apps of the repository are rendered, applied
// and moved, the page answers, and commits get their statuses. The long form runs all
// cases, and prints each duration as a multiple of the duration without a hostile app.
// FEDSYNC_TEST_BESIDE selects cases by a regular expression.
func TestAHostilePushLeavesTheOthersAlone(t *testing.T) {
	long := os.Getenv(longTests) != ""
	b := newBeside(t)
	rounds := 1
	if long {
		rounds = 5
	}
	var usual []besideFigures
	for i := range rounds {
		usual = append(usual, b.round(t, fmt.Sprintf("usual %d", i+1), nil))
	}
	base := medianFigures(usual)
	t.Logf("usually: %s", base)
	only := regexp.MustCompile(os.Getenv("FEDSYNC_TEST_BESIDE"))
	for _, c := range hostile.Cases() {
		if !long && !slices.Contains(besideCases, c.Name) || !only.MatchString(c.Name) || !c.Pushable(b.around) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			got := b.round(t, c.Name, c.Build)
			t.Logf("%s; %s", got, got.over(base))
			b.judge(t, got)
		})
	}
}

// beside is a federation with an honest app, web, and hostile apps that are pushed next
// to it.
type beside struct {
	*world

	d      *ran
	head   hostile.ID // of main
	value  int        // of the honest app's ConfigMap
	lost   string     // the cluster that is lost in each round
	others []string
	around hostile.World
	cut    func(cluster string) (back func())
}

// besideFigures are the figures of one round.
type besideFigures struct {
	live     time.Duration // from a push of the honest app after the hostile one until it is in all clusters; 0 if there is no such push
	settled  time.Duration // the same after the hostile app is rendered
	revert   time.Duration // from the push that removes the hostile app
	failover time.Duration // from the loss of a cluster until its replicas are elsewhere
	page     time.Duration // the longest wait for the page
	report   time.Duration // and for the report
	bytes    int           // of the report, at most
	told     time.Duration // until the commit without the hostile app has the status success
}

func (f besideFigures) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
	return fmt.Sprintf("live %s, later %s, reverted %s, failover %s, page %s, report %s of %d bytes, told %s",
		ms(f.live), ms(f.settled), ms(f.revert), ms(f.failover), ms(f.page), ms(f.report), f.bytes, ms(f.told))
}

// over returns the figures as multiples of those of a base.
func (f besideFigures) over(usual besideFigures) string {
	times := func(a, b time.Duration) string {
		if a == 0 || b == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", float64(a)/float64(b))
	}
	return fmt.Sprintf("× live %s, later %s, reverted %s, failover %s, page %s, report %s, told %s",
		times(f.live, usual.live), times(f.settled, usual.settled), times(f.revert, usual.revert),
		times(f.failover, usual.failover), times(f.page, usual.page), times(f.report, usual.report), times(f.told, usual.told))
}

func medianFigures(all []besideFigures) besideFigures {
	of := func(figure func(besideFigures) time.Duration) time.Duration {
		var values []time.Duration
		for _, f := range all {
			values = append(values, figure(f))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return besideFigures{
		live:     of(func(f besideFigures) time.Duration { return f.live }),
		settled:  of(func(f besideFigures) time.Duration { return f.settled }),
		revert:   of(func(f besideFigures) time.Duration { return f.revert }),
		failover: of(func(f besideFigures) time.Duration { return f.failover }),
		page:     of(func(f besideFigures) time.Duration { return f.page }),
		report:   of(func(f besideFigures) time.Duration { return f.report }),
		told:     of(func(f besideFigures) time.Duration { return f.told }),
		bytes:    all[0].bytes,
	}
}

// besideProbes is how often the clusters are probed, so that a round takes seconds.
const besideProbes = 500 * time.Millisecond

func newBeside(t *testing.T) *beside {
	t.Helper()
	w, all, cut := besideInMemory(t)
	if *besideReal {
		w, all, cut = besideOnReal(t)
	}
	w.cfg.ProbeInterval, w.cfg.ProbeTimeout = besideProbes, 2*time.Second
	w.cfg.RequestTimeout = 5 * time.Second
	w.cfg.CommitStatus = "gitnotes"
	w.cfg.AllowNamespaces = []string{w.namespace} // hostile objects are applied nowhere
	b := &beside{world: w, cut: cut, lost: all[1], others: []string{all[0], all[2]}, around: hostile.World{Address: "127.0.0.1:1", Secret: "/etc/hostname", Program: "/bin/true"}}
	b.push(t, hostile.New())
	b.d = w.start()
	b.live(t, all)
	b.d.live(b.head.String())
	w.awaitReplicas(all, 2, 2, 2)
	return b
}

// neighbour returns the files of the honest app in its current state.
func (b *beside) neighbour() hostile.Neighbour {
	return hostile.Neighbour{
		Federation: b.name, Clusters: b.clusters(), App: "web",
		Files: map[string]string{
			"web/replicas.yaml": b.shared(6, true),
			"web/settings.yaml": b.settings("settings", fmt.Sprint(b.value)),
		},
	}
}

func (b *beside) clusters() []string { return []string{b.others[0], b.lost, b.others[1]} }

// push changes the value of the honest app and pushes it, together with what a function
// builds. It reports whether the honest app could be included.
func (b *beside) push(t *testing.T, r *hostile.Repository, build ...func(*hostile.Repository, hostile.World)) bool {
	t.Helper()
	b.value++
	var parents []hostile.ID
	if !b.head.IsZero() {
		parents = append(parents, b.head)
	}
	both := true
	if len(build) == 0 || build[0] == nil {
		r.Honest(b.neighbour(), parents...)
	} else {
		build[0](r, b.around)
		both = r.Beside(b.neighbour(), parents...)
		// If fedsync.yaml is refused as a whole, no app can be applied.
		_, err := fedfile.Parse("", []byte(r.FederationFile()))
		both = both && err == nil
	}
	var err error
	if b.head, err = r.Push(b.repo.Path); err != nil {
		t.Fatal(err)
	}
	return both
}

// live waits until clusters have the honest app in the state that was pushed last.
func (b *beside) live(t *testing.T, clusters []string) time.Duration {
	t.Helper()
	began := time.Now()
	within(t, 2*patience, fmt.Sprintf("value %d of the honest app is in the clusters", b.value), func() string {
		for _, c := range clusters {
			if got := b.world.value(c, "settings"); got != fmt.Sprint(b.value) {
				return fmt.Sprintf("%s has %s", c, got)
			}
		}
		return ""
	})
	return time.Since(began)
}

// round pushes what build makes and measures how the honest app is served during that.
func (b *beside) round(t *testing.T, name string, build func(*hostile.Repository, hostile.World)) (f besideFigures) {
	t.Helper()
	pages := b.watchPages(t)
	defer pages.stop()
	repository := func() *hostile.Repository {
		r := hostile.New()
		r.File("round", name) // so that it is another commit
		return r
	}
	both := b.push(t, repository(), build)
	if both {
		b.push(t, repository(), build)
		f.live = b.live(t, b.clusters())
	}

	// A cluster is lost while the hostile app is rendered or inspected.
	back := b.cut(b.lost)
	began := time.Now()
	within(t, 2*patience, "the replicas are elsewhere", func() string {
		if got := b.replicas(b.others...); !slices.Equal(got, []int64{3, 3}) {
			return fmt.Sprintf("the others have %v", got)
		}
		return ""
	})
	f.failover = time.Since(began)
	back()
	within(t, 2*patience, "the replicas are back", func() string {
		if got := b.replicas(b.clusters()...); !slices.Equal(got, []int64{2, 2, 2}) {
			return fmt.Sprintf("there are %v", got)
		}
		return ""
	})
	if both {
		b.push(t, repository(), build)
		f.settled = b.live(t, b.clusters())
	}
	hostileHead := b.head.String() // earlier commits may have been superseded before they were read

	b.push(t, repository())
	began = time.Now()
	f.revert = b.live(t, b.clusters())
	sha := b.head.String()
	b.d.live(sha)
	// Notes are written every five seconds at most.
	within(t, 2*patience, "the commits are told", func() string {
		if note := b.note(sha); !strings.Contains(note, string(status.Success)) {
			return fmt.Sprintf("the last has the note %q", note)
		}
		if note := b.note(hostileHead); both && build != nil && note == "" {
			return "the hostile one has no note"
		}
		return ""
	})
	f.told = time.Since(began)
	f.page, f.report, f.bytes = pages.longest()
	return f
}

// note returns the note of a commit, which holds its statuses.
func (b *beside) note(sha string) string {
	refs := b.repo.Git("for-each-ref", gitnotes.Ref)
	if refs == "" {
		return ""
	}
	list := b.repo.Git("notes", "--ref", gitnotes.Ref, "list")
	for line := range strings.Lines(list) {
		if blob, of, _ := strings.Cut(strings.TrimSpace(line), " "); of == sha {
			return b.repo.Git("cat-file", "blob", blob)
		}
	}
	return ""
}

// judge checks what does not depend on the machine.
func (b *beside) judge(t *testing.T, f besideFigures) {
	t.Helper()
	const slack = 20 * time.Second
	for what, took := range map[string]time.Duration{
		"a push of the honest app": f.live, "a later one": f.settled, "one without the hostile app": f.revert,
		"the move of the replicas": f.failover - 4*besideProbes,
	} {
		if took > slack {
			t.Errorf("%s took %s, want at most %s", what, took, slack)
		}
	}
	if f.page > slack/4 || f.report > slack/4 {
		t.Errorf("the page took %s and the report %s, want at most %s", f.page, f.report, slack/4)
	}
	if f.bytes > 4<<20 {
		t.Errorf("the report has %d bytes", f.bytes)
	}
}

// pageWatch requests the page and the report continuously.
type pageWatch struct {
	stop func()

	mu    sync.Mutex
	took  map[string]time.Duration
	bytes int
}

func (b *beside) watchPages(t *testing.T) *pageWatch {
	t.Helper()
	p := &pageWatch{took: map[string]time.Duration{}}
	quit := make(chan struct{})
	var running sync.WaitGroup
	for _, path := range []string{"/", "/api/v1/report"} {
		running.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-quit:
					return
				case <-tick.C:
				}
				began := time.Now()
				response, err := http.Get(b.d.publicURL() + path) //nolint:noctx // The answer is awaited however long it takes.
				if err != nil {
					t.Errorf("GET %s: %v", path, err)
					return
				}
				n, err := io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK {
					t.Errorf("GET %s: %s: %v", path, response.Status, err)
					return
				}
				p.mu.Lock()
				p.took[path] = max(p.took[path], time.Since(began))
				p.bytes = max(p.bytes, int(n))
				p.mu.Unlock()
			}
		})
	}
	p.stop = sync.OnceFunc(func() {
		close(quit)
		running.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return p
}

func (p *pageWatch) longest() (page, report time.Duration, bytes int) {
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	took := maps.Clone(p.took)
	return took["/"], took["/api/v1/report"], p.bytes
}
