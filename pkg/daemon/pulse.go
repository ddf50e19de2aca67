package daemon

import (
	"fmt"
	"sync/atomic"
	"time"
)

// maxTurn is how long the loop may go without a turn before the daemon counts as hung.
// The loop turns at least every turnInterval, and a turn takes milliseconds, so a
// minute is neither idleness nor load.
const maxTurn = time.Minute

// A pulse distinguishes a loop that turns from one that hangs. The loop beats it each
// turn. No other goroutine may: its beat would go on while the loop is stuck. Reading
// the pulse takes no lock that a stuck loop could hold.
type pulse struct {
	since time.Time    // before the first beat
	last  atomic.Int64 // the last beat, in nanoseconds after since
}

func newPulse() *pulse { return &pulse{since: time.Now()} }

// beat is for the loop alone.
func (p *pulse) beat() { p.last.Store(int64(time.Since(p.since))) }

// silence returns the time since the last beat. Time during which the machine sleeps does
// not count: both ends are read from the monotonic clock.
func (p *pulse) silence() time.Duration { return time.Since(p.since) - time.Duration(p.last.Load()) }

// alive returns why the daemon has to be restarted: its loop hangs. A repository, a
// cluster or a forge that is away is no reason, since a restart does not help.
func (d *Daemon) alive() error {
	if silence := d.pulse.silence(); silence > d.maxTurn {
		return fmt.Errorf("the loop has not completed a turn for %s", silence.Round(time.Second))
	}
	return nil
}
