package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/failure"
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
	classUnknown     Class = "unclassified" // what the API server says is all there is to say
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

// finding puts the error into the report's words. What another name of the federation
// has is one finding for all objects.
func (e *Error) finding(cluster, app string) federation.Finding {
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
	case ClassConflict, ClassPortRange, ClassKind, ClassServer, ClassCanceled, ClassTimeout, ClassDeleting, classUnknown:
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

var (
	webhookName = regexp.MustCompile(`webhook "([^"]{1,253})"`)
	portNumber  = regexp.MustCompile(`(?:Invalid value: |nodePort: )"?(\d{1,5})`)
	policyName  = regexp.MustCompile(`ValidatingAdmissionPolicy '([^']{1,253})'`)
	quotaName   = regexp.MustCompile(`exceeded quota: ([^, ]{1,253})`)
	rightName   = regexp.MustCompile(` cannot ([a-z]+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?`)
	errFenced   = errors.New("fedsync may not write to this cluster now")
)

// newError classifies what came of trying verb on the object. The API's verb is
// what the request was, for those who must grant it.
func newError(verb string, object federation.ObjectRef, file string, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		e := *known
		e.Verb, e.Object, e.File = cmp.Or(e.Verb, verb), cmp.Or(e.Object, object), cmp.Or(e.File, file)
		return &e
	}
	e := &Error{Verb: verb, Object: object, File: file, Class: classUnknown, Err: err}
	e.classify(err)
	if object.GroupKind() == secretKind {
		e.Err = withoutValues(err)
	}
	return e
}

// retryAfterMax bounds the pause that an API server may ask for.
const retryAfterMax = 2 * time.Minute

// reason identifies what refuses an object, so that all which it refuses share one
// pause; empty where the reason is the object's own.
func (e *Error) reason() string {
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
		return timeoutReason(e.Object.GroupKind())
	case ClassThrottled, ClassCredentials, ClassUnreachable:
		return string(e.Class)
	case ClassConflict, ClassInvalid, ClassPortTaken, ClassPortLeaked, ClassPortRange, ClassExists, ClassOwned, ClassFight,
		ClassDeleting, ClassHeld, ClassFenced, ClassCanceled, classUnknown:
	}
	return ""
}

func timeoutReason(gk schema.GroupKind) string { return "timeout " + gk.String() }

// pauseMax bounds the pauses between tries of what is refused for a reason of its
// own: what somebody's hand in the cluster may mend, unseen by any watch, is tried
// more often than what only Git can.
func (e *Error) pauseMax() time.Duration {
	switch e.Class { //nolint:exhaustive // the others share a pause, or only Git mends them
	case ClassInvalid, ClassPortRange, classUnknown:
		return pauseOwn
	}
	return pauseShared
}

// byHand reports whether only a change in Git, or somebody's hand in the cluster,
// makes another try do better.
func (e *Error) byHand() bool {
	switch e.Class {
	case ClassInvalid, ClassForbidden, ClassAdmission, ClassQuota, ClassPortTaken, ClassPortRange, ClassKind, ClassExists,
		ClassOwned, ClassFight, ClassHeld, classUnknown:
		return true
	case ClassNamespace:
		return !strings.Contains(e.Err.Error(), "is being terminated")
	case ClassConflict, ClassServer, ClassUnreachable, ClassTimeout, ClassThrottled, ClassCredentials, ClassDeleting, ClassFenced, ClassCanceled,
		ClassPortLeaked:
	}
	return false
}

// maybeDone reports whether the request may have been carried out although it
// failed.
func (e *Error) maybeDone() bool {
	return e.Class == ClassUnreachable || e.Class == ClassTimeout || e.Class == ClassServer || e.Class == ClassCanceled
}

// saysNothing reports whether the failure is not about what was asked: it was
// broken off, or is the whole cluster's.
func (e *Error) saysNothing() bool {
	return e.Class == ClassFenced || e.Class == ClassCanceled || e.Class == ClassUnreachable
}

// beingDeleted is why an object that Git wants cannot be applied now.
func beingDeleted(v *view) *Error {
	return &Error{Class: ClassDeleting, Err: errors.New(deletionText(v))}
}

// deletionText says what a deletion waits for.
func deletionText(v *view) string {
	if len(v.finalizers) == 0 {
		return "it is being deleted"
	}
	return "it is being deleted, and waits for the finalizer " + finalizerText(v)
}

// finalizerText names the finalizers, which are the cluster's words.
func finalizerText(v *view) string { return untrusted.Line(strings.Join(v.finalizers, ", ")) }

// heldDefinition is why a definition is not deleted.
func heldDefinition(ref federation.ObjectRef, n int, more bool) *Error {
	count := strconv.Itoa(n)
	if more {
		count = "more than " + count
	}
	return &Error{
		Verb: "prune", Object: ref, Class: ClassHeld,
		Err:    fmt.Errorf("it left Git and stays: %s objects of its kind exist that are not ours, and would be deleted with it", count),
		Remedy: "delete those objects, or keep the definition in Git",
	}
}

func (e *Error) classify(err error) {
	switch {
	case errors.Is(err, errFenced):
		e.Class = ClassFenced
		return
	case errors.Is(err, context.Canceled):
		e.Class = ClassCanceled
		return
	case failure.Of(err).Class == federation.FailureMisbehaves:
		e.Class = ClassUnreachable // it is told of the whole cluster
		return
	case isUnreachable(err):
		e.Class = ClassUnreachable
		return
	case meta.IsNoMatchError(err):
		e.Class = ClassKind
		e.Remedy = "install its CustomResourceDefinition in this cluster, or put it into the repository"
		return
	}
	if s, ok := statusOf(err); ok {
		e.classifyStatus(s)
	}
}

// statusOf gives what the API server answered, if it did.
func statusOf(err error) (metav1.Status, bool) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return metav1.Status{}, false
	}
	return status.Status(), true
}

func (e *Error) classifyStatus(s metav1.Status) {
	message := s.Message
	if s.Details != nil && s.Details.RetryAfterSeconds > 0 {
		e.RetryAfter = min(time.Duration(s.Details.RetryAfterSeconds)*time.Second, retryAfterMax)
	}
	if m := webhookName.FindStringSubmatch(message); m != nil && strings.Contains(message, "webhook") {
		e.Class, e.Webhook = ClassAdmission, m[1]
		return
	}
	if m := policyName.FindStringSubmatch(message); m != nil {
		e.Class, e.Webhook = ClassAdmission, m[1]
		return
	}
	switch s.Reason { //nolint:exhaustive // the others are judged by their code, below
	case metav1.StatusReasonConflict:
		e.Class = ClassConflict
		return
	case metav1.StatusReasonUnauthorized:
		e.Class = ClassCredentials
		return
	case metav1.StatusReasonForbidden:
		e.classifyForbidden(s)
		return
	case metav1.StatusReasonNotFound:
		e.classifyNotFound(s)
		return
	case metav1.StatusReasonInvalid:
		e.Class = ClassInvalid
		e.classifyPort(message)
		if strings.Contains(message, "field is immutable") || strings.Contains(message, "is immutable after creation") || strings.Contains(message, "updates to statefulset spec for fields other than") {
			e.immutable()
		}
		return
	case metav1.StatusReasonBadRequest, metav1.StatusReasonRequestEntityTooLarge:
		e.Class = ClassInvalid
		return
	}
	if strings.Contains(message, "duplicate nodePort") {
		// A clash with an entry that another field manager keeps alive, although
		// the API server calls it its own fault.
		e.Class = ClassPortTaken
		if m := portNumber.FindStringSubmatch(message); m != nil {
			e.Port = m[1]
		}
		e.Remedy = "remove the Service's other port with this nodePort: another field manager owns it"
		return
	}
	if strings.Contains(message, "failed to create typed patch object") {
		// What does not fit the schema, which the API server answers with a 500.
		e.Class = ClassInvalid
		e.Remedy = "correct the field, or take it out"
		return
	}
	switch {
	case s.Code == http.StatusTooManyRequests, s.Code == http.StatusServiceUnavailable && e.RetryAfter > 0:
		e.Class = ClassThrottled
		e.Remedy = "none: it is tried again as the API server asks; if it lasts, look what loads it"
	case s.Code >= http.StatusInternalServerError:
		e.Class = ClassServer
	}
}

func (e *Error) classifyForbidden(s metav1.Status) {
	switch {
	case hasCause(s, corev1.NamespaceTerminatingCause) || strings.Contains(s.Message, "is being terminated"):
		e.Class = ClassNamespace
		e.Remedy = "wait until the namespace is gone; it is created again then"
	case strings.Contains(s.Message, "exceeded quota"):
		e.Class = ClassQuota
		e.Remedy = "raise the ResourceQuota in this namespace, or ask for less"
	case strings.Contains(s.Message, " cannot "):
		e.Class = ClassForbidden
		e.Remedy = "grant fedsync's credentials in this cluster what the message names"
	default:
		e.Class = ClassAdmission
	}
}

// immutableValue is the value of an immutable field, which may be a whole pod template, as
// Go prints it.
var immutableValue = regexp.MustCompile(`(?s)Invalid value: .*?: (field is immutable)`)

// immutable says how to change what cannot be changed: the object is made anew, which
// nobody but a person may decide.
func (e *Error) immutable() {
	e.Err = &shortened{text: untrusted.Line(immutableValue.ReplaceAllString(e.Err.Error(), "$1")), err: e.Err}
	kind := strings.ToLower(e.Object.Kind)
	if e.Object.Group != "" {
		kind += "." + e.Object.Group
	}
	command := untrusted.Command("kubectl delete %s %s", kind, e.Object.Name)
	if e.Object.Namespace != "" {
		command = untrusted.Command("kubectl -n %s delete %s %s", e.Object.Namespace, kind, e.Object.Name)
	}
	e.Remedy = "restore the field in " + cmp.Or(e.File, "Git") + ", or delete the object in this cluster, and it is made anew: " + command
}

// shortened is an error in fewer words than the API server's.
type shortened struct {
	text string
	err  error
}

// Error gives the words.
func (s *shortened) Error() string { return s.text }

// Unwrap gives the whole.
func (s *shortened) Unwrap() error { return s.err }

func (e *Error) classifyNotFound(s metav1.Status) {
	if s.Details != nil && s.Details.Kind == "namespaces" {
		e.Class = ClassNamespace
		return
	}
	if s.Details == nil || s.Details.Name == "" {
		e.Class = ClassKind // the kind is no longer, or not yet, served
	}
}

// portAllocated is what the API server says of a node port that it has given away.
const portAllocated = "provided port is already allocated"

func (e *Error) classifyPort(message string) {
	m := portNumber.FindStringSubmatch(message)
	switch {
	case strings.Contains(message, portAllocated):
		e.Class = ClassPortTaken
		e.Remedy = "choose another nodePort, or free this one in this cluster"
	case strings.Contains(message, "provided port is not in the valid range"):
		e.Class = ClassPortRange
		e.Remedy = "set nodePorts.range in " + federation.FileName + " to the clusters' --service-node-port-range, and choose a nodePort within it"
	default:
		return
	}
	if m != nil {
		e.Port = m[1]
	}
}

func hasCause(s metav1.Status, cause metav1.CauseType) bool {
	if s.Details == nil {
		return false
	}
	for _, c := range s.Details.Causes {
		if c.Type == cause {
			return true
		}
	}
	return false
}

// isUnreachable says whether the API server did not answer at all.
func isUnreachable(err error) bool {
	if _, answered := statusOf(err); answered {
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) || utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) {
		return true
	}
	_, isNet := errors.AsType[net.Error](err)
	return isNet
}

// withoutValues gives an error about a Secret without what the API server quotes
// of it: the fields that are wrong and in which way, but no value.
func withoutValues(err error) error {
	s, ok := statusOf(err)
	if !ok {
		return err
	}
	switch s.Reason { //nolint:exhaustive // only these cannot quote the object
	case metav1.StatusReasonNotFound, metav1.StatusReasonConflict, metav1.StatusReasonAlreadyExists, metav1.StatusReasonUnauthorized:
		return err
	case metav1.StatusReasonForbidden:
		if strings.Contains(s.Message, " cannot ") {
			return err
		}
	}
	masked := s
	masked.Message = "the API server refuses the Secret"
	if s.Reason != "" {
		masked.Message += ": " + string(s.Reason)
	} else {
		masked.Message += ": status " + strconv.Itoa(int(s.Code))
	}
	if m := webhookName.FindStringSubmatch(s.Message); m != nil {
		masked.Message += fmt.Sprintf(", webhook %q", m[1])
	}
	masked.Details = nil
	if s.Details != nil {
		details := *s.Details
		details.Causes = nil
		for _, c := range s.Details.Causes {
			details.Causes = append(details.Causes, metav1.StatusCause{Type: c.Type, Field: c.Field})
			masked.Message += fmt.Sprintf(", %s %s", c.Field, c.Type)
		}
		masked.Details = &details
	}
	return &apierrors.StatusError{ErrStatus: masked}
}
