package gcp

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Class says what is to be done about an error of Compute Engine.
type Class string

// The classes of errors.
const (
	// ClassRetry went on for as long as an action may take: no answer, a server
	// error, or too many requests. It is tried again by the clock.
	ClassRetry Class = "Retry"
	// ClassChanged means that the resource is not as it was seen to be: it is looked
	// at again, and the plan is recomputed.
	ClassChanged Class = "Changed"
	// ClassOrder means that another resource has to come or go first, or that another
	// operation runs: again soon.
	ClassOrder Class = "Order"
	// ClassConflict means that the name, or the address, is somebody else's.
	ClassConflict Class = "Conflict"
	// ClassForbidden means that a permission is missing, or that there are no
	// credentials that are accepted.
	ClassForbidden Class = "Forbidden"
	// ClassQuota means that the project may not have more of these.
	ClassQuota Class = "Quota"
	// ClassInvalid means that Compute Engine does not accept what was sent: nothing
	// helps but a change.
	ClassInvalid Class = "Invalid"
)

// Error is why an action, or a question, failed. It holds nothing secret.
type Error struct {
	ID    ID   // zero of a list
	Verb  Verb // empty of a question
	Class Class
	// Permission is the one that is missing, as "compute.firewalls.create"; empty where
	// the answer does not name it.
	Permission string
	// Metric and Limit are of a quota that is used up: "BACKEND_SERVICES", "50".
	Metric, Limit string
	// After is how long Compute Engine asks to be left alone; 0 where it does not.
	After time.Duration
	Err   error // what Compute Engine answered, in one line

	Absent bool // there is no such resource
	Ended  bool // the outcome is known: a repeat is another action
}

// Error names the action, the resource, the reason and what helps.
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

// Unwrap returns what Compute Engine answered.
func (e *Error) Unwrap() error { return e.Err }

// remedy says what helps, empty where the error is seen to by itself.
func (e *Error) remedy() string {
	switch e.Class {
	case ClassForbidden:
		if e.Permission == "" {
			return "check the credentials, and their roles in the project"
		}
		return fmt.Sprintf("grant %s, for example by %s", e.Permission, roleWith(e.Permission))
	case ClassQuota:
		if e.Metric == "" {
			return "ask for more quota, or remove what is not needed"
		}
		return fmt.Sprintf("ask for more of the quota %s (limit %s), or remove what is not needed", e.Metric, cmp.Or(e.Limit, "unknown"))
	case ClassConflict:
		return "fedsync leaves it alone: remove or rename it, or choose another name"
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

// roleWith returns the predefined role that has a permission.
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

// ConnectError is why there is no client: nothing was asked, for want of credentials
// that could be used.
type ConnectError struct{ Err error }

func (e *ConnectError) Error() string { return "connect to Compute Engine: " + e.Err.Error() }

func (e *ConnectError) Unwrap() error { return e.Err }

// Passes reports whether an error of this class is part of the order of things, and
// is gone after another look.
func (c Class) Passes() bool { return c == ClassOrder || c == ClassChanged || c == ClassConflict }
