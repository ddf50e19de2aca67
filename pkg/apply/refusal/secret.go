package refusal

import (
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withoutValues returns an error about a Secret without the values that the API server
// quotes. It names the wrong fields and the type of each fault.
func withoutValues(err error) error {
	s, ok := StatusOf(err)
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
