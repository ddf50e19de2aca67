package refusal

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Class says why an object could not be made as the plan says.
type Class string

// The classes of failure.
const (
	ClassConflict    Class = "conflict"     // it changes faster than we read it
	ClassInvalid     Class = "invalid"      // the API server does not take what Git says
	ClassForbidden   Class = "forbidden"    // our credentials do not allow it
	ClassAdmission   Class = "admission"    // a webhook or policy denies it
	ClassQuota       Class = "quota"        // a ResourceQuota is used up
	ClassNamespace   Class = "namespace"    // the namespace is missing or terminating
	ClassPortTaken   Class = "port taken"   // another Service has the node port
	ClassPortLeaked  Class = "port leaked"  // the node port counts as taken, and no Service has it
	ClassPortRange   Class = "port range"   // the node port is out of the cluster's range
	ClassKind        Class = "kind"         // the cluster does not know the kind
	ClassExists      Class = "exists"       // it exists, is not ours, and is not to be adopted
	ClassOwned       Class = "owned"        // another ApplySet, controller or source has it
	ClassFight       Class = "fight"        // somebody keeps changing it back
	ClassServer      Class = "server"       // the API server failed; it may not next time
	ClassUnreachable Class = "unreachable"  // the API server does not answer
	ClassTimeout     Class = "timeout"      // no answer to this, although the API server answers
	ClassThrottled   Class = "throttled"    // the API server has too much to do
	ClassDeleting    Class = "deleting"     // it is being deleted, and not gone yet
	ClassHeld        Class = "held"         // to delete it would delete what is not ours
	ClassCredentials Class = "credentials"  // the API server does not know who we are
	ClassFenced      Class = "fenced"       // another instance writes this federation
	ClassCanceled    Class = "canceled"     // the caller gave up
	ClassUnknown     Class = "unclassified" // what the API server says is all there is to say
)

// Error is why one object could not be made as the plan says. It holds nothing
// of a Secret's content.
type Error struct {
	Verb   string // what was tried: "apply", "create", "adopt", "prune"
	Object federation.ObjectRef
	File   string // within the repository; empty for an object that left it
	Class  Class
	Err    error

	App     string // whose object it is, where the object is not known by a row
	Webhook string // ClassAdmission: the name of the webhook or policy, where it says one
	Port    string // ClassPortTaken, ClassPortLeaked and ClassPortRange: "30061", where the API server says it
	Former  string // ClassOwned: the federation of fedsync that has the object, which may be this one's name before
	// Remedy is a command or an edit, where there is one.
	Remedy string
	// RetryAfter is the pause that the API server asked for, at most a few minutes;
	// zero where it asked for none.
	RetryAfter time.Duration
}

// Error gives "apply apps/ReplicaSet/web/nginx (apps/nginx/replicaset.yaml): …", and
// what the API server said without secrets and not at any length: the report of a
// change is this text.
func (e *Error) Error() string {
	where := e.Object.String()
	if e.File != "" {
		where += " (" + e.File + ")"
	}
	return untrusted.Clean(fmt.Sprintf("%s %s: %v", e.Verb, where, e.Err), untrusted.MaxText)
}

// OneOfMany reports whether the cluster has one finding for this failure and others.
func (e *Error) OneOfMany() bool { return e.Former != "" }

// Unwrap gives what the API server answered.
func (e *Error) Unwrap() error { return e.Err }

// Finding puts the error into the report's words. What another name of the federation
// has is one finding for all objects.
func (e *Error) Finding(cluster, app string) federation.Finding {
	if e.Former != "" {
		return federation.Finding{
			ID: federation.FindingOwned, Severity: federation.SeverityError, Cluster: cluster,
			Message: untrusted.Textf("objects of this revision are those of federation %s in this cluster", untrusted.Clean(e.Former, 80)),
			Remedy: untrusted.Textf("if that was this federation's name before, run %s with these settings: it shows what it would move, and moves it with --yes",
				untrusted.Command("fedsync takeover --federation %s", e.Former)),
		}
	}
	f := federation.Finding{
		ID: federation.FindingRefused, Severity: federation.SeverityError, Cluster: cluster, App: app,
		Object: e.Object, File: e.File, Message: untrusted.New(e.Verb + ": " + e.Err.Error()), Remedy: untrusted.New(e.Remedy),
	}
	switch e.Class {
	case ClassForbidden:
		f.ID = federation.FindingPermission
	case ClassQuota:
		f.ID = federation.FindingQuota
	case ClassNamespace:
		f.ID = federation.FindingNamespace
	case ClassPortTaken:
		f.ID = federation.FindingNodePortTaken
	case ClassPortLeaked:
		f.ID, f.Severity = federation.FindingNodePortTaken, federation.SeverityWarning
	case ClassCredentials:
		f.ID = federation.FindingCredentials
	case ClassUnreachable:
		f.ID, f.Severity = federation.FindingUnreachable, federation.SeverityWarning
	case ClassExists:
		f.ID = federation.FindingAlreadyExists
	case ClassOwned:
		f.ID = federation.FindingOwned
	case ClassFight:
		f.ID = federation.FindingFight
	case ClassFenced:
		f.ID = federation.FindingFenced
	case ClassInvalid, ClassAdmission:
		f.Remedy = untrusted.New(cmp.Or(f.Remedy.String(), e.correction()))
	case ClassHeld:
		f.ID, f.Severity = federation.FindingHeld, federation.SeverityWarning
	case ClassThrottled:
		f.Severity = federation.SeverityWarning
	case ClassConflict, ClassPortRange, ClassKind, ClassServer, ClassCanceled, ClassTimeout, ClassDeleting, ClassUnknown:
	}
	return f
}

// correction is the remedy where what the API server says is the best of them.
func (e *Error) correction() string {
	remedy := "correct the object in " + cmp.Or(e.File, "Git") + " as the message says"
	if e.Class == ClassAdmission {
		remedy += ", or have what denies it in this cluster let it pass"
	}
	return remedy
}

// New classifies what came of trying verb on the object. The API's verb is
// what the request was, for those who must grant it.
func New(verb string, object federation.ObjectRef, file string, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		e := *known
		e.Verb, e.Object, e.File = cmp.Or(e.Verb, verb), cmp.Or(e.Object, object), cmp.Or(e.File, file)
		return &e
	}
	e := &Error{Verb: verb, Object: object, File: file, Class: ClassUnknown, Err: err}
	e.classify(err)
	if object.Group == "" && object.Kind == "Secret" {
		e.Err = withoutValues(err)
	}
	return e
}

// retryAfterMax bounds the pause that an API server may ask for.
const retryAfterMax = 2 * time.Minute

// Reason identifies what refuses an object, so that all which it refuses share one
// pause; empty where the reason is the object's own.
func (e *Error) Reason() string {
	gk := e.Object.GroupKind().String()
	switch e.Class {
	case ClassAdmission:
		if e.Webhook == "" {
			return "admission " + gk + " " + e.Object.Namespace
		}
		return "admission " + e.Webhook
	case ClassForbidden:
		if m := rightName.FindStringSubmatch(e.Err.Error()); m != nil {
			return "right " + strings.Join(m[1:], " ")
		}
		return "right " + gk + " " + e.Object.Namespace
	case ClassQuota:
		if m := quotaName.FindStringSubmatch(e.Err.Error()); m != nil {
			return "quota " + e.Object.Namespace + " " + m[1]
		}
		return "quota " + e.Object.Namespace
	case ClassNamespace:
		return "namespace " + e.Object.Namespace
	case ClassKind:
		return "kind " + gk
	case ClassServer:
		return "server " + gk
	case ClassTimeout:
		return TimeoutReason(e.Object.GroupKind())
	case ClassThrottled, ClassCredentials, ClassUnreachable:
		return string(e.Class)
	case ClassConflict, ClassInvalid, ClassPortTaken, ClassPortLeaked, ClassPortRange, ClassExists, ClassOwned, ClassFight,
		ClassDeleting, ClassHeld, ClassFenced, ClassCanceled, ClassUnknown:
	}
	return ""
}

// TimeoutReason is the reason of requests about a kind that are not answered in time.
func TimeoutReason(gk schema.GroupKind) string { return "timeout " + gk.String() }

// ByHand reports whether only a change in Git, or somebody's hand in the cluster,
// makes another try do better.
func (e *Error) ByHand() bool {
	switch e.Class {
	case ClassInvalid, ClassForbidden, ClassAdmission, ClassQuota, ClassPortTaken, ClassPortRange, ClassKind, ClassExists,
		ClassOwned, ClassFight, ClassHeld, ClassUnknown:
		return true
	case ClassNamespace:
		return !strings.Contains(e.Err.Error(), "is being terminated")
	case ClassConflict, ClassServer, ClassUnreachable, ClassTimeout, ClassThrottled, ClassCredentials, ClassDeleting, ClassFenced, ClassCanceled,
		ClassPortLeaked:
	}
	return false
}

// MayBeDone reports whether the request may have been carried out although it
// failed.
func (e *Error) MayBeDone() bool {
	return e.Class == ClassUnreachable || e.Class == ClassTimeout || e.Class == ClassServer || e.Class == ClassCanceled
}

// LeavesNoInventory says whether the error is about a parent that may not be
// written: a finding at every Apply, which goes on without prune, and no fault.
func (e *Error) LeavesNoInventory() bool {
	return e.Class == ClassForbidden || e.Class == ClassAdmission || e.Class == ClassQuota
}

// SaysNothing reports whether the failure is not about what was asked: it was
// broken off, or is the whole cluster's.
func (e *Error) SaysNothing() bool {
	return e.Class == ClassFenced || e.Class == ClassCanceled || e.Class == ClassUnreachable
}
