package health

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
	// or no more than its kind, name, uid and the list's resourceVersion where the deletion
	// was found by listing anew.
	Deleted EventType = "deleted"
	// Listed: every object that the watch selects has been upserted, and what had
	// vanished meanwhile was deleted. It comes after the first list and after each
	// recovery.
	Listed EventType = "listed"
	// Failed: what the watch selects is out of sight, and Err says why. It comes
	// once and again when the reason changes; the watch goes on trying. After one
	// that is Blocked, every object comes again, so that it may be forgotten.
	Failed EventType = "failed"
	// Stopped: the watch is no longer wanted. No event of it follows, unless it is
	// wanted again. It does not come where the whole Watcher ends.
	Stopped EventType = "stopped"
)

// Event is one change of what a watch selects.
type Event struct {
	Watch  Watch
	Type   EventType
	Object *unstructured.Unstructured // of Upserted and Deleted; the receiver's to keep, not to change
	Err    *WatchError                // of Failed
}

// forgets says whether what the watch brought is not to be believed any longer:
// it ended, or may not be seen for as long as it takes somebody to allow it.
func (e Event) forgets() bool {
	return e.Type == Stopped || e.Type == Failed && e.Err.Blocked()
}

// WatchError is why a watch does not see its objects.
type WatchError struct {
	Watch   Watch
	Failure federation.FailureClass
	// NotServed says that the cluster does not know the kind: its definition is
	// not there yet, or is gone.
	NotServed bool
	Err       error
}

// Blocked says that the failure is one of this kind alone, by permission or by a
// missing definition, and not of the cluster.
func (e *WatchError) Blocked() bool {
	return e.NotServed || e.Failure == federation.FailureForbidden
}

// Error gives the failure without secrets.
func (e *WatchError) Error() string {
	if e.NotServed {
		return fmt.Sprintf("watch %s: the cluster does not serve this kind", e.Watch)
	}
	return fmt.Sprintf("watch %s: %s", e.Watch, Redact(e.Err.Error()))
}

// Unwrap gives what the client returned.
func (e *WatchError) Unwrap() error { return e.Err }

func newWatchError(w Watch, err error) *WatchError {
	e := &WatchError{Watch: w, Failure: Classify(err, 0), NotServed: apierrors.IsNotFound(err), Err: err}
	if e.NotServed {
		e.Failure = federation.FailureNone
	}
	if apierrors.IsMethodNotSupported(err) {
		e.Failure = federation.FailureForbidden
	}
	return e
}

// same says whether the reader of o need not be told of e.
func (e *WatchError) same(o *WatchError) bool {
	return o != nil && e.Failure == o.Failure && e.NotServed == o.NotServed
}

// errLost stands for what client-go swallows when a watch's connection dies or
// times out before its first event.
var errLost = errors.New("the connection was lost before the watch began")
