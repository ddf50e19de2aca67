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

// Class is the kind of reason why an object could not be applied.
type Class string

// The classes of failure.
const (
	ClassConflict    Class = "conflict"     // it changes faster than it can be read
	ClassInvalid     Class = "invalid"      // the API server rejects the object
	ClassForbidden   Class = "forbidden"    // our credentials do not allow it
	ClassAdmission   Class = "admission"    // a webhook or policy denies it
	ClassQuota       Class = "quota"        // a ResourceQuota is used up
	ClassNamespace   Class = "namespace"    // the namespace is missing or terminating
	ClassPortTaken   Class = "port taken"   // another Service has the node port
	ClassPortLeaked  Class = "port leaked"  // the node port is allocated, and no Service has it
	ClassPortRange   Class = "port range"   // the node port is out of the cluster's range
	ClassKind        Class = "kind"         // the cluster does not know the kind
	ClassExists      Class = "exists"       // it exists, is not ours, and must not be adopted
	ClassOwned       Class = "owned"        // another ApplySet, controller or source has it
	ClassFight       Class = "fight"        // another client keeps changing it back
	ClassServer      Class = "server"       // the API server failed; the next try may work
	ClassUnreachable Class = "unreachable"  // the API server does not answer
	ClassTimeout     Class = "timeout"      // no answer to this request, although the API server answers others
	ClassThrottled   Class = "throttled"    // the API server is overloaded
	ClassDeleting    Class = "deleting"     // it is being deleted, and not gone yet
	ClassHeld        Class = "held"         // deleting it would delete objects that are not ours
	ClassCredentials Class = "credentials"  // the API server rejects our credentials
	ClassFenced      Class = "fenced"       // another instance writes this federation
	ClassCanceled    Class = "canceled"     // the caller gave up
	ClassUnknown     Class = "unclassified" // only the API server's message is known
)

// Error is why one object could not be applied. It never contains a Secret's content.
type Error struct {
	Verb   string // what was tried: "apply", "create", "adopt", "prune"
	Object federation.ObjectRef
	File   string // within the repository; empty for an object that left it
	Class  Class
	Err    error

	App     string // the app of the object, where no row has it
	Webhook string // ClassAdmission: the name of the webhook or policy, if known
	Port    string // ClassPortTaken, ClassPortLeaked and ClassPortRange: "30061", if known
	Former  string // ClassOwned: the federation of fedsync that has the object; this federation's former name, perhaps
	// Remedy is a command or an edit, where there is one.
	Remedy string
	// RetryAfter is the pause that the API server asked for, at most a few minutes;
	// zero if it asked for none.
	RetryAfter time.Duration
}

// Error returns "apply apps/ReplicaSet/web/nginx (apps/nginx/replicaset.yaml): …". The
// API server's message in it has no secrets and a bounded length: this text is the
// report of a change.
func (e *Error) Error() string {
	where := e.Object.String()
	if e.File != "" {
		where += " (" + e.File + ")"
	}
	return untrusted.Clean(fmt.Sprintf("%s %s: %v", e.Verb, where, e.Err), untrusted.MaxText)
}

// OneOfMany reports whether the cluster has one finding for all failures of this kind.
func (e *Error) OneOfMany() bool { return e.Former != "" }

// Unwrap returns the API server's error.
func (e *Error) Unwrap() error { return e.Err }

// Finding returns the error as a finding. All objects that another name of the
// federation has share one finding.
func (e *Error) Finding(cluster, app string) federation.Finding {
	if e.Former != "" {
		return federation.Finding{
			ID: federation.FindingOwned, Severity: federation.SeverityError, Cluster: cluster,
			Message: untrusted.Textf("objects of this revision belong to federation %s in this cluster", untrusted.Clean(e.Former, 80)),
			Remedy: untrusted.Textf("if this federation had that name before, run %s with these settings to see what it would move, and add --yes to move it",
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

// correction is the remedy where the API server's message is the best one.
func (e *Error) correction() string {
	remedy := "correct the object in " + cmp.Or(e.File, "Git") + " as the message says"
	if e.Class == ClassAdmission {
		remedy += ", or allow it in the policy that denies it in this cluster"
	}
	return remedy
}

// New classifies the error of trying verb on the object.
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

// Reason identifies what refuses an object, so that everything it refuses shares one
// pause. It is empty if the reason is the object's own.
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

// TimeoutReason is the reason for requests about a kind that are not answered in time.
func TimeoutReason(gk schema.GroupKind) string { return "timeout " + gk.String() }

// NeedsIntervention reports whether only a change in Git or a manual change in the
// cluster can make another try succeed.
func (e *Error) NeedsIntervention() bool {
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

// MayBeDone reports whether the request may have been carried out although it failed.
func (e *Error) MayBeDone() bool {
	return e.Class == ClassUnreachable || e.Class == ClassTimeout || e.Class == ClassServer || e.Class == ClassCanceled
}

// LeavesNoInventory reports whether the error means that a parent may not be written.
// That is a finding at every apply, which continues without pruning, and not a failure.
func (e *Error) LeavesNoInventory() bool {
	return e.Class == ClassForbidden || e.Class == ClassAdmission || e.Class == ClassQuota
}

// Inconclusive reports whether the failure is not about the object: the request was
// canceled, or the whole cluster failed.
func (e *Error) Inconclusive() bool {
	return e.Class == ClassFenced || e.Class == ClassCanceled || e.Class == ClassUnreachable
}
