package refusal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestErrorsAreClassified(t *testing.T) {
	services := schema.GroupResource{Resource: "services"}
	serviceKind := schema.GroupKind{Kind: "Service"}
	invalid := func(message string) error {
		return apierrors.NewInvalid(serviceKind, "nginx", field.ErrorList{field.Invalid(field.NewPath("spec", "ports").Index(0).Child("nodePort"), 30061, message)})
	}
	status := func(code int32, reason metav1.StatusReason, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: "Failure", Code: code, Reason: reason, Message: message}}
	}
	for name, c := range map[string]struct {
		err    error
		class  Class
		port   string
		hook   string
		after  time.Duration
		reason string // shared
	}{
		"a port that is held":      {invalid("provided port is already allocated"), ClassPortTaken, "30061", "", 0, ""},
		"a port out of range":      {invalid("provided port is not in the valid range. The range of valid ports is 30000-32767"), ClassPortRange, "30061", "", 0, ""},
		"any other invalid value":  {invalid("must be something else"), ClassInvalid, "", "", 0, ""},
		"a clash called a fault":   {status(500, metav1.StatusReasonInternalError, "Internal error occurred: duplicate nodePort: 30061"), ClassPortTaken, "30061", "", 0, ""},
		"an unknown field":         {status(500, "", "failed to create typed patch object (web/nginx; /v1, Kind=Service): .spc: field not declared in schema"), ClassInvalid, "", "", 0, ""},
		"a fault":                  {status(500, metav1.StatusReasonInternalError, "etcd is away"), ClassServer, "", "", 0, "server Service"},
		"too many requests":        {apierrors.NewTooManyRequests("later", 7), ClassThrottled, "", "", 7 * time.Second, "throttled"},
		"a webhook that denies":    {status(403, metav1.StatusReasonForbidden, `admission webhook "policy.example.com" denied the request: no`), ClassAdmission, "", "policy.example.com", 0, "admission policy.example.com"},
		"a webhook that fails":     {status(500, metav1.StatusReasonInternalError, `Internal error occurred: failed calling webhook "policy.example.com": timeout`), ClassAdmission, "", "policy.example.com", 0, "admission policy.example.com"},
		"a policy that denies":     {status(422, metav1.StatusReasonInvalid, `services "nginx" is forbidden: ValidatingAdmissionPolicy 'no-v2' with binding 'no-v2' denied request: failed expression`), ClassAdmission, "", "no-v2", 0, "admission no-v2"},
		"a quota":                  {apierrors.NewForbidden(services, "nginx", errors.New("exceeded quota: q, requested: services=1, used: services=5, limited: services=5")), ClassQuota, "", "", 0, "quota web q"},
		"no right":                 {apierrors.NewForbidden(services, "nginx", errors.New(`User "u" cannot patch resource "services" in API group "" in the namespace "web"`)), ClassForbidden, "", "", 0, "right patch services  web"},
		"no namespace":             {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "web"), ClassNamespace, "", "", 0, "namespace web"},
		"a namespace that goes":    {status(403, metav1.StatusReasonForbidden, `services "nginx" is forbidden: unable to create new content in namespace web because it is being terminated`), ClassNamespace, "", "", 0, "namespace web"},
		"a conflict":               {apierrors.NewConflict(services, "nginx", errors.New("changed")), ClassConflict, "", "", 0, ""},
		"no answer":                {fmt.Errorf("patch: %w", context.DeadlineExceeded), ClassUnreachable, "", "", 0, "unreachable"},
		"no credentials":           {apierrors.NewUnauthorized("who are you"), ClassCredentials, "", "", 0, "credentials"},
		"the caller's own mistake": {errors.New("anything"), ClassUnknown, "", "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := New("apply", federation.ObjectRef{Kind: "Service", Namespace: "web", Name: "nginx"}, "web/service.yaml", c.err)
			if got := e.Reason(); got != c.reason {
				t.Errorf("reason = %q, want %q", got, c.reason)
			}
			if e.Class != c.class || e.Port != c.port || e.Webhook != c.hook || e.RetryAfter != c.after {
				t.Errorf("class %q port %q webhook %q after %s, want %q %q %q %s", e.Class, e.Port, e.Webhook, e.RetryAfter, c.class, c.port, c.hook, c.after)
			}
			if !strings.HasPrefix(e.Error(), "apply Service/web/nginx (web/service.yaml): ") || !errors.Is(e, c.err) {
				t.Errorf("error = %v, want verb, object and file, and the cause wrapped", e)
			}
		})
	}
}
