package refusal

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"k8s.io/apimachinery/pkg/api/meta"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

var (
	webhookName = regexp.MustCompile(`webhook "([^"]{1,253})"`)
	portNumber  = regexp.MustCompile(`(?:Invalid value: |nodePort: )"?(\d{1,5})`)
	policyName  = regexp.MustCompile(`ValidatingAdmissionPolicy '([^']{1,253})'`)
	quotaName   = regexp.MustCompile(`exceeded quota: ([^, ]{1,253})`)
	rightName   = regexp.MustCompile(` cannot ([a-z]+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?`)
	// ErrFenced is the error of a write to a cluster that may not be written to now.
	ErrFenced = errors.New("fedsync may not write to this cluster now")
)

func (e *Error) classify(err error) {
	switch {
	case errors.Is(err, ErrFenced):
		e.Class = ClassFenced
		return
	case errors.Is(err, context.Canceled):
		e.Class = ClassCanceled
		return
	case failure.Of(err).Class == federation.FailureMisbehaves:
		e.Class = ClassUnreachable // it is told of the whole cluster
		return
	case IsUnreachable(err):
		e.Class = ClassUnreachable
		return
	case meta.IsNoMatchError(err):
		e.Class = ClassKind
		e.Remedy = "install its CustomResourceDefinition in this cluster, or put it into the repository"
		return
	}
	if s, ok := StatusOf(err); ok {
		e.classifyStatus(s)
	}
}

// StatusOf gives what the API server answered, if it did.
func StatusOf(err error) (metav1.Status, bool) {
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

// PortAllocated is what the API server says of a node port that it has given away.
const PortAllocated = "provided port is already allocated"

func (e *Error) classifyPort(message string) {
	m := portNumber.FindStringSubmatch(message)
	switch {
	case strings.Contains(message, PortAllocated):
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

// IsUnreachable says whether the API server did not answer at all.
func IsUnreachable(err error) bool {
	if _, answered := StatusOf(err); answered {
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) || utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) {
		return true
	}
	_, isNet := errors.AsType[net.Error](err)
	return isNet
}
