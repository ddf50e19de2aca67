package member

import (
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"

	"github.com/fedsync/fedsync/pkg/probe"
)

// event is something that changes how a member stands.
type event interface {
	apply(f *federation.ClusterFacts)
}

// next returns how a member stands after an event. It is the one place where the
// state of a cluster, and whether its facts are those of now, is decided; what the
// watches bring is not touched.
func next(f federation.ClusterFacts, e event) federation.ClusterFacts {
	e.apply(&f)
	return f
}

type (
	// connected: there is a new way to the cluster. It may lead to another cluster,
	// so nothing that was seen is of now.
	connected struct{}
	// disconnected: there is no way to the cluster in the configuration. What it
	// ran last, it is taken to run still.
	disconnected struct {
		class  federation.FailureClass
		reason untrusted.Text
		at     time.Time
	}
	// misbehaved: the cluster answers as no API server does. What it ran last, it is
	// taken to run still.
	misbehaved struct {
		what string
		at   time.Time
	}
	// probed: the probes add up to something else.
	probed struct{ probe.Probe }
	// identified: it is known which cluster answers.
	identified struct{ uid string }
	// listed: everything that the schedule reads has been seen since the cluster is
	// back.
	listed struct{}
	// outOfSight: something that the schedule reads has not been seen for longer
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
		f.Synced = false // its watches were refused meanwhile
	}
	// A new connection, or a refusal, does not make an outage a younger one.
	if f.Outage && !away.IsZero() {
		f.AwaySince = away
	}
}

func (e identified) apply(f *federation.ClusterFacts) { f.UID = e.uid }

// An outage is over when what the cluster runs after it has been seen.
func (listed) apply(f *federation.ClusterFacts) {
	if f.State == federation.ClusterOffline {
		return // since the lists were looked at
	}
	f.Synced, f.Seen, f.Outage = true, true, false
	if f.State == federation.ClusterReady {
		f.AwaySince = time.Time{}
	}
}

func (outOfSight) apply(f *federation.ClusterFacts) { f.Synced = false }
