package daemon

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/lab/faults"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/status"
)

// Of two daemons that start together, on two hosts with one name, one and the same writes
// all clusters, whatever is slow. It continues when the other is stopped.
func TestOfTwoDaemonsThatStartTogetherOneWritesAllClusters(t *testing.T) {
	rounds := 5
	if os.Getenv(longTests) != "" {
		rounds = 100
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	w := faultyWorld(t)
	all := w.sandbox.Clusters()
	w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web", "more"), "apps/web/a.yaml": w.settings("a", "0"), "apps/more/b.yaml": w.settings("b", "0")})
	for round := range rounds {
		if random.IntN(2) == 0 {
			// The claim of one of them is late in one cluster.
			w.proxy(random.IntN(3)).Add(faults.Rule{
				Method: "POST|PUT", Path: faults.Object(claim.Resource.Resource+"."+claim.Resource.Group, claim.Namespace, claim.Name(w.name)),
				Action: faults.Forward, Delay: time.Duration(random.Int64N(int64(time.Second))), Count: 1,
			})
		}
		var pair []*ran
		for range 2 {
			t.Setenv("XDG_CACHE_HOME", t.TempDir()) // a host of its own
			pair = append(pair, w.start())
		}
		var winner, loser *ran
		head := w.repo.Head()
		eventually(t, fmt.Sprintf("seed %d, round %d: one writes, and the other says so", seed, round), func() string {
			holder := w.claimOf(all[0])
			for i, d := range pair {
				if d.claims.Token().String() == holder {
					winner, loser = d, pair[1-i]
				}
			}
			if winner == nil {
				return fmt.Sprintf("%s is held by %s", all[0], holder)
			}
			for _, name := range all {
				if got := w.claimOf(name); got != winner.claims.Token().String() {
					return fmt.Sprintf("%s is held by %s, %s by %s", all[0], winner.claims.Token(), name, got)
				}
			}
			won, lost := winner.reports.Newest(), loser.reports.Newest()
			if won == nil || lost == nil {
				return "no report"
			}
			if missing := is(head, status.Success)(won); missing != "" {
				return missing + "\n" + describe(won)
			}
			for _, name := range all {
				if missing := hasFinding("E fenced", name)(lost); missing != "" {
					return missing + "\n" + describe(lost)
				}
			}
			return ""
		})
		loser.stop()
		winner.live(w.repo.Push(fmt.Sprint("round ", round), map[string]string{
			"apps/web/a.yaml": w.settings("a", fmt.Sprint(round+1)), "apps/more/b.yaml": w.settings("b", fmt.Sprint(round+1)),
		}))
		for _, name := range all {
			if a, b := w.value(name, "a"), w.value(name, "b"); a != fmt.Sprint(round+1) || b != a {
				t.Errorf("seed %d: a, b in %s = %s, %s, want %d", seed, name, a, b, round+1)
			}
		}
		winner.stop()
		w.front.RemoveAll()
	}
}

// A daemon that has yielded posts no commit statuses: the statuses of a commit are those of
// the daemon that writes.
func TestADaemonThatYieldedPostsNothing(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	w.cfg.CommitStatus = "gitnotes"
	w.cfg.PublicURL = "https://fedsync.example.com"
	older, newer := *w.cfg, *w.cfg
	newer.Instance = "second"
	d1 := w.startWith(&older)
	first := w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "1")})
	d1.live(first)
	w.awaitNote(first, `"state":"success"`)

	d2 := w.startWith(&newer)
	d2.live(first)
	for _, name := range w.sandbox.Clusters() {
		d1.await("the older has yielded", hasFinding("E fenced", name, "second"))
	}
	posts := postsOf(t, d1)
	second := w.repo.Push("second", map[string]string{"apps/web/a.yaml": w.settings("a", "2")})
	d2.live(second)
	d1.await("the older knows of the push, and cannot make it live", is(second, status.Failure))
	w.awaitNote(second, `"state":"success"`)
	note := w.repo.Git("notes", "--ref", "fedsync", "show", second)
	d1.during(6*time.Second, "the older is what it was", is(second, status.Failure))
	if got := w.repo.Git("notes", "--ref", "fedsync", "show", second); got != note {
		t.Errorf("the note was %s and is %s", note, got)
	}
	if got := postsOf(t, d1); got != posts {
		t.Errorf("the older has posted %v times, want the %v from before it yielded", got, posts)
	}
}

// A daemon that hangs in the middle of a push, and continues after another has taken over,
// writes only what was under way.
func TestADaemonThatStoodStillWritesNothingAfterAnotherTookOver(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	all := w.sandbox.Clusters()
	front := w.sandbox.Faults(t) // for the older only
	older := *w.cfg
	older.Kubeconfig, older.Instance = front.Kubeconfig(), "older"
	first := w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "1")})
	child := startChild(t, &older)
	says := func(words ...string) string { return pageSays(t, child, words...) }
	eventually(t, "the older has made the first push live", func() string { return says(first, "3/3 clusters") })

	hung := front.Proxy(all[0]).Add(w.writesTo("a", faults.Rule{Action: faults.Hang}))
	second := w.repo.Push("second", map[string]string{"apps/web/a.yaml": w.settings("a", "2")})
	hung.Await(1)
	eventually(t, "nothing else is under way", func() string {
		report, err := child.Report(t.Context())
		if err != nil {
			return err.Error()
		}
		missing := ""
		for _, c := range report.Clusters {
			if c.Name != all[0] && c.Applied.SHA != second {
				missing += fmt.Sprintf("%s is at %s; ", c.Name, c.Applied)
			}
		}
		return missing
	})
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(child.Pid, s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)

	newer := *w.cfg
	newer.Instance = "newer"
	d := w.startWith(&newer)
	d.live(second)
	third := w.repo.Push("third", map[string]string{"apps/web/a.yaml": w.settings("a", "3")})
	d.live(third)
	// After this time it must check the claim before it writes.
	d.during(11*time.Second, "the newer is the writer", is(third, status.Success))
	front.ClearRequests()
	hung.Remove() // the requests under way arrive
	signal(syscall.SIGCONT)
	eventually(t, "the older knows that it is not the writer", func() string { return says(third, "fenced") })
	for _, name := range all {
		w.awaitValue(name, "a", "3")
	}
	fourth := w.repo.Push("fourth", map[string]string{"apps/web/a.yaml": w.settings("a", "4")})
	d.live(fourth)
	eventually(t, "the older hears of the push", func() string { return says(fourth, "fenced") })
	if wrote := front.Requests().Writes(); len(wrote) > 0 {
		t.Errorf("the older wrote after its successor had taken over: %+v", wrote)
	}
	d.live(fourth)
}

// pageSays is a condition: the newest report of a daemon has all of these words.
func pageSays(t *testing.T, d *lab.Daemon, words ...string) string {
	t.Helper()
	report, err := d.Report(t.Context())
	if err != nil {
		return err.Error()
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range words {
		if !strings.Contains(string(text), word) {
			return fmt.Sprintf("it does not say %q: %.2000s", word, text)
		}
	}
	return ""
}

// postsOf counts the commit statuses that a daemon has posted.
func postsOf(t *testing.T, d *ran) float64 {
	t.Helper()
	families, err := d.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0.0
	for _, family := range families {
		if !strings.Contains(family.GetName(), "commit_status") {
			continue
		}
		for _, m := range family.GetMetric() {
			n += m.GetCounter().GetValue()
		}
	}
	return n
}
