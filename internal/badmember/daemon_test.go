package badmember_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/badmember"
	"github.com/fedsync/fedsync/internal/objectstore"
)

const (
	// canary is the token of the member that misbehaves.
	canary = "CANARY+token/of.the=bad_member-0123456789abcdef"
	// memory is how much more than usual a daemon may take, in bytes. What is promised
	// is 256 MiB.
	memory = 192 << 20
	// patience is how long a test waits for what should take a second.
	patience = 30 * time.Second
	// longPatience is how long it waits until a member is found out that floods the daemon:
	// what it sends is read slowly, for the sake of the others.
	longPatience = 3 * patience
	// atRest is how long after it began something is tried no more than now and then,
	// and few is how many requests in restFor that is, probes included, of which there
	// are five in a second, and what the HTTP/2 of Go tries again by itself.
	atRest, restFor, few = 6 * time.Second, 4 * time.Second, 250
)

// all is set in the environment for every mode to be tried, which takes many minutes.
const all = "FEDSYNC_BADMEMBER_ALL"

// modes are one of each kind that takes a few seconds, or all.
func modes() []badmember.Mode {
	short := []string{"compressed discovery", "endless objects of a list", "event of small values", "endless pages", "another content for a write", "redirect of watches"}
	return slices.DeleteFunc(badmember.Modes(), func(m badmember.Mode) bool {
		return os.Getenv(all) == "" && !slices.Contains(short, m.Name)
	})
}

// figures are what one mode costs.
type figures struct {
	mode           string
	told           time.Duration // until it was said that the member misbehaves; 0 where it is not
	memory         int64         // above the usual, in bytes
	requests, rest int           // to the member, and of them in the last seconds
	lines          int           // in the log
	processor      time.Duration // of the daemon
	before, beside time.Duration // until a push was in the other members
	failover       time.Duration // until what another member ran was placed elsewhere
}

const heading = "MODE                               TOLD s  MiB  REQUESTS  AT REST  LOG LINES  CPU s  PUSH BEFORE  BESIDE ms  FAILOVER s"

func (f figures) String() string {
	told := "-"
	if f.told > 0 {
		told = fmt.Sprintf("%.1f", f.told.Seconds())
	}
	return fmt.Sprintf("%-34s %6s %4d %9d %8d %10d %6.1f %12d %10d %11.1f", f.mode, told, f.memory>>20, f.requests, f.rest, f.lines,
		f.processor.Seconds(), f.before.Milliseconds(), f.beside.Milliseconds(), f.failover.Seconds())
}

// TestTheOthersGoOnBesideAMemberThatMisbehaves begins with three members that behave.
// Then one of them misbehaves, while it runs a share of the replicas; then another one
// fails. With all modes it prints what each costs.
func TestTheOthersGoOnBesideAMemberThatMisbehaves(t *testing.T) {
	table := []string{heading}
	for _, mode := range modes() {
		t.Run(mode.Name, func(t *testing.T) {
			row := beside(t, mode).String()
			table = append(table, row)
			t.Logf("\n%s\n%s", heading, row)
		})
	}
	t.Logf("\n%s", strings.Join(table, "\n"))
}

func beside(t *testing.T, mode badmember.Mode) figures {
	w, f := newWorld(t), figures{mode: mode.Name}
	bad := w.members["bad"]
	w.push()
	w.start()
	w.divided(2, 2, 2)
	w.reached("1", "asia", "bad", "europe")
	f.before = w.pushed()

	usual, processor := w.used()
	asked, lines, began := bad.Asked(), strings.Count(w.log(), "\n"), time.Now()
	bad.SetMode(mode)
	if mode.Start {
		w.start()
		processor = 0
	}
	f.beside = w.pushed()
	if mode.Words != "" {
		w.misbehaves(mode.Words)
		f.told = time.Since(began)
	}
	if a, e := w.replicas("asia"), w.replicas("europe"); !mode.Away && a+e != 4 {
		t.Errorf("asia has %d replicas, europe %d: what the one that misbehaves runs was moved", a, e)
	}

	outage := time.Now()
	w.members["asia"].Store.SetOutage(objectstore.OutageRefuse)
	w.eventually("what asia runs is in europe", func() bool { return w.replicas("europe") >= 3 })
	f.failover = time.Since(outage)

	if os.Getenv(all) != "" {
		rest := atRest
		if mode.Long {
			rest *= 5
		}
		pause(t, rest-time.Since(began))
		before := bad.Asked()
		pause(t, restFor)
		f.rest = bad.Asked() - before
	}
	w.clean()
	f.memory, f.processor = w.used()
	f.memory, f.processor = f.memory-usual, f.processor-processor
	f.requests, f.lines = bad.Asked()-asked, strings.Count(w.log(), "\n")-lines
	if f.memory > memory {
		t.Errorf("%d MiB more than before, want %d at most", f.memory>>20, memory>>20)
	}
	// A push that takes longer because the processors are busy is no failure; one that
	// waits for the member is.
	if f.beside > 10*f.before+patience/10 {
		t.Errorf("a push takes %v beside it, %v without", f.beside, f.before)
	}
	if f.rest > few {
		t.Errorf("%d requests in %v, when it has misbehaved for %v; want %d at most", f.rest, restFor, atRest, few)
	}
	return f
}

func pause(t *testing.T, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func TestModesAreTold(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range badmember.Modes() {
		if m.Name == "" || seen[m.Name] {
			t.Errorf("mode %q twice, or without a name", m.Name)
		}
		seen[m.Name] = true
	}
	if len(seen) < 70 {
		t.Errorf("%d modes", len(seen))
	}
}
