package gcetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// refusal is an error response of the API. A nil refusal means success.
type refusal struct {
	code       int
	reason     string
	message    string
	retryAfter time.Duration
}

// Compute Engine's reasons of errors.
const (
	reasonInvalid       = "invalid"
	reasonRequired      = "required"
	reasonNotFound      = "notFound"
	reasonAlreadyExists = "alreadyExists"
	reasonConditionFail = "conditionNotMet"
	reasonInUse         = "resourceInUseByAnotherResource"
	reasonNotReady      = "resourceNotReady"
	reasonRateLimit     = "rateLimitExceeded"
	reasonQuota         = "quotaExceeded"
	reasonForbidden     = "forbidden"
)

func refuse(code int, reason, format string, args ...any) *refusal {
	return &refusal{code: code, reason: reason, message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, reasonInvalid, format, args...)
}

// badField returns a 400 about one field, in the words of the API.
func badField(field string, value any, format string, args ...any) *refusal {
	return invalid("Invalid value for field 'resource.%s': '%v'. %s", field, value, fmt.Sprintf(format, args...))
}

func notFound(k key) *refusal {
	return refuse(http.StatusNotFound, reasonNotFound, "The resource '%s' was not found", k.path())
}

func notReady(k key) *refusal {
	return refuse(http.StatusBadRequest, reasonNotReady, "The resource '%s' is not ready", k.path())
}

func stale(field string) *refusal {
	return refuse(http.StatusPreconditionFailed, reasonConditionFail,
		"Invalid %s.", field)
}

// write sends the refusal in the form that googleapi.CheckResponse parses.
func (r *refusal) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if r.retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(r.retryAfter.Round(time.Second)/time.Second)))
	}
	w.WriteHeader(r.code)
	item := map[string]string{"message": r.message, "domain": "global", "reason": r.reason}

	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": r.code, "message": r.message, "errors": []any{item},
	}})
}
