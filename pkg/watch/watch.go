package watch

import (
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Watch says which objects of a cluster are watched. Equal values are the same
// watch.
type Watch struct {
	Resource      schema.GroupVersionResource
	Namespace     string // empty for all
	LabelSelector string // as kubectl takes it; empty for all
	FieldSelector string // likewise
}

// String gives the watch as a reader knows it from kubectl:
// "replicasets.apps in web, labels app=nginx".
func (w Watch) String() string {
	var b strings.Builder
	b.WriteString(w.Resource.GroupResource().String())
	if w.Namespace != "" {
		b.WriteString(" in " + w.Namespace)
	}
	if w.LabelSelector != "" {
		b.WriteString(", labels " + w.LabelSelector)
	}
	if w.FieldSelector != "" {
		b.WriteString(", fields " + w.FieldSelector)
	}
	return b.String()
}

// EventType says what an Event is about.
type EventType string

// The types of events.
const (
	// Upserted: Object is there, new or changed.
	Upserted EventType = "upserted"
	// Deleted: Object is no longer among those the watch selects. Where the watch
	// selects by label or field, the object may still exist and have lost what it
	// was selected by: only a GET tells. Object is the last that the cluster sent,
	// or no more than its kind, name, uid and the list's resourceVersion where a
	// later list lacks it.
	Deleted EventType = "deleted"
	// Listed: every object that the watch selects has been upserted, and what had
	// vanished meanwhile was deleted; Listing has them all. It comes after the first
	// list and after each recovery, when the watch stands.
	Listed EventType = "listed"
	// Restored: the cluster has gone back in time, as after the restore of a backup,
	// or is another one at the same address. What is known of it is not to be
	// believed: every object follows again as Upserted, whether changed or not, what
	// is gone as Deleted, and then Listed. Other watches of the cluster may not have
	// noticed; see Watcher.Relist.
	Restored EventType = "restored"
	// Failed: what the watch selects is out of sight, and Err says why. It comes
	// when a try fails, again when the next one fails too, so that Err is Lasting,
	// and when the reason changes; the watch goes on trying. A watch that had stood
	// and may stand again at once is not reported before the second failure. What
	// was known stays true as far as anybody knows: that something cannot be seen
	// does not mean that it is gone.
	Failed EventType = "failed"
	// Stopped: the watch is no longer wanted. No event of it follows, unless it is
	// wanted again. It does not come where the whole Watcher ends.
	Stopped EventType = "stopped"
)

// Event is one change of what a watch selects.
type Event struct {
	Watch   Watch
	Type    EventType
	Object  *unstructured.Unstructured // of Upserted and Deleted; the receiver's to keep, not to change
	Err     *Error                     // of Failed
	Listing *Listing                   // of Listed; the receiver's to keep, not to change
}

// Listing is a consistent list: all that a watch selected at one moment, which was
// not before Asked. What it lacks was gone by then, and what it has under another
// uid is another object.
type Listing struct {
	ResourceVersion string
	Asked           time.Time // before the request was sent, by the monotonic clock
	Objects         map[types.NamespacedName]types.UID
}

// State tells how a watch is doing.
type State struct {
	// Synced reports whether what the sink got is what the cluster has, as far as a
	// standing watch can tell. It is false while the watch pauses or lists again.
	Synced bool
	// Err is why the last try failed; nil while Synced, and before the first try
	// has ended.
	Err *Error
	// Failures is how many tries in a row failed, or ended within a minute. It may
	// be positive while Synced, when the watch has just recovered.
	Failures int
	// Since is when Synced became what it is, or when the watch was made.
	Since time.Time
}

// Error is why a watch does not see its objects.
type Error struct {
	Watch   Watch
	Failure federation.FailureClass // none where NotServed
	// RetryAfter is how long the server asked to wait; zero where it did not.
	RetryAfter time.Duration
	// Failures is how many tries in a row have failed with this one.
	Failures int
	// NotServed says that the cluster does not know the kind: its definition is
	// not there yet, or is gone.
	NotServed bool
	Err       error
}

// Lasting reports whether the failure is worth a reader's time: the second try
// failed as well, or none can do better until something is changed.
func (e *Error) Lasting() bool { return e.Failures >= 2 || e.Blocked() }

// Blocked reports whether the failure is one of this kind alone, by permission or
// by a missing definition, and not of the cluster.
func (e *Error) Blocked() bool {
	return e.NotServed || e.Failure == federation.FailureForbidden
}

// Error gives the failure without secrets.
func (e *Error) Error() string {
	if e.NotServed {
		return fmt.Sprintf("watch %s: the cluster does not serve this kind", e.Watch)
	}
	return fmt.Sprintf("watch %s: %s", e.Watch, untrusted.Line(e.Err.Error()))
}

// Unwrap gives what the client returned.
func (e *Error) Unwrap() error { return e.Err }

func newError(w Watch, err error, failures int) *Error {
	f := failure.Of(err)
	e := &Error{
		Watch: w, Failure: f.Class, RetryAfter: f.RetryAfter,
		NotServed: apierrors.IsNotFound(err), Failures: failures, Err: err,
	}
	if e.NotServed {
		e.Failure = federation.FailureNone
	}
	return e
}

// same reports whether the reader of o need not be told of e.
func (e *Error) same(o *Error) bool {
	return o != nil && e.Failure == o.Failure && e.NotServed == o.NotServed && e.Lasting() == o.Lasting()
}
