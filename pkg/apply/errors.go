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
	utilnet "k8s.io/apimachinery/pkg/util/net"

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
	ClassPortRange   Class = "port range"   // the node port is out of the cluster's range
	ClassKind        Class = "kind"         // the cluster does not know the kind
	ClassExists      Class = "exists"       // it exists, is not ours, and is not to be adopted
	ClassOwned       Class = "owned"        // another ApplySet, controller or source has it
	ClassFight       Class = "fight"        // somebody keeps changing it back
	ClassServer      Class = "server"       // the API server failed; it may not next time
	ClassUnreachable Class = "unreachable"  // the API server does not answer
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

	Webhook string // ClassAdmission: the webhook's name, where it is one
	Port    string // ClassPortTaken and ClassPortRange: "30061", where the API server says it
	// Remedy is a command or an edit, where there is one.
	Remedy string
	// RetryAfter is when another try may do better although nothing is changed
	// in Git.
	RetryAfter time.Duration
}

// Error gives "apply apps/ReplicaSet/web/nginx (apps/nginx/replicaset.yaml): …".
func (e *Error) Error() string {
	where := e.Object.String()
	if e.File != "" {
		where += " (" + e.File + ")"
	}
	return fmt.Sprintf("%s %s: %v", e.Verb, where, e.Err)
}

// Unwrap gives what the API server answered.
func (e *Error) Unwrap() error { return e.Err }

// finding puts the error into the report's words.
func (e *Error) finding(cluster, app string) federation.Finding {
	f := federation.Finding{
		ID: "D10", Severity: federation.SeverityError, Cluster: cluster, App: app,
		Object: e.Object, File: e.File, Message: said(e.Verb + ": " + e.Err.Error()), Remedy: said(e.Remedy),
	}
	switch e.Class {
	case ClassForbidden:
		f.ID = "D07"
	case ClassQuota:
		f.ID = "D08"
	case ClassNamespace:
		f.ID = "D09"
	case ClassPortTaken:
		f.ID = "D11b"
	case ClassCredentials:
		f.ID = "D02"
	case ClassUnreachable:
		f.ID, f.Severity = "D03", federation.SeverityWarning
	case ClassExists:
		f.ID = "AlreadyExists"
	case ClassOwned:
		f.ID = "owned"
	case ClassFight:
		f.ID = "fight"
	case ClassFenced:
		f.ID = "fenced"
	case ClassInvalid, ClassAdmission:
		f.Remedy = cmp.Or(f.Remedy, e.correction())
	case ClassConflict, ClassPortRange, ClassKind, ClassServer, ClassCanceled, classUnknown:
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

// When to try again, where the API server names no time: soon where the fault
// may pass by itself, late where somebody must mend something in the cluster.
const (
	retrySoon = time.Second
	retryLate = time.Minute
)

var (
	webhookName = regexp.MustCompile(`webhook "([^"]{1,253})"`)
	portNumber  = regexp.MustCompile(`(?:Invalid value: |nodePort: )"?(\d{1,5})`)
	errFenced   = errors.New("another instance of fedsync writes this federation now")
)

// newError classifies what came of trying verb on the object. The API's verb is
// what the request was, for those who must grant it.
func newError(verb string, object federation.ObjectRef, file string, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	e := &Error{Verb: verb, Object: object, File: file, Class: classUnknown, Err: err, RetryAfter: retryLate}
	e.classify(err)
	if object.GroupKind() == secretKind {
		e.Err = withoutValues(err)
	}
	return e
}

func (e *Error) classify(err error) {
	switch {
	case errors.Is(err, errFenced):
		e.Class, e.RetryAfter = ClassFenced, 0
		return
	case errors.Is(err, context.Canceled):
		e.Class, e.RetryAfter = ClassCanceled, retrySoon
		return
	case isUnreachable(err):
		e.Class, e.RetryAfter = ClassUnreachable, retrySoon
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
		defer func() { e.RetryAfter = time.Duration(s.Details.RetryAfterSeconds) * time.Second }()
	}
	if m := webhookName.FindStringSubmatch(message); m != nil && strings.Contains(message, "webhook") {
		e.Class, e.Webhook = ClassAdmission, m[1]
		if s.Code >= http.StatusInternalServerError {
			e.RetryAfter = 10 * retrySoon // the webhook's backend failed, not its judgement
		}
		return
	}
	switch s.Reason { //nolint:exhaustive // the others are judged by their code, below
	case metav1.StatusReasonConflict:
		e.Class, e.RetryAfter = ClassConflict, retrySoon
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
	if s.Code >= http.StatusInternalServerError || s.Code == http.StatusTooManyRequests {
		e.Class, e.RetryAfter = ClassServer, retrySoon
	}
}

func (e *Error) classifyForbidden(s metav1.Status) {
	switch {
	case hasCause(s, corev1.NamespaceTerminatingCause) || strings.Contains(s.Message, "is being terminated"):
		e.Class, e.RetryAfter = ClassNamespace, 5*retrySoon
		e.Remedy = "wait until the namespace is gone; it is made anew then"
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

func (e *Error) classifyNotFound(s metav1.Status) {
	if s.Details != nil && s.Details.Kind == "namespaces" {
		e.Class = ClassNamespace
		e.Remedy = fmt.Sprintf("kubectl create namespace %s, or set createNamespaces: true in %s", s.Details.Name, federation.FileName)
		return
	}
	if s.Details == nil || s.Details.Name == "" {
		e.Class, e.RetryAfter = ClassKind, retrySoon // the kind is no longer, or not yet, served
	}
}

func (e *Error) classifyPort(message string) {
	m := portNumber.FindStringSubmatch(message)
	switch {
	case strings.Contains(message, "provided port is already allocated"):
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
