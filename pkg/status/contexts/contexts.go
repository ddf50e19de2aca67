package contexts

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/fedsync/fedsync/internal/glob"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

// Patterns are the patterns of the contexts that the operator allows. The forge's token
// is the operator's, and could set a check that other repositories rely on.
type Patterns []string

// Allowed reports whether a repository may have statuses under a context.
func (s Patterns) Allowed(context string) bool { return glob.MatchAny(s, context) }

// Grants reports whether statuses may be posted under a context: an allowed one, or the
// plain default that replaces all others.
func (s Patterns) Grants(context string) bool {
	return context == federation.DefaultStatusContext("", "") || s.Allowed(context)
}

// Settle sets a federation's commit statuses to those that are allowed, and returns a
// finding for each refused wish. The files are those of its revision.
func (s Patterns) Settle(f *federation.Federation, files fs.FS) []federation.Finding {
	wanted := f.CommitStatus
	f.CommitStatus.Context = federation.StatusContext(wanted.Context, f.Folder, f.Name, s.Allowed)
	var found []federation.Finding
	if f.CommitStatus.Context != wanted.Context {
		found = append(found, s.refusal(f, files, fmt.Sprintf("the commit status %q is not allowed here: it is posted as %q",
			wanted.Context, f.CommitStatus.Context)))
	}
	if !wanted.PerCluster {
		return found
	}
	for _, c := range f.Clusters {
		context := federation.ClusterStatusContext(f.CommitStatus.Context, c.Name)
		if s.Allowed(context) {
			continue
		}
		f.CommitStatus.PerCluster = false
		return append(found, s.refusal(f, files, fmt.Sprintf("the commit status %q of a cluster is not allowed here: only %q is posted",
			context, f.CommitStatus.Context)))
	}
	return found
}

// Plan returns the context under which plans are posted next to a federation's own.
func (s Patterns) Plan(context string) string {
	if its := fmt.Sprintf("%s/plan", context); s.Allowed(its) {
		return its
	}
	return federation.DefaultStatusContext("", "") + "/plan"
}

func (s Patterns) refusal(f *federation.Federation, files fs.FS, message string) federation.Finding {
	data, _ := fs.ReadFile(files, f.File()) // it was read before; without it there is no line
	return federation.Finding{
		ID: federation.FindingPolicy, Severity: federation.SeverityError, File: f.File(), Line: fedfile.StatusContextLine(data),
		Message: untrusted.Textf("%s; the operator's setting --status-contexts allows: %s", message, strings.Join(s, ", ")),
		Remedy:  untrusted.Const("change commitStatus in " + federation.FileName + ", or ask the operator of fedsync to allow it"),
	}
}
