package probe

import (
	"math/bits"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// window is how many of the last probes are counted for the reader: a minute of
// them at the usual interval.
const window = 30

// Probe is what the probes of one cluster add up to at one moment.
type Probe struct {
	State federation.ClusterState
	Since time.Time // when State began
	// Away is when the cluster stopped answering: the end of the first probe that
	// failed, or the start where none was answered. It is zero while the cluster is
	// Pending, Ready or Unknown.
	Away time.Time
	// Failure and Error are those of the last probe that failed, until the
	// cluster is Ready. Error holds no secrets; its text is not to be trusted.
	Failure federation.FailureClass
	Error   string

	At     time.Time // when the last probe ended
	Failed int       // so many of the last Probes failed
	Probes int       // at most 30, fewer after a start

	Version string // the API server's, as in "v1.37.2"; empty until it was asked
}

// Describe writes the probe into the facts of its cluster, and leaves what watches
// bring.
func (p Probe) Describe(f *federation.ClusterFacts) {
	f.State, f.Since, f.AwaySince = p.State, p.Since, p.Away
	f.Failure, f.Error = p.Failure, untrusted.Excerpt(p.Error)
	f.Failed, f.Probes = p.Failed, p.Probes
	f.Version = p.Version
}

// Tracker adds up the probes of one cluster. It is pure: time comes in with the
// probes.
//
// Only failures that mean absence lead to Offline, and only Offline in a row; a
// cluster that does not let us look is Unknown at once, since nothing is moved
// because of it. One that asks for fewer requests is there: it stays Ready unless it
// answers nothing else, Offline times in a row. The way back from NotReady and Offline takes Back good probes,
// so that a cluster which answers now and then does not flap; a first good probe
// after the start, and a good one after Unknown, is enough.
type Tracker struct {
	offline, back int

	probe     Probe
	absent    int    // failures in a row that mean absence
	throttled int    // answers in a row that ask for fewer requests
	answers   int    // answers in a row, whatever they said
	good      int    // good answers in a row
	history   uint32 // a bit for each of the last probes, 1 where it failed
}

// NewTracker makes a tracker of a cluster that is Pending since now. Offline and
// back are numbers of probes.
func NewTracker(offline, back int, now time.Time) *Tracker {
	return &Tracker{
		offline: offline,
		back:    back,
		probe:   Probe{State: federation.ClusterPending, Since: now},
	}
}

// Probe is what the probes add up to so far.
func (t *Tracker) Probe() Probe { return t.probe }

// Observe counts one probe that ended at a time, with FailureNone and an empty
// message for a good one. It says whether the state or the class of failure is
// another than before.
func (t *Tracker) Observe(at time.Time, failure federation.FailureClass, message string) bool {
	before := t.probe
	t.count(failure)

	t.probe.At = at
	if failure != federation.FailureNone {
		t.probe.Failure, t.probe.Error = failure, message
	}
	t.probe.State = t.next(failure)
	if t.probe.State == federation.ClusterReady {
		t.probe.Failure, t.probe.Error = federation.FailureNone, ""
	}
	t.probe.Away = t.away(before, at)
	if t.probe.State != before.State {
		t.probe.Since = at
	}
	return t.probe.State != before.State || t.probe.Failure != before.Failure
}

// Versioned notes the API server's version and says whether it is another than
// before.
func (t *Tracker) Versioned(version string) bool {
	changed := t.probe.Version != version
	t.probe.Version = version
	return changed
}

func (t *Tracker) count(failure federation.FailureClass) {
	switch {
	case failure == federation.FailureNone:
		t.good, t.answers, t.absent = t.good+1, t.answers+1, 0
	case failure.Absent():
		t.good, t.answers, t.absent = 0, 0, t.absent+1
	default:
		t.good, t.answers, t.absent = 0, t.answers+1, 0
	}

	if failure == federation.FailureThrottled {
		t.throttled++
	} else {
		t.throttled = 0
	}

	t.history <<= 1
	if failure != federation.FailureNone {
		t.history |= 1
	}
	t.probe.Probes = min(t.probe.Probes+1, window)
	t.probe.Failed = bits.OnesCount32(t.history & (1<<t.probe.Probes - 1))
}

// away says since when the cluster does not answer, after a probe that ended at a
// time and what was known before it.
func (t *Tracker) away(before Probe, at time.Time) time.Time {
	switch {
	case !isAway(t.probe.State):
		return time.Time{}
	case isAway(before.State):
		return before.Away
	case before.State == federation.ClusterPending:
		return before.Since // the start
	}
	return at
}

func isAway(state federation.ClusterState) bool {
	return state == federation.ClusterNotReady || state == federation.ClusterOffline
}

func (t *Tracker) next(failure federation.FailureClass) federation.ClusterState {
	state := t.probe.State
	switch {
	case failure == federation.FailureNone && isAway(state) && t.good < t.back:
		return state
	case failure == federation.FailureNone:
		return federation.ClusterReady
	case failure.Absent() && (state == federation.ClusterOffline || t.absent >= t.offline):
		return federation.ClusterOffline
	case failure.Absent():
		return federation.ClusterNotReady
	case state == federation.ClusterOffline && t.answers < t.back:
		return state
	case failure == federation.FailureThrottled && state == federation.ClusterReady && t.throttled < t.offline:
		return state
	}
	return federation.ClusterUnknown
}
