package objectstore

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Policy denies creations and updates of a resource (a plural), as a
// ValidatingAdmissionPolicy with the action Deny does.
func Policy(policy, resource, message string) Refusal {
	return func(a Attempt) error {
		if a.Operation == OperationDelete || a.Resource.Resource != resource || a.Subresource != "" {
			return nil
		}
		return policyDenial(a, policy, message)
	}
}

// PolicyOnObject is [Policy] for only one object.
func PolicyOnObject(policy, resource, namespace, name, message string) Refusal {
	deny := Policy(policy, resource, message)
	return func(a Attempt) error {
		if a.Operation == OperationDelete || a.Object.GetNamespace() != namespace || a.Object.GetName() != name {
			return nil
		}
		return deny(a)
	}
}

func policyDenial(a Attempt, policy, message string) error {
	text := fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", policy, policy, message)
	err := apierrors.NewForbidden(a.Resource.GroupResource(), a.Object.GetName(), errors.New(text))
	err.ErrStatus.Reason, err.ErrStatus.Code = metav1.StatusReasonInvalid, http.StatusUnprocessableEntity
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Message: text})
	return err
}

// Webhook denies creations and updates of a resource as a webhook does.
func Webhook(webhook, resource, message string) Refusal {
	return func(a Attempt) error {
		if a.Operation == OperationDelete || a.Resource.Resource != resource || a.Subresource != "" {
			return nil
		}
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
			Message: fmt.Sprintf("admission webhook %q denied the request: %s", webhook, message),
		}}
	}
}

// WebhookDown fails creations and updates of a resource as a webhook with failurePolicy
// Fail does if its backend refuses connections.
func WebhookDown(webhook, resource string) Refusal {
	return func(a Attempt) error {
		if a.Operation == OperationDelete || a.Resource.Resource != resource || a.Subresource != "" {
			return nil
		}
		return apierrors.NewInternalError(fmt.Errorf("failed calling webhook %q: failed to call webhook: Post %q: dial tcp 10.96.0.9:443: connect: connection refused",
			webhook, "https://webhook.default.svc:443/?timeout=10s"))
	}
}

// WebhookHangs makes creations and updates of a resource wait for a webhook that does not
// answer, until its timeout fails them.
func WebhookHangs(webhook, resource string, timeout time.Duration) Fault {
	return func(r *Request) Action {
		if r.Resource.Resource != resource || r.Subresource != "" || !slices.Contains([]string{"create", "update", "patch"}, r.Verb) {
			return Action{}
		}
		err := apierrors.NewInternalError(fmt.Errorf("failed calling webhook %q: failed to call webhook: Post %q: context deadline exceeded",
			webhook, fmt.Sprintf("https://webhook.default.svc:443/?timeout=%v", timeout)))
		return Action{Delay: timeout, Status: &err.ErrStatus}
	}
}

// Quota refuses new objects of a resource as an exhausted ResourceQuota does.
func Quota(quota, resource string, limit int) Refusal {
	return func(a Attempt) error {
		if a.Operation != OperationCreate || a.Resource.Resource != resource {
			return nil
		}
		counted := "count/" + a.Resource.GroupResource().String()
		if a.Resource.Group == "" && slices.Contains([]string{"configmaps", "secrets", "services", "pods", "persistentvolumeclaims"}, resource) {
			counted = resource
		}
		return apierrors.NewForbidden(a.Resource.GroupResource(), a.Object.GetName(),
			fmt.Errorf("exceeded quota: %s, requested: %s=1, used: %s=%d, limited: %s=%d", quota, counted, counted, limit, counted, limit))
	}
}

// Forbid refuses verbs on a resource as RBAC does; no verbs means all.
func Forbid(user, resource string, verbs ...string) Fault {
	return func(r *Request) Action {
		if r.Resource.Resource != resource || len(verbs) > 0 && !slices.Contains(verbs, r.Verb) {
			return Action{}
		}
		named := resource
		if r.Subresource != "" {
			named += "/" + r.Subresource
		}
		scope := "at the cluster scope"
		if r.Namespace != "" {
			scope = fmt.Sprintf("in the namespace %q", r.Namespace)
		}
		err := apierrors.NewForbidden(r.Resource.GroupResource(), r.Name,
			fmt.Errorf("User %q cannot %s resource %q in API group %q %s", user, r.Verb, named, r.Resource.Group, scope)) //nolint:staticcheck // as the API server writes it
		return Action{Status: &err.ErrStatus}
	}
}

// Throttle answers everything except /readyz as an overloaded API server does.
func Throttle(retryAfter time.Duration) Fault {
	return func(r *Request) Action {
		if r.Resource.Resource == "" && r.HTTP.URL.Path == "/readyz" {
			return Action{}
		}
		err := apierrors.NewTooManyRequestsError("too many requests, please try again later")
		err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(retryAfter.Seconds())}
		return Action{Status: &err.ErrStatus}
	}
}

// Fail answers the requests that which selects with a 500, as an API server with a slow
// etcd.
func Fail(which func(*Request) bool) Fault {
	return On(which, func() Action {
		err := apierrors.NewInternalError(errors.New("etcdserver: request timed out"))
		err.ErrStatus.Message = "etcdserver: request timed out"
		return Action{Status: &err.ErrStatus}
	})
}

// On applies the action to the requests that which selects.
func On(which func(*Request) bool, action func() Action) Fault {
	return func(r *Request) Action {
		if !which(r) {
			return Action{}
		}
		return action()
	}
}
