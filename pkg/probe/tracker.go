package probe

import (
	"math/bits"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// window is how many of the last probes are counted: a minute of them at the default
// interval.
const window = 30

// Probe is the result of the probes of one cluster at one moment.
type Probe struct {
	State federation.ClusterState
	Since time.Time // when State began
	// Away is when the cluster stopped answering: the end of the first failed probe, or
	// the start if none was answered. It is zero while the cluster is Pending, Ready or
	// Unknown.
	Away time.Time
	// Failure and Error are those of the last failed probe, until the cluster is Ready.
	// Error holds no secrets; its text is untrusted.
	Failure federation.FailureClass
	Error   string

	At     time.Time // when the last probe ended
	Failed int       // how many of the last Probes failed
	Probes int       // at most 30, fewer after a start

	Version string // of the API server, as "v1.37.2"; empty until it is known
}

// Describe copies the probe into the facts of its cluster, and leaves the data from
// watches unchanged.
func (p Probe) Describe(f *federation.ClusterFacts) {
	f.State, f.Since, f.AwaySince = p.State, p.Since, p.Away
	f.Failure, f.Error = p.Failure, untrusted.Excerpt(p.Error)
	f.Failed, f.Probes = p.Failed, p.Probes
	f.Version = p.Version
}

// Tracker derives a cluster's state from its probes. It is pure: time comes in with the
// probes.
//
// Only failures that mean absence lead to Offline, after Offline of them in a row. A
// cluster that refuses to be read is Unknown at once, because nothing is moved for that.
// A cluster that asks for fewer requests is available: it stays Ready unless it answers
// nothing else, Offline times in a row.
//
// The way back from NotReady and Offline takes Back good probes, so that a cluster that
// answers only now and then does not flap. One good probe suffices after the start and
// after Unknown.
type Tracker struct {
	offline, back int

	probe     Probe
	absent    int    // failures in a row that mean absence
	throttled int    // answers in a row that ask for fewer requests
	answers   int    // answers in a row, good or not
	good      int    // good answers in a row
	history   uint32 // a bit for each of the last probes, 1 if it failed
}

// NewTracker returns a tracker of a cluster that is Pending since now. offline and back
// are numbers of probes.
func NewTracker(offline, back int, now time.Time) *Tracker {
	return &Tracker{
		offline: offline,
		back:    back,
		probe:   Probe{State: federation.ClusterPending, Since: now},
	}
}

// Probe returns the current result of the probes.
func (t *Tracker) Probe() Probe { return t.probe }

// Observe counts one probe that ended at a time, with FailureNone and an empty message
// for a good one. It reports whether the state or the class of failure has changed.
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

// SetVersion sets the API server's version and reports whether it has changed.
func (t *Tracker) SetVersion(version string) bool {
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

// away returns since when the cluster has not answered, after a probe that ended at a
// time, from the state before it.
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
