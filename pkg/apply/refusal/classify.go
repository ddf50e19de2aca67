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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// ErrFenced is the error of a write while writes to the cluster are not allowed.
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
		e.Class = ClassUnreachable // reported for the whole cluster
		return
	case IsUnreachable(err):
		e.Class = ClassUnreachable
		return
	case meta.IsNoMatchError(err):
		e.Class = ClassKind
		e.Remedy = "install its CustomResourceDefinition in this cluster, or add it to the repository"
		return
	}
	if s, ok := StatusOf(err); ok {
		e.classifyStatus(s)
	}
}

// StatusOf returns the API server's status, if it answered with one.
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
		// The entry of another field manager has the same port. The API server reports
		// it as an internal error.
		e.Class = ClassPortTaken
		if m := portNumber.FindStringSubmatch(message); m != nil {
			e.Port = m[1]
		}
		e.Remedy = "remove the Service's other port with this nodePort: another field manager owns it"
		return
	}
	if strings.Contains(message, "failed to create typed patch object") {
		// The object does not fit the schema. The API server answers with a 500.
		e.Class = ClassInvalid
		e.Remedy = "correct the field, or take it out"
		return
	}
	switch {
	case s.Code == http.StatusTooManyRequests, s.Code == http.StatusServiceUnavailable && e.RetryAfter > 0:
		e.Class = ClassThrottled
		e.Remedy = "none: fedsync retries after the pause that the API server asks for; if it persists, find what overloads the API server"
	case s.Code >= http.StatusInternalServerError:
		e.Class = ClassServer
	}
}

func (e *Error) classifyForbidden(s metav1.Status) {
	switch {
	case hasCause(s, corev1.NamespaceTerminatingCause) || strings.Contains(s.Message, "is being terminated"):
		e.Class = ClassNamespace
		e.Remedy = "wait until the namespace is gone; fedsync then creates it again"
	case strings.Contains(s.Message, "exceeded quota"):
		e.Class = ClassQuota
		e.Remedy = "raise the ResourceQuota in this namespace, or ask for less"
	case strings.Contains(s.Message, " cannot "):
		e.Class = ClassForbidden
		e.Remedy = "grant fedsync's credentials in this cluster the permission named in the message"
	default:
		e.Class = ClassAdmission
	}
}

// immutableValue matches the value of an immutable field. It may be a whole pod
// template in Go's format.
var immutableValue = regexp.MustCompile(`(?s)Invalid value: .*?: (field is immutable)`)

// immutable sets the remedy for a change of an immutable field: the object has to be
// recreated, which only a user may decide.
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
	e.Remedy = "restore the field in " + cmp.Or(e.File, "Git") + ", or delete the object in this cluster, and fedsync recreates it: " + command
}

// shortened is an API server's error in fewer words.
type shortened struct {
	text string
	err  error
}

// Error returns the short text.
func (s *shortened) Error() string { return s.text }

// Unwrap returns the full error.
func (s *shortened) Unwrap() error { return s.err }

func (e *Error) classifyNotFound(s metav1.Status) {
	if s.Details != nil && s.Details.Kind == "namespaces" {
		e.Class = ClassNamespace
		return
	}
	if s.Details == nil || s.Details.Name == "" {
		e.Class = ClassKind // the kind is not, or no longer, served
	}
}

// PortAllocated is the API server's message for a node port that is allocated.
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

// IsUnreachable reports whether the API server gave no answer.
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
