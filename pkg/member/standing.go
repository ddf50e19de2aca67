package member

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/probe"
)

// event is something that changes the state of a member.
type event interface {
	apply(f *federation.ClusterFacts)
}

// next returns the facts after an event. It is the only place that decides the state of
// a cluster, and whether its facts are current. It does not change what the watches
// observed.
func next(f federation.ClusterFacts, e event) federation.ClusterFacts {
	e.apply(&f)
	return f
}

type (
	// connected: there is a new connection. It may lead to another cluster, so earlier
	// observations are not current.
	connected struct{}
	// disconnected: the configuration has no connection to the cluster. The cluster is
	// assumed to run what it last ran.
	disconnected struct {
		class  federation.FailureClass
		reason untrusted.Text
		at     time.Time
	}
	// misbehaved: the cluster answers as no API server does. The cluster is assumed to
	// run what it last ran.
	misbehaved struct {
		what string
		at   time.Time
	}
	// probed: the result of the probes has changed.
	probed struct{ probe.Probe }
	// identified: it is known which cluster answers.
	identified struct{ uid string }
	// listed: everything that the schedule reads has been observed since the cluster
	// came back.
	listed struct{}
	// outOfSight: something that the schedule reads has not been observed for longer
	// than a list takes.
	outOfSight struct{}
)

func (connected) apply(f *federation.ClusterFacts) { f.Synced, f.UID = false, "" }

func (e disconnected) apply(f *federation.ClusterFacts) {
	if f.State != federation.ClusterUnknown || f.Failure != e.class {
		f.Since = e.at
	}
	f.State, f.Failure, f.Error = federation.ClusterUnknown, e.class, e.reason
	f.Synced = false
}

func (e misbehaved) apply(f *federation.ClusterFacts) {
	disconnected{class: federation.FailureMisbehaves, reason: untrusted.Excerpt(e.what), at: e.at}.apply(f)
}

func (e probed) apply(f *federation.ClusterFacts) {
	away, was := f.AwaySince, f.State
	e.Describe(f)
	switch {
	case e.State == federation.ClusterOffline:
		f.Synced, f.Outage = false, true
	case e.State == federation.ClusterReady && was == federation.ClusterUnknown:
		f.Synced = false // its watches were refused during that time
	}
	// A new connection, or a refusal, does not restart an outage.
	if f.Outage && !away.IsZero() {
		f.AwaySince = away
	}
}

func (e identified) apply(f *federation.ClusterFacts) { f.UID = e.uid }

// An outage ends when the cluster's objects have been observed after it.
func (listed) apply(f *federation.ClusterFacts) {
	if f.State == federation.ClusterOffline {
		return // it went offline after the lists were checked
	}
	f.Synced, f.Seen, f.Outage = true, true, false
	if f.State == federation.ClusterReady {
		f.AwaySince = time.Time{}
	}
}

func (outOfSight) apply(f *federation.ClusterFacts) { f.Synced = false }
