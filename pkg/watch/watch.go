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

// Watch names the objects of a cluster to watch. Equal values are the same watch.
type Watch struct {
	Resource      schema.GroupVersionResource
	Namespace     string // empty for all
	LabelSelector string // as kubectl takes it; empty for all
	FieldSelector string // likewise
}

// String formats the watch as users know it from kubectl: "replicasets.apps in web,
// labels app=nginx".
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

// EventType is the type of an Event.
type EventType string

// The types of events.
const (
	// Upserted: Object exists, and is new or changed.
	Upserted EventType = "upserted"
	// Deleted: the watch no longer selects Object. If the watch selects by label or
	// field, the object may still exist without the selected value; only a GET shows
	// that. Object is the last version from the cluster. If it was only missing in a
	// later list, it has just a kind, name, uid and the list's resourceVersion.
	Deleted EventType = "deleted"
	// Listed: every object that the watch selects has been upserted, and vanished ones
	// were deleted; Listing has them all. It follows the first list and each recovery,
	// when the watch is open.
	Listed EventType = "listed"
	// Restored: the cluster has gone back in time, as after the restore of a backup, or
	// is another one at the same address. All knowledge of it is void: every existing
	// object follows again as Upserted, changed or not, every vanished one as Deleted,
	// and then Listed. Other watches of the cluster may not have noticed.
	Restored EventType = "restored"
	// Failed: the objects of the watch cannot be seen, and Err is the reason. It is
	// emitted when a try fails, again when the next one also fails, so that Err is
	// Lasting, and when the reason changes; the watch continues to try. If a watch was
	// open and may reopen at once, only the second failure is reported. The earlier state
	// remains valid: an object that cannot be seen is not necessarily gone.
	Failed EventType = "failed"
	// Stopped: the watch is no longer wanted. It has no further events unless it is
	// wanted again. There is no such event when the whole Watcher ends.
	Stopped EventType = "stopped"
)

// Event is one change in the objects of a watch.
type Event struct {
	Watch   Watch
	Type    EventType
	Object  *unstructured.Unstructured // of Upserted and Deleted; the receiver may keep but not change it
	Err     *Error                     // of Failed
	Listing *Listing                   // of Listed; the receiver may keep but not change it
}

// Listing is a consistent list: all objects that a watch selected at one moment after
// Asked. A missing object was gone by then, and one with another uid is another object.
type Listing struct {
	ResourceVersion string
	Asked           time.Time // before the request was sent, by the monotonic clock
	Objects         map[types.NamespacedName]types.UID
}

// State is the state of a watch.
type State struct {
	// Synced reports whether the sink has the cluster's current state, as far as an open
	// watch can show. It is false while the watch pauses or lists again.
	Synced bool
	// Err is why the last try failed; nil while Synced, and before the first try has
	// ended.
	Err *Error
	// Failures is how many tries in a row failed, or ended within a minute. It may be
	// positive while Synced, if the watch has just recovered.
	Failures int
	// Since is when Synced last changed, or when the watch was created.
	Since time.Time
}

// Error is why a watch cannot see its objects.
type Error struct {
	Watch   Watch
	Failure federation.FailureClass // none if NotServed
	// RetryAfter is how long the server asked to wait; zero if it did not.
	RetryAfter time.Duration
	// Failures is how many tries in a row have failed, including this one.
	Failures int
	// NotServed reports that the cluster does not know the kind: its definition is not
	// there yet, or is gone.
	NotServed bool
	Err       error
}

// Lasting reports whether the failure is worth reporting: the second try failed as well,
// or no try can succeed until something is changed.
func (e *Error) Lasting() bool { return e.Failures >= 2 || e.Blocked() }

// Blocked reports whether the failure concerns only this kind, because of a missing
// permission or definition, and not the cluster.
func (e *Error) Blocked() bool {
	return e.NotServed || e.Failure == federation.FailureForbidden
}

// Error returns the failure without secrets.
func (e *Error) Error() string {
	if e.NotServed {
		return fmt.Sprintf("watch %s: the cluster does not serve this kind", e.Watch)
	}
	return fmt.Sprintf("watch %s: %s", e.Watch, untrusted.Line(e.Err.Error()))
}

// Unwrap returns the client's error.
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

// same reports whether a reader of o learns nothing new from e.
func (e *Error) same(o *Error) bool {
	return o != nil && e.Failure == o.Failure && e.NotServed == o.NotServed && e.Lasting() == o.Lasting()
}
