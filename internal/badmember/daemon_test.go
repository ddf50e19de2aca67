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
	// canary is the token of the misbehaving member.
	canary = "CANARY+token/of.the=bad_member-0123456789abcdef"
	// memory is how much additional memory a daemon may use, in bytes. The promise is 256
	// MiB.
	memory = 192 << 20
	// patience is how long a test waits for what should take a second.
	patience = 30 * time.Second
	// longPatience is how long it waits until a flooding member is detected: its data is
	// read slowly, to protect the other members.
	longPatience = 3 * patience
	// atRest is the time after which retries are rare. few is the maximum of requests
	// during restFor then, including probes, of which there are five per second, and what
	// Go's HTTP/2 retries itself.
	atRest, restFor, few = 6 * time.Second, 4 * time.Second, 250
)

// all is the environment variable that enables every mode, which takes many minutes.
const all = "FEDSYNC_BADMEMBER_ALL"

// modes returns one mode of each kind that takes a few seconds, or all.
func modes() []badmember.Mode {
	short := []string{"compressed discovery", "endless objects of a list", "event of small values", "endless pages", "another content for a write", "redirect of watches"}
	return slices.DeleteFunc(badmember.Modes(), func(m badmember.Mode) bool {
		return os.Getenv(all) == "" && !slices.Contains(short, m.Name)
	})
}

// figures are the cost of one mode.
type figures struct {
	mode           string
	reported       time.Duration // until the misbehaviour was reported; 0 if it is not
	memory         int64         // above the usual, in bytes
	requests, rest int           // to the member, and of them in the last seconds
	lines          int           // in the log
	processor      time.Duration // of the daemon
	before, during time.Duration // until a push was in the other members
	failover       time.Duration // until another member's replicas were placed elsewhere
}

const heading = "MODE                               SEEN s  MiB  REQUESTS  AT REST  LOG LINES  CPU s  PUSH BEFORE  DURING ms  FAILOVER s"

func (f figures) String() string {
	reported := "-"
	if f.reported > 0 {
		reported = fmt.Sprintf("%.1f", f.reported.Seconds())
	}
	return fmt.Sprintf("%-34s %6s %4d %9d %8d %10d %6.1f %12d %10d %11.1f", f.mode, reported, f.memory>>20, f.requests, f.rest, f.lines,
		f.processor.Seconds(), f.before.Milliseconds(), f.during.Milliseconds(), f.failover.Seconds())
}

// TestOtherMembersWorkNextToAMisbehavingOne starts with three members that behave. Then
// one of them misbehaves while it runs a share of the replicas; then another one fails.
// With all modes it prints the cost of each.
func TestOtherMembersWorkNextToAMisbehavingOne(t *testing.T) {
	table := []string{heading}
	for _, mode := range modes() {
		t.Run(mode.Name, func(t *testing.T) {
			row := measure(t, mode).String()
			table = append(table, row)
			t.Logf("\n%s\n%s", heading, row)
		})
	}
	t.Logf("\n%s", strings.Join(table, "\n"))
}

func measure(t *testing.T, mode badmember.Mode) figures {
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
	f.during = w.pushed()
	if mode.Words != "" {
		w.misbehaves(mode.Words)
		f.reported = time.Since(began)
	}
	if a, e := w.replicas("asia"), w.replicas("europe"); !mode.Away && a+e != 4 {
		t.Errorf("asia has %d replicas, europe %d: the misbehaving member's replicas were moved", a, e)
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
	if f.during > 10*f.before+patience/10 {
		t.Errorf("a push takes %v with the misbehaving member, %v without", f.during, f.before)
	}
	if f.rest > few {
		t.Errorf("%d requests in %v, after %v of misbehaviour; want %d at most", f.rest, restFor, atRest, few)
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

func TestModesHaveUniqueNames(t *testing.T) {
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
