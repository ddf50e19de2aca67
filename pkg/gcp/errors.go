package gcp

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Class is the kind of an error of Compute Engine, by what is to be done about it.
type Class string

// The classes of errors.
const (
	// ClassRetry means no answer, a server error or too many requests, for as long as
	// an action may take. The action is tried again after a delay.
	ClassRetry Class = "Retry"
	// ClassChanged means that the resource has changed since it was read: it is read
	// again, and the plan is recomputed.
	ClassChanged Class = "Changed"
	// ClassOrder means that another resource has to be created or deleted first, or
	// that another operation runs: the action is tried again soon.
	ClassOrder Class = "Order"
	// ClassConflict means that the name or the address belongs to another owner.
	ClassConflict Class = "Conflict"
	// ClassForbidden means that a permission is missing, or that no credentials are
	// accepted.
	ClassForbidden Class = "Forbidden"
	// ClassQuota means that the project may not have more resources of this kind.
	ClassQuota Class = "Quota"
	// ClassInvalid means that Compute Engine does not accept the request: only a
	// change helps.
	ClassInvalid Class = "Invalid"
)

// Error is why an action or a read failed. It holds nothing secret.
type Error struct {
	ID    ID   // zero for a list
	Verb  Verb // empty for a read
	Class Class
	// Permission is the missing one, such as "compute.firewalls.create"; empty if the
	// answer does not name it.
	Permission string
	// Metric and Limit describe a quota that is used up: "BACKEND_SERVICES", "50".
	Metric, Limit string
	// After is how long Compute Engine asks the client to wait; 0 if it does not.
	After time.Duration
	Err   error // the answer of Compute Engine, in one line

	Absent bool // there is no such resource
	Ended  bool // the outcome is known: a repeat is another action
}

// Error names the action, the resource, the reason and the remedy.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Verb != "" {
		fmt.Fprintf(&b, "%s ", e.Verb)
	}
	if e.ID != (ID{}) {
		fmt.Fprintf(&b, "%s: ", e.ID)
	}
	fmt.Fprintf(&b, "%v", e.Err)
	if remedy := e.remedy(); remedy != "" {
		fmt.Fprintf(&b, ": %s", remedy)
	}
	return b.String()
}

// Unwrap returns the answer of Compute Engine.
func (e *Error) Unwrap() error { return e.Err }

// remedy returns what the user can do; empty if the error resolves itself.
func (e *Error) remedy() string {
	switch e.Class {
	case ClassForbidden:
		if e.Permission == "" {
			return "check the credentials and their roles in the project"
		}
		return fmt.Sprintf("grant %s, for example by %s", e.Permission, roleWith(e.Permission))
	case ClassQuota:
		if e.Metric == "" {
			return "request more quota, or delete resources that are not needed"
		}
		return fmt.Sprintf("request more of quota %s (limit %s), or delete resources that are not needed", e.Metric, cmp.Or(e.Limit, "unknown"))
	case ClassConflict:
		return "fedsync does not touch it: delete or rename it, or choose another name"
	case ClassInvalid:
		if e.Verb == "" {
			return ""
		}
		return "it is not tried again until something changes"
	case ClassRetry, ClassChanged, ClassOrder:
		return ""
	}
	return ""
}

// roleWith returns a predefined role that includes the permission.
func roleWith(permission string) string {
	parts := strings.Split(permission, ".")
	verb := parts[len(parts)-1]
	switch {
	case strings.HasPrefix(permission, "compute.firewalls.") || verb == "updatePolicy":
		return "roles/compute.securityAdmin"
	case strings.HasPrefix(permission, "compute.instances.") && verb != "use",
		strings.HasPrefix(permission, "compute.projects."):
		return "roles/compute.viewer"
	}
	return "roles/compute.loadBalancerAdmin"
}

// ConnectError is why there is no client: no usable credentials were found, so no
// request was sent.
type ConnectError struct{ Err error }

func (e *ConnectError) Error() string { return "connect to Compute Engine: " + e.Err.Error() }

func (e *ConnectError) Unwrap() error { return e.Err }

// Transient reports whether an error of this class is expected in normal operation and is
// gone after the next read.
func (c Class) Transient() bool { return c == ClassOrder || c == ClassChanged || c == ClassConflict }
