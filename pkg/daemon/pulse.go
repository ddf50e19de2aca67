package daemon

import (
	"fmt"
	"sync/atomic"
	"time"
)

// maxTurn is how long the loop may go without a turn before the daemon is taken for
// hung. Its clock makes it turn every lookInterval where nothing happens, and a turn
// takes milliseconds, so that a minute is neither idleness nor load.
const maxTurn = time.Minute

// A pulse tells a loop that turns from one that hangs. Only the loop beats it, once
// a turn: a goroutine that beat it by a clock of its own would go on beside a loop
// that is stuck. Reading it takes no lock that a stuck loop could hold.
type pulse struct {
	since time.Time    // when there was none yet
	last  atomic.Int64 // the last beat, in nanoseconds after since
}

func newPulse() *pulse { return &pulse{since: time.Now()} }

// beat is for the loop alone.
func (p *pulse) beat() { p.last.Store(int64(time.Since(p.since))) }

// silence is how long ago the last beat was. The time that a machine sleeps does not
// count: both ends are read from the monotonic clock.
func (p *pulse) silence() time.Duration { return time.Since(p.since) - time.Duration(p.last.Load()) }

// alive reports why the daemon has to be started anew: its loop hangs. What is
// away, a repository, a cluster or a forge, is no reason, since a restart mends none.
func (d *Daemon) alive() error {
	if silence := d.pulse.silence(); silence > d.maxTurn {
		return fmt.Errorf("the loop has not turned for %s", silence.Round(time.Second))
	}
	return nil
}
