package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/status"
)

// cloudDiff is what would be done on Compute Engine, in order.
type cloudDiff struct {
	Project string               `json:"project"`
	Error   string               `json:"error,omitempty"` // why it could not be compared
	Actions []status.CloudAction `json:"actions"`
}

// newCloudDiff returns nil if fedsync maintains no load balancers.
func newCloudDiff(c *status.Cloud) *cloudDiff {
	if c == nil {
		return nil
	}
	return &cloudDiff{Project: c.Project, Error: c.Error.String(), Actions: append([]status.CloudAction{}, c.Pending...)}
}

// equal reports whether Compute Engine was compared and needs no change. It is true if
// Compute Engine is not read.
func (c *cloudDiff) equal() bool { return c == nil || c.Error == "" && len(c.Actions) == 0 }

// write prints one action per line: what would be done to what, and why.
func (c *cloudDiff) write(w io.Writer) {
	if c == nil {
		return
	}
	fmt.Fprintf(w, "\nCompute Engine, project %s: ", c.Project)
	switch {
	case c.Error != "" && len(c.Actions) == 0:
		fmt.Fprintf(w, "not compared\n  ! %s\n", printer.Indented(c.Error, "    "))
	case c.Error != "":
		fmt.Fprintf(w, "%s, as far as it could be read\n  ! %s\n", count(len(c.Actions), "change"), printer.Indented(c.Error, "    "))
	case len(c.Actions) == 0:
		fmt.Fprintln(w, "no difference")
	default:
		fmt.Fprintln(w, count(len(c.Actions), "change"))
	}
	for _, a := range c.Actions {
		words := a.Resource
		if !a.Reason.IsZero() {
			words += "  " + a.Reason.String()
		}
		fmt.Fprintf(w, "  %s %-6s  %s\n", sign(a.Verb), a.Verb, printer.Indented(strings.TrimSpace(words), "    "))
	}
}

// sign begins the line of an action, as in a diff.
func sign(verb string) string {
	switch verb {
	case "create", "attach":
		return "+"
	case "delete", "detach":
		return "-"
	}
	return "~"
}
