package gcp

import (
	"fmt"
	"strings"
)

// String returns the action in one line, as `fedsync diff` prints it:
//
//   - create  URL map fedsync-1a2b3c4d-web  missing
//     ~ update  backend service fedsync-1a2b3c4d-web-80  fields: timeoutSec
//   - delete  health check fedsync-1a2b3c4d-old  left over: no Ingress needs it
func (a Action) String() string {
	sign := "?"
	switch a.Verb {
	case Create, Attach:
		sign = "+"
	case Update:
		sign = "~"
	case Detach, Delete:
		sign = "-"
	}
	detail := a.Reason.String()
	if rest, ok := strings.CutPrefix(detail, DiffersIn); ok && a.Verb == Update {
		detail = "fields: " + rest
	}
	return fmt.Sprintf("%s %s  %s  %s", sign, a.Verb, a.ID, detail)
}

// DiffersIn begins the reason of an update; the fields follow.
const DiffersIn = "differs in "

// Unread describes, in one line, the reads that failed; it is empty if none did.
func (o Observed) Unread() string {
	var all []string
	for _, e := range o.Errors {
		all = append(all, e.What+": "+e.Err.Error())
	}
	return strings.Join(all, "; ")
}
